"""The DuckDB file: opened, migrated, locked down; cursors for the one writer and for readers.

What users query is the view `api_calls`; the tables behind it are in a schema of their own. External
access is off and the configuration locked for every cursor: no SQL reaches a file or changes a limit.
"""

import glob
import logging
import math
import os
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path

import duckdb
from lessllm_shared.config.sections import Query

from lessllm_collector.migrations import TooNewError, migrate
from lessllm_collector.schema import COLUMNS, GAP_COLUMNS, GAPS, VIEW_COLUMNS

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "storage_compatibility_version": "latest",
    "max_vacuum_tasks": "0",
}
MERGED_BYTES = 64 * 1024 * 1024  # of the file: writing all of it anew takes 1 to 2 s

log = logging.getLogger(__name__)


class StoreError(Exception):
    """The database can't be opened. The message says why, and what to do."""


class Store:
    """Owns the database. One process at a time can: DuckDB locks the file."""

    def __init__(self, path: Path, limits: Query) -> None:
        """Raises StoreError."""
        self.path = path
        # Set by who writes when the database can't take a commit: queries share its memory, and end.
        self.give_way = threading.Event()
        # Set when the process is to end: queries end at once.
        self.closing = threading.Event()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = duckdb.connect(str(path), config=CONFIG)
            _clear(path)
            _prepare(self._database, limits)
            # To read the file as it is. Closing one ends all locks that this process has on it, DuckDB's too:
            # it is open for as long as the database.
            self._file = path.open("rb")
        except (duckdb.Error, TooNewError, OSError) as error:
            raise StoreError(explain(path, error)) from None

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the database, for one thread."""
        return self._database.cursor()

    def committed(self) -> dict[str, int]:
        """How far each gateway process's records are in the database."""
        return dict(self.cursor().execute("SELECT gateway_id, committed FROM internal.deliveries").fetchall())

    def size_bytes(self) -> int:
        """Of the file, its log apart."""
        return os.fstat(self._file.fileno()).st_size

    def cached_bytes(self) -> float:
        """Of the file, what DuckDB keeps in memory: what it has written and read, while there is room."""
        try:
            with self._database.cursor() as connection:
                found = connection.execute(_CACHED).fetchone()
        except duckdb.Error:
            return math.nan
        return float(found[0]) if found else math.nan

    def file_bytes(self, start: int, size_bytes: int) -> bytes:
        """A part of the file as it is on the disk, from any thread."""
        return os.pread(self._file.fileno(), size_bytes, start)

    def close(self) -> None:
        """Write everything into the one file, and let go of it."""
        try:
            self._database.execute("CHECKPOINT")
        except duckdb.Error as error:
            log.warning(
                "what was committed stays in %s.wal until the next start: %s", self.path, first_line(error)
            )
        self._database.close()
        self._file.close()


_CACHED = "SELECT coalesce(sum(memory_usage_bytes), 0) FROM duckdb_memory() WHERE tag = 'BASE_TABLE'"


def log_of(path: Path) -> Path:
    """Where commits are until a checkpoint."""
    return path.with_name(f"{path.name}.wal")


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


def _prepare(connection: duckdb.DuckDBPyConnection, limits: Query) -> None:
    migrate(connection)
    columns = ", ".join(VIEW_COLUMNS.values())
    connection.begin()  # one commit for all: each waits for the disk
    connection.execute(f"CREATE OR REPLACE VIEW main.api_calls AS SELECT {columns} FROM internal.calls")  # noqa: S608 - our own names
    connection.execute(f"CREATE OR REPLACE VIEW main.delivery_gaps AS {GAPS}")
    _comment(connection, "api_calls", {column.name: column.comment for column in COLUMNS})
    _comment(connection, "delivery_gaps", GAP_COLUMNS)
    connection.commit()
    _merge_row_groups(connection)
    for setting in (
        "TimeZone = 'UTC'",  # else date(timestamp) would follow the machine
        f"memory_limit = '{limits.memory_limit}'",
        f"threads = {limits.threads}",
        "allocator_background_threads = true",  # else what a query took stays with the process for long
        "python_enable_replacements = false",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET GLOBAL {setting}")


def _merge_row_groups(connection: duckdb.DuckDBPyConnection) -> None:
    """A run's last rows are a row group of their own, however few: of many short runs become few again.

    Only while that is soon done, and never later: DuckDB merges whatever row groups are alike in rows, so it
    writes all bodies again each time that their number doubles, while the writer waits (docs/decisions/0006).
    """
    used = connection.execute("SELECT used_blocks * block_size FROM pragma_database_size()").fetchone()
    if used is not None and used[0] <= MERGED_BYTES:
        connection.execute("SET GLOBAL max_vacuum_tasks = 100")
        connection.execute("CHECKPOINT")
    connection.execute("SET GLOBAL max_vacuum_tasks = 0")


def _comment(connection: duckdb.DuckDBPyConnection, view: str, comments: Mapping[str, str]) -> None:
    for name, comment in comments.items():
        text = comment.replace("'", "''")
        connection.execute(f"COMMENT ON COLUMN main.{view}.\"{name}\" IS '{text}'")


def explain(path: Path, error: Exception) -> str:
    """Why the database can't be opened, in a line."""
    text = str(error)
    if "Conflicting lock" in text:
        holder = text.partition("(PID ")[2].partition(")")[0]
        by = f"process {holder}" if holder else "another process"
        return f"{path}: in use by {by}: stop it, or set logging.db_path to another file"
    if "not a valid DuckDB database" in text:
        return f"{path}: is not a DuckDB file: move it away, or set logging.db_path to another file"
    return f"{path}: can't be opened: {first_line(error)}"


def first_line(error: Exception) -> str:
    """What DuckDB says, without the advice that may follow."""
    return str(error).partition("\n")[0] or type(error).__name__
