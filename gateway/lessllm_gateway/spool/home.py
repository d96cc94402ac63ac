"""A process's folder in the spool: made and locked at its start, adopted by another one after its death."""

import contextlib
import fcntl
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lessllm_shared.record import CallRecord

from lessllm_gateway.spool import open_calls, opened
from lessllm_gateway.spool.open_calls import OpenCall, OpenCalls
from lessllm_gateway.spool.opened import Opened
from lessllm_gateway.spool.segments import Segments

log = logging.getLogger(__name__)


class Home:
    """The folder of this process."""

    def __init__(self, root: Path, gateway_id: str, limit_bytes: int) -> None:
        """Raises OSError when it can't be made or written to."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = root / f".{gateway_id}"  # nobody adopts it before it is locked
        new.mkdir(mode=0o700, parents=True)  # the root again: the last to leave removes it
        self._lock = _locked(new / "lock")
        try:
            self.calls = OpenCalls(new / "calls")
        except OSError:
            _remove(new)
            self._lock.close()
            raise
        self.folder = new.rename(root / gateway_id)
        self.segments = Segments(self.folder, limit_bytes)
        self.opened = Opened(self.folder)

    def close(self, *, is_empty: bool) -> None:
        """Let go of it. What is in it is for whoever adopts it, unless it is empty."""
        self.segments.close()
        self.opened.close()
        self.calls.close()
        if is_empty:
            _remove(self.folder)
        self._lock.close()


@dataclass
class Leftover:
    """What a process that is no more left behind. It is ours: its folder is locked."""

    gateway_id: str
    segments: Segments
    calls: list[OpenCall]  # that may have no row
    opened: dict[str, CallRecord]  # what was known of them, by request id
    folder: Path
    lock: BinaryIO

    def number_calls(self, first_seq: int) -> None:
        """Those that had not ended get the numbers under which they are told of. Raises OSError."""
        self.calls = open_calls.number(self.folder / "calls", self.calls, first_seq)

    def remove(self) -> None:
        """All of it is in the database."""
        _remove(self.folder)
        self.close()

    def close(self) -> None:
        """Let go of it: what is in it is for the next one."""
        self.segments.close()
        self.lock.close()


def adopt(root: Path) -> list[Leftover]:
    """The folders of processes that are no more. Blocks while it reads them, which may take long."""
    leftovers = []
    for folder in sorted(root.glob("[!.]*")):
        try:
            lock = _locked(folder / "lock")
        except OSError:
            continue  # it is in use, or was removed a moment ago
        try:
            leftovers.append(_leftover(folder, lock))
        except (OSError, ValueError) as error:
            log.error("%s: what a gateway left there can't be read: %s", folder, error)  # noqa: TRY400
            lock.close()
    return leftovers


def _leftover(folder: Path, lock: BinaryIO) -> Leftover:
    segments = Segments(folder, limit_bytes=0)
    calls = open_calls.left_behind(folder / "calls")
    known = opened.left_behind(folder, {call.request_id for call in calls})
    return Leftover(folder.name, segments, calls, known, folder, lock)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # others are in it
        folder.parent.rmdir()


def _locked(path: Path) -> BinaryIO:
    """The file, locked as long as it is open. Raises OSError if somebody else has it."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.stat()  # whoever had it may have removed it since it was opened
    except OSError:
        file.close()
        raise
    return file
