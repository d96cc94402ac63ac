"""Which calls are under way, in a file that is mapped into memory: what is in it outlives SIGKILL.

A call has a slot from its beginning until its record is committed or on disk: request id, when it began,
and, once it ended, its record's number. After a kill the taken slots are exactly the calls that may have no
row. Writing one costs less than a microsecond and no system call. Whoever adopts the table numbers the calls
that had not ended, in the table: if it is killed too, the next one tells of them under the same numbers.
"""

import mmap
import os
import struct
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

SLOTS = 8192  # calls beyond it are not named

_SLOT = struct.Struct("=16sQQ")  # request id, t0 in Unix nanoseconds (0: free), number (0: it goes on)
_T0_AT, _SEQ_AT = 16, 24


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call that had no row when its gateway was killed, as far as the gateway knew."""

    request_id: str
    t0_unix_ns: int
    seq: int  # of its record; 0: the call had not ended


class OpenCalls:
    """The table of one process."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        size = SLOTS * _SLOT.size
        with path.open("x+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a page that the disk has no room for would be SIGBUS
            self._table = mmap.mmap(file.fileno(), size)
        self._free = list(range(SLOTS))
        self._ended: deque[tuple[int, int]] = deque()  # numbers and slots, in order

    def begin(self, request_id: str, t0_unix_ns: int) -> int | None:
        """The call's slot; None if all are taken."""
        if not self._free:
            return None
        slot = self._free.pop()
        _SLOT.pack_into(
            self._table, slot * _SLOT.size, bytes.fromhex(request_id.replace("-", "")), t0_unix_ns, 0
        )
        return slot

    def end(self, slot: int, seq: int) -> None:
        """The call's record has a number. It stays in the table until `settle`."""
        struct.pack_into("=Q", self._table, slot * _SLOT.size + _SEQ_AT, seq)
        self._ended.append((seq, slot))

    def close(self) -> None:
        """Nothing begins any more."""
        self._table.close()

    def settle(self, seq: int) -> None:
        """The records up to this number are committed, or on disk."""
        while self._ended and self._ended[0][0] <= seq:
            slot = self._ended.popleft()[1]
            struct.pack_into("=Q", self._table, slot * _SLOT.size + _T0_AT, 0)
            self._free.append(slot)


def left_behind(path: Path) -> list[OpenCall]:
    """The calls in the table of a process that is no more. Raises OSError."""
    content = path.read_bytes() if path.exists() else b""
    whole = len(content) - len(content) % _SLOT.size
    return [
        OpenCall(str(UUID(bytes=request_id)), t0_unix_ns, seq)
        for request_id, t0_unix_ns, seq in _SLOT.iter_unpack(content[:whole])
        if t0_unix_ns
    ]


def number(path: Path, calls: list[OpenCall], first_seq: int) -> list[OpenCall]:
    """The same calls: those without a number get one, in order of their beginning. Raises OSError."""
    going_on = sorted((call for call in calls if not call.seq), key=lambda call: call.t0_unix_ns)
    numbers = {call.request_id: seq for seq, call in enumerate(going_on, first_seq)}
    if not numbers:
        return calls
    content = bytearray(path.read_bytes())
    for start in range(0, len(content) - _SLOT.size + 1, _SLOT.size):
        request_id, t0_unix_ns, seq = _SLOT.unpack_from(content, start)
        if t0_unix_ns and not seq:
            struct.pack_into("=Q", content, start + _SEQ_AT, numbers[str(UUID(bytes=request_id))])
    with path.open("r+b") as file:  # where it is: a full disk has room for it
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return [replace(call, seq=call.seq or numbers[call.request_id]) for call in calls]
