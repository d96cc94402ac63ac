"""Room on the disk: what there is, and whether a commit or a checkpoint may begin.

DuckDB gives its database up when a checkpoint finds the disk full: what was committed is safe, but nothing
can be read until it is opened again. Any commit may bring a checkpoint, so none begins without room for
both. Some room is left over for what deletes old data.
"""

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
from lessllm_shared import disk

LEAST_BYTES = 1024 * 1024  # a checkpoint of next to nothing
# From the log into the file. Seen: 0.1 times as many bytes (text) to 1.17 (what can't be compressed).
GROWTH = 1.25


class NoRoom(Exception):  # noqa: N818 - a state, not a fault
    """The message says how much there is, and how much is needed."""


@dataclass(frozen=True)
class Room:
    """Bytes."""

    disk: int  # free on the disk
    log: int  # committed, and not in the database's file yet
    reserve: int
    file: int = 0  # free in the file: for checkpoints only

    def for_commit(self, size: int) -> int:
        """How much must be free on the disk."""
        return size + max(int(GROWTH * (self.log + size)) + self.reserve - self.file, LEAST_BYTES)

    def for_checkpoint(self) -> int:
        """How much must be free on the disk."""
        return int(GROWTH * self.log) + LEAST_BYTES - self.file


def make(path: Path, connection: duckdb.DuckDBPyConnection, size: int) -> None:
    """Raises NoRoom if there is none for a commit of so many bytes, not even after a checkpoint."""
    room = _outside(path)
    if room.for_commit(size) <= room.disk:
        return
    room = _whole(path, connection)
    if room.for_commit(size) > room.disk and room.log:  # it may hold deletions, which free space in the file
        with contextlib.suppress(NoRoom, duckdb.TransactionException):
            checkpoint(path, connection)
            room = _whole(path, connection)
    _check(path, room, room.for_commit(size))


def checkpoint(path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """From the log into the file, if there is room. Raises NoRoom, duckdb.Error."""
    room = _whole(path, connection)
    _check(path, room, room.for_checkpoint())
    connection.execute("CHECKPOINT")


def free_bytes(path: Path) -> int:
    """On the disk that the file is on."""
    return _outside(path).disk


def log_of(path: Path) -> Path:
    """Where commits are until a checkpoint."""
    return path.with_name(f"{path.name}.wal")


def _check(path: Path, room: Room, needed: int) -> None:
    if needed > room.disk:
        raise NoRoom(
            f"the disk is full: {room.disk / 1e6:,.1f} MB are free beside {path},"
            f" and {needed / 1e6:,.1f} MB are needed"
        )


def _outside(path: Path) -> Room:
    """What can be seen without the database."""
    found = disk.look(path.parent)
    log = log_of(path).stat().st_size if log_of(path).exists() else 0
    return Room(found.free_bytes, log, found.reserve_bytes)


def _whole(path: Path, connection: duckdb.DuckDBPyConnection) -> Room:
    free = connection.execute("SELECT block_size * free_blocks FROM pragma_database_size()").fetchone()
    return replace(_outside(path), file=int(free[0]) if free else 0)
