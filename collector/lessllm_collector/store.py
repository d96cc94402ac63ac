"""The DuckDB file: opened, migrated, locked down; cursors for the one writer and for readers.

What users query is the view `api_calls`; the tables behind it are in a schema of their own. External
access is off and the configuration locked for every cursor: no SQL reaches a file or changes a limit.
After an error for which DuckDB gives the database up, such as a disk that gets full in the middle of a
checkpoint, it is opened again: all that was committed is there. Meanwhile there are no cursors.
"""

import errno
import glob
import logging
import math
import os
import secrets
import threading
from pathlib import Path

import duckdb
from lessllm_shared.config.sections import Query

from lessllm_collector import room, spending
from lessllm_collector.faults import explain, reason
from lessllm_collector.migrations import TooNewError
from lessllm_collector.preparation import prepare
from lessllm_collector.spending import Booking

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "storage_compatibility_version": "latest",
    "max_vacuum_tasks": "0",
}
RETRY_S = 1.0

log = logging.getLogger(__name__)


class StoreError(Exception):
    """The database is not open. The message says why, and what to do."""


class Store:
    """Owns the database. One process at a time can: DuckDB locks the file."""

    def __init__(self, path: Path, limits: Query) -> None:
        """Raises StoreError."""
        self.path = path
        # Set by who writes when the database can't take a commit: queries share its memory, and end.
        self.give_way = threading.Event()
        # Set when the process is to end: queries end at once.
        self.closing = threading.Event()
        self.trouble: str | None = None  # why there are no cursors at the moment
        self._limits = limits
        self._changing = threading.Lock()
        self._opener: threading.Thread | None = None
        self._open()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the database, for one thread. Raises StoreError."""
        with self._changing:
            if self.trouble is not None:
                raise StoreError(self.trouble)
            return self._database.cursor()

    def check(self, error: Exception) -> None:
        """After an error that may have been the end of the database. Raises StoreError if it was.

        It is opened again then, as soon as the queries that still run have ended.
        """
        with self._changing:
            if self.trouble is None and _has_failed(self._database):
                self.trouble = f"the database failed and is opened again: {reason(error)}"
                log.error(self.trouble)
                self._opener = threading.Thread(target=self._open_again, name="opener")
                self._opener.start()
            if self.trouble is not None:
                raise StoreError(self.trouble)

    def committed(self) -> dict[str, int]:
        """How far each gateway process's records are in the database. Raises StoreError, duckdb.Error."""
        with self.cursor() as cursor:
            return dict(cursor.execute("SELECT gateway_id, committed FROM internal.deliveries").fetchall())

    def spent(self) -> Booking:
        """What client keys have spent of late. Raises StoreError, duckdb.Error."""
        with self.cursor() as cursor:
            return spending.read(cursor)

    def size_bytes(self) -> int:
        """Of the file, its log apart."""
        return os.fstat(self._file.fileno()).st_size

    def memory_bytes(self, *, cache: bool) -> float:
        """What DuckDB holds in memory: of the file, as a cache while there is room; or all else."""
        try:
            with self.cursor() as connection:
                found = connection.execute(_MEMORY, [cache]).fetchone()
        except (StoreError, duckdb.Error):
            return math.nan
        return float(found[0]) if found else math.nan

    def file_bytes(self, start: int, size_bytes: int) -> bytes:
        """A part of the file as it is on the disk, from any thread. Raises OSError."""
        if self._file.closed:
            raise OSError(errno.EIO, "the database failed and is opened again")
        return os.pread(self._file.fileno(), size_bytes, start)

    def close(self) -> None:
        """Write everything into the one file, and let go of it."""
        self.closing.set()
        if self._opener is not None:
            self._opener.join()
        try:
            with self.cursor() as cursor:
                room.checkpoint(self.path, cursor)
        except (StoreError, room.NoRoom, OSError, duckdb.Error) as error:
            kept = room.log_of(self.path)
            log.warning("what was committed stays in %s until the next start: %s", kept, reason(error))
        self._let_go()

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = duckdb.connect(str(self.path), config=CONFIG)
        except (duckdb.Error, OSError) as error:
            raise StoreError(explain(self.path, error)) from None
        try:
            _clear(self.path)
            prepare(self.path, self._database, self._limits)
            # To read the file as it is. Closing one ends all locks that this process has on it, DuckDB's too:
            # it is open for as long as the database.
            self._file = self.path.open("rb")
        except (duckdb.Error, TooNewError, room.NoRoom, OSError) as error:
            self._database.close()
            raise StoreError(explain(self.path, error)) from None

    def _open_again(self) -> None:
        self._let_go()  # waits for queries that still run
        while not self.closing.is_set():
            try:
                self._open()
            except StoreError as error:
                self.trouble = str(error)
                self.closing.wait(RETRY_S)
            else:
                log.warning("the database is open again")
                self.trouble = None
                return

    def _let_go(self) -> None:
        self._database.close()
        self._file.close()


_MEMORY = "SELECT sum(memory_usage_bytes) FROM duckdb_memory() WHERE (tag = 'BASE_TABLE') = ?"


def _has_failed(database: duckdb.DuckDBPyConnection) -> bool:
    try:
        database.execute("SELECT 1").fetchall()
    except duckdb.FatalException:
        return True
    return False


def beside(path: Path) -> Path:
    """A name for a copy under way, on the same disk. What a crash leaves of it goes at the next start."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def row_counts(connection: duckdb.DuckDBPyConnection, database: str | None = None) -> dict[str, int]:
    """How many rows each table has, of the connection's own database or of an attached one."""
    tables = connection.execute(
        "SELECT database_name, schema_name || '.' || table_name FROM duckdb_tables()"
        " WHERE database_name = coalesce(?, current_database()) ORDER BY ALL",
        [database],
    ).fetchall()
    counts: dict[str, int] = {}
    for catalog, table in tables:
        (counts[table],) = connection.execute(f'SELECT count(*) FROM "{catalog}".{table}').fetchall()[0]  # noqa: S608 - our own names
    return counts


def _clear(path: Path) -> None:
    """This process has the database, so no copy of it is being made."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part*"):
        left.unlink(missing_ok=True)
