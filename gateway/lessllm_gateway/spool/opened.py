"""`spool: always`: what was known of each call when it went upstream, until its record is on disk.

Files are appended to, one after the other, and deleted when no call under way is in them. A file that is
left behind holds, among calls that ended, all that had not.
"""

import logging
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from lessllm_shared import record as rec

from lessllm_gateway.spool import entries

FILE_BYTES = 16 * 1024 * 1024

log = logging.getLogger(__name__)


class Opened:
    """The files of one process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._file: BinaryIO | None = None
        self._size_bytes = 0
        self._files: dict[str, int] = {}  # request id → the number of the file it is in
        self._calls: Counter[int] = Counter()  # under way, by file

    def add(self, request_id: str, data: bytes) -> None:
        """A call goes upstream. Raises OSError, and then it is not here."""
        if self._file is None or self._size_bytes > FILE_BYTES:
            self._next_file()
        assert self._file is not None  # noqa: S101 - it was just opened
        packed = entries.pack(data)
        if self._file.write(packed) < len(packed):
            self._next_file()  # what was written is torn, and ends that file
            raise OSError("no room")
        self._size_bytes += len(packed)
        self._files[request_id] = self._number
        self._calls[self._number] += 1

    def done(self, request_id: str) -> None:
        """The call's record is on disk, or will never be."""
        number = self._files.pop(request_id, None)
        if number is not None:
            self._calls[number] -= 1
            if not self._calls[number] and number != self._number:
                self._delete(number)

    def close(self) -> None:
        """Nothing is added any more."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _next_file(self) -> None:
        self.close()
        if self._number and not self._calls[self._number]:
            self._delete(self._number)
        self._number += 1
        self._size_bytes = 0
        self._file = self._path(self._number).open("wb", buffering=0)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.opened"

    def _delete(self, number: int) -> None:
        del self._calls[number]
        self._path(number).unlink(missing_ok=True)


def left_behind(folder: Path, wanted: set[str]) -> dict[str, rec.CallRecord]:
    """What a process that is no more knew of these calls, by request id."""
    found: dict[str, rec.CallRecord] = {}
    for path in sorted(folder.glob("*.opened"), key=lambda path: int(path.stem)):
        with path.open("rb") as file:
            while (data := entries.read(file)) is not None:
                try:
                    record = rec.decode(data)
                except ValueError:
                    log.warning("%s: an entry is of another version", path)
                    continue
                if record.request_id in wanted:
                    found[record.request_id] = record
    return found
