"""A copy of the database while it is in use: what a kill -9 would leave at one moment, opened once.

DuckDB overwrites what its file's header leads to only after a checkpoint has written another header; commits
go to the log beside it. So checkpoints are held off while file and log are copied as they are, commits go on,
and then the copy is opened, which takes the log into its file. It is sent from beside the database and never
stays there. The database itself is only read.
"""

import asyncio
import errno
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

import duckdb

from lessllm_collector.errors import Refusal
from lessllm_collector.faults import first_line, is_full
from lessllm_collector.pieces import PiecesResponse
from lessllm_collector.room import log_of
from lessllm_collector.store import CONFIG, Store, beside, row_counts
from lessllm_collector.writer import Writer

MEDIA_TYPE = "application/vnd.duckdb"
_PIECE_BYTES = 4 * 1024 * 1024
_HEADER_BYTES = 3 * 4096  # the file's, then two of the database's that checkpoints write in turn
_MARGIN_BYTES = 64 * 1024 * 1024
# Changes nothing, and holds checkpoints off until its transaction ends.
_HOLD = "UPDATE main.lessllm_schema SET version = version WHERE false"


class Backups:
    """One at a time."""

    def __init__(self, store: Store, writer: Callable[[], Writer]) -> None:
        self._store = store
        self._writer = writer
        self._running = False

    async def start(self) -> PiecesResponse:
        """The answer, once the copy is made. Raises Refusal, StoreError."""
        if self._running:
            raise Refusal(503, "busy", "a backup runs already: try again when it is done")
        backup = Backup(self._store)
        self._running = True
        try:
            await self._writer().run(backup.hold)
            await asyncio.to_thread(backup.make)
        except BaseException as error:
            await self._end(backup)
            if isinstance(error, OSError | duckdb.Error):
                raise _refusal(error) from None
            raise
        headers = {
            "content-disposition": f'attachment; filename="{self._store.path.name}"',
            "content-length": str(backup.size_bytes),
            "x-lessllm-rows": str(backup.calls),
        }
        return PiecesResponse(_pieces(backup), MEDIA_TYPE, headers, lambda: self._end(backup))

    async def _end(self, backup: "Backup") -> None:
        await asyncio.shield(asyncio.to_thread(backup.close))
        self._running = False


class Backup:
    """One copy. `hold`, then `make`, then pieces of it. All block; `close` from any thread."""

    def __init__(self, store: Store) -> None:
        self.size_bytes = 0
        self.calls = 0
        self._store = store
        self._log = log_of(store.path)
        self._part = beside(store.path)
        self._holding = store.cursor()
        self._log_bytes = 0
        self._rows: dict[str, int] = {}
        self._copy: BinaryIO | None = None
        self._closed = threading.Event()
        self._working = threading.Lock()

    def hold(self, connection: duckdb.DuckDBPyConnection) -> None:
        """This is the moment. A job of the writer's: nothing is committed meanwhile."""
        with self._working:
            self._check_open()
            self._holding.begin()
            self._holding.execute(_HOLD)
            self._log_bytes = self._log.stat().st_size if self._log.exists() else 0
            self._rows = row_counts(connection)
            self.calls = self._rows["internal.calls"]

    def make(self) -> None:
        """Raises OSError, duckdb.Error, Refusal."""
        with self._working:
            self._check_open()
            self._check_room()
            header = self._store.file_bytes(0, _HEADER_BYTES)
            self._write(self._part, self._store.file_bytes, self._store.size_bytes())
            # The log as it was then: later commits may lead to what the copy of the file does not have.
            if self._log_bytes:
                with self._log.open("rb") as log:
                    self._write(log_of(self._part), lambda _, size: log.read(size), self._log_bytes)
            if self._store.file_bytes(0, _HEADER_BYTES) != header:
                raise Refusal(500, "backup_failed", "a checkpoint came in between: try again")
            self._holding.rollback()
            self._settle()
            self._copy = self._part.open("rb")
            self.size_bytes = os.fstat(self._copy.fileno()).st_size
            self._part.unlink()  # what is open stays readable, and no crash can leave it behind

    def next_piece(self) -> bytes:
        """Empty: that was all."""
        with self._working:
            return self._copy.read(_PIECE_BYTES) if self._copy is not None else b""

    def close(self) -> None:
        """Stops what is being copied, and waits for it."""
        self._closed.set()
        with self._working:
            self._holding.close()  # rolls back
            if self._copy is not None:
                self._copy.close()
            for left in (self._part, log_of(self._part)):
                left.unlink(missing_ok=True)

    def _check_room(self) -> None:
        needed = self._store.size_bytes() + 2 * self._log_bytes + _MARGIN_BYTES
        free = shutil.disk_usage(self._part.parent).free
        if needed > free:
            raise Refusal(
                507,
                "disk_full",
                f"the copy takes {needed // 10**6:,} MB beside the database before it is sent,"
                f" and {free // 10**6:,} MB are free there",
            )

    def _write(self, target: Path, read: Callable[[int, int], bytes], size_bytes: int) -> None:
        """The first `size_bytes` of what `read` gives from a position on, so many at most."""
        with target.open("xb") as copy:
            while copy.tell() < size_bytes:
                self._check_open()
                piece = read(copy.tell(), min(_PIECE_BYTES, size_bytes - copy.tell()))
                if not piece:
                    raise OSError(errno.EIO, "the database became shorter")
                copy.write(piece)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))

    def _settle(self) -> None:
        """Opens the copy, so that it is one file; raises Refusal if it does not hold what it should."""
        with duckdb.connect(str(self._part), config={**CONFIG, "threads": "1"}) as copy:
            copy.execute("CHECKPOINT")
            found = row_counts(copy)
        if found != self._rows or log_of(self._part).exists():
            raise Refusal(500, "backup_failed", "the copy does not hold what the database does: try again")


async def _pieces(backup: Backup) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(backup.next_piece):
        yield piece


def _refusal(error: OSError | duckdb.Error) -> Refusal:
    reason = error.strerror if isinstance(error, OSError) else first_line(error)
    if is_full(error):
        return Refusal(507, "disk_full", f"the copy beside the database can't be written: {reason}")
    return Refusal(500, "backup_failed", f"the database can't be copied: {reason}")
