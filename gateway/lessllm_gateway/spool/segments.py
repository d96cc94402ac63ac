"""One process's records on disk: consecutive ones in a file, named by the first one's number.

A file is appended to until it is large or the next number does not follow, and deleted as a whole when all
in it is committed. The limit is on all files together. All of this blocks: it is for threads, but for
`append` of little. A write that fails leaves no trace.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lessllm_shared import disk

from lessllm_gateway.outbox import MAX_BATCH_BYTES, MAX_BATCH_RECORDS
from lessllm_gateway.spool import entries

SEGMENT_BYTES = 16 * 1024 * 1024

log = logging.getLogger(__name__)


class SpoolFull(Exception):  # noqa: N818 - a state, not a fault
    """There is no room: within the limit, or on the disk."""


@dataclass(slots=True)
class _Segment:
    path: Path
    first: int
    count: int = 0
    size_bytes: int = 0

    @property
    def last(self) -> int:
        return self.first + self.count - 1


@dataclass(slots=True)
class _Cursor:
    """Where in a file a record begins, so that reading on does not begin anew."""

    segment: _Segment
    seq: int
    at: int = 0


class Segments:
    """The files of one folder, which must be locked."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        """Finds what is there; a torn last entry is cut off. Raises OSError."""
        self._folder = folder
        self._limit_bytes = limit_bytes
        found = map(_recovered, sorted(folder.glob("*.seg")))
        self._segments = deque(segment for segment in found if segment.count)
        self._end: BinaryIO | None = None  # of the last segment, if it may grow
        self._cursor: _Cursor | None = None
        self._writing = threading.Lock()  # the event loop and a thread may both append

    @property
    def size_bytes(self) -> int:
        """What the files hold. From any thread."""
        return sum(segment.size_bytes for segment in tuple(self._segments))

    @property
    def stretches(self) -> list[tuple[int, int]]:
        """First and last number of each file, in order."""
        return sorted((segment.first, segment.last) for segment in self._segments)

    def append(self, first_seq: int, records: Sequence[bytes]) -> None:
        """Keep consecutive records. Raises SpoolFull, and then none of them is kept."""
        packed = b"".join(map(entries.pack, records))
        with self._writing:
            if self.size_bytes + len(packed) > self._limit_bytes:
                raise SpoolFull(f"it holds logging.spool_bytes ({self._limit_bytes}), as many as it may")
            try:
                found = disk.look(self._folder)
                if found.free_bytes - len(packed) < 2 * found.reserve_bytes:
                    raise SpoolFull("the disk is full: what is left is for the database")
                segment, file = self._growing(first_seq)
                _write(file, segment.size_bytes, packed)
            except OSError as error:
                raise SpoolFull(os.strerror(error.errno or 0)) from error
            segment.count += len(records)
            segment.size_bytes += len(packed)

    def read(self, first_seq: int, last_seq: int) -> list[bytes]:
        """A frame of consecutive records from first_seq on; none if that one is not here, or damaged."""
        segment = next((s for s in tuple(self._segments) if s.first <= first_seq <= s.last), None)
        if segment is None:
            return []
        cursor = self._cursor
        if cursor is None or cursor.segment is not segment or cursor.seq > first_seq:
            cursor = self._cursor = _Cursor(segment, segment.first)
        last_seq = min(last_seq, segment.last, first_seq + MAX_BATCH_RECORDS - 1)
        try:
            return _read(cursor, first_seq, last_seq, MAX_BATCH_BYTES)
        except OSError as error:
            log.error("%s can't be read: %s", segment.path, error.strerror)  # noqa: TRY400 - it says all
            return []

    def forget(self, committed: int) -> None:
        """Delete the files of which everything is committed."""
        if not self._segments:
            return
        with self._writing:
            for segment in [segment for segment in self._segments if segment.last <= committed]:
                if segment is self._segments[-1]:
                    self.close()
                self._segments.remove(segment)
                segment.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Write no more to the last file."""
        if self._end is not None:
            self._end.close()
            self._end = None

    def _growing(self, first_seq: int) -> tuple[_Segment, BinaryIO]:
        """The last file if the number follows and there is room in it, else a new one."""
        if self._end is not None:
            last = self._segments[-1]
            if last.last + 1 == first_seq and last.size_bytes < SEGMENT_BYTES:
                return last, self._end
        self.close()
        path = self._folder / f"{first_seq:020d}.seg"
        self._end = path.open("wb", buffering=0)  # one that is there already holds nothing that counts
        self._segments.append(_Segment(path, first_seq))
        return self._segments[-1], self._end


def _recovered(path: Path) -> _Segment:
    segment = _Segment(path, int(path.stem))
    with path.open("r+b") as file:
        while (data := entries.read(file)) is not None:
            segment.count += 1
            segment.size_bytes += entries.OVERHEAD_BYTES + len(data)
        torn_bytes = file.seek(0, os.SEEK_END) - segment.size_bytes
        if torn_bytes:
            log.warning("%s: the last %d bytes are of no whole record and are cut off", path, torn_bytes)
            file.truncate(segment.size_bytes)
    return segment


def _write(file: BinaryIO, size_bytes: int, packed: bytes) -> None:
    """All of it or nothing. Raises OSError."""
    left = memoryview(packed)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError:
        file.truncate(size_bytes)
        file.seek(size_bytes)
        raise


def _read(cursor: _Cursor, first_seq: int, last_seq: int, max_bytes: int) -> list[bytes]:
    found: list[bytes] = []
    size = 0
    with cursor.segment.path.open("rb") as file:
        file.seek(cursor.at)
        while cursor.seq <= last_seq and (data := entries.read(file)) is not None:
            if cursor.seq >= first_seq:
                size += len(data)
                if found and size > max_bytes:
                    break
                found.append(data)
            cursor.seq += 1
            cursor.at += entries.OVERHEAD_BYTES + len(data)
    return found
