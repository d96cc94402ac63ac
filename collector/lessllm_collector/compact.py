"""`python -m lessllm_collector.compact`: the database written anew, without the space of deleted calls.

For a collector that is stopped. Everything goes into a new file beside the old one, is read again in both and
compared, and then takes its place in one step; until then the old file is as it was, whatever happens. The
old one stays open and locked meanwhile, so that nobody can write what would be lost.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import duckdb
from lessllm_shared.config import CollectorSettings
from lessllm_shared.config.sections import Query
from lessllm_shared.service import fail, keep_private, settings_from_arguments

from lessllm_collector.faults import explain
from lessllm_collector.retention import STEP_ROWS, Step, steps
from lessllm_collector.room import log_of
from lessllm_collector.store import CONFIG, Store, StoreError, beside, row_counts

Progress = Callable[[int, int], None]

_NAME = "collector"
_DOES = (
    "Writes the database anew, which gives the space of deleted calls back. The collector must be stopped."
)
# Written as one row group, which retention writes anew when it deletes a part of it.
_GROUP_BYTES = 32 * 1024 * 1024
_GROUP_ROWS = 122_880  # more than that DuckDB parts
_MARGIN_BYTES = 64 * 1024 * 1024
_SAY_S = 2.0


class CompactError(Exception):
    """The database is as it was. The message says why."""


def main() -> None:
    """Exit codes: 0 done, 1 could not, 2 the configuration is wrong."""
    keep_private()
    settings = settings_from_arguments(CollectorSettings, name=_NAME, does=_DOES)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # by way of every `finally`
    path = settings.logging.db_path
    try:
        before, after = compact(path, settings.collector.query, _Said())
    except (CompactError, StoreError) as error:
        fail(_NAME, str(error))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    sys.stdout.write(f"{path}: {after / 1e6:,.1f} MB, was {before / 1e6:,.1f} MB\n")


def compact(path: Path, limits: Query, progress: Progress) -> tuple[int, int]:
    """`progress` is told how many calls of how many are written. Returns the size in bytes before and after.

    Raises CompactError, StoreError.
    """
    path = path.resolve()  # not a link to it is to be replaced
    if not path.exists():
        raise CompactError(f"{path}: there is no database")
    before = path.stat().st_size
    Store(path, limits).close()  # brought up to date, and all of it in the one file
    new = beside(path)
    try:
        with duckdb.connect(config=CONFIG) as connection:
            _attach(connection, path, new, limits)
            _copy(connection, progress)
            _compare(connection)
            connection.execute("DETACH compacted")
            _sync(new)
            shutil.copymode(path, new)
            new.replace(path)
            _sync(path.parent)
    except duckdb.Error as error:
        raise CompactError(explain(path, error)) from None
    except OSError as error:
        raise CompactError(f"{path}: can't be written anew: {error.strerror}") from None
    finally:
        for left in (new, log_of(new)):
            left.unlink(missing_ok=True)
    return before, path.stat().st_size


def _attach(connection: duckdb.DuckDBPyConnection, path: Path, new: Path, limits: Query) -> None:
    connection.execute(f"ATTACH {_quoted(path)} AS original (READ_ONLY)")  # its lock keeps writers out
    if log_of(path).exists():
        raise CompactError(f"{path}: another process has just used it: try again")
    used = connection.execute(
        "SELECT used_blocks * block_size FROM pragma_database_size() WHERE database_name = 'original'"
    ).fetchone()
    needed, free = (used[0] if used else 0) + _MARGIN_BYTES, shutil.disk_usage(path.parent).free
    if needed > free:
        raise CompactError(
            f"{path}: {needed // 10**6:,} MB are needed beside it, and {free // 10**6:,} MB are free there"
        )
    Store(new, limits).close()  # its tables, empty
    connection.execute(f"ATTACH {_quoted(new)} AS compacted")
    connection.execute(f"SET memory_limit = '{limits.memory_limit}'")
    connection.execute("SET threads = 1")  # each would hold bodies of 2,048 calls


def _copy(connection: duckdb.DuckDBPyConnection, progress: Progress) -> None:
    tables = row_counts(connection, "original")
    for table in tables.keys() - {"internal.calls", "main.lessllm_schema"}:  # the latter is there already
        connection.execute(f"INSERT INTO compacted.{table} BY NAME FROM original.{table}")
    done, calls = 0, tables["internal.calls"]
    for group in groups(_windows(connection)):
        progress(done, calls)
        # What the calls of a session repeat compresses best side by side.
        inserted = connection.execute(
            "INSERT INTO compacted.internal.calls BY NAME FROM original.internal.calls"
            " WHERE rowid >= ? AND rowid < ? ORDER BY session_id, rowid",
            [group.start, group.end],
        ).fetchone()
        done += inserted[0] if inserted else 0
        connection.execute("CHECKPOINT compacted")
    connection.execute("CHECKPOINT compacted")
    progress(done, calls)


def groups(windows: Iterable[Step]) -> Iterator[Step]:
    """The same rows in steps that become row groups."""
    group: Step | None = None
    for step in steps(windows):
        if group is None:
            group = step
        elif group.size_bytes + step.size_bytes > _GROUP_BYTES or step.end - group.start > _GROUP_ROWS:
            yield group
            group = step
        else:
            group = Step(group.start, step.end, group.size_bytes + step.size_bytes)
    if group is not None:
        yield group


def _windows(connection: duckdb.DuckDBPyConnection) -> list[Step]:
    found = connection.execute(
        "SELECT min(rowid), max(rowid) + 1, sum(1000"  # noqa: S608 - our own numbers
        " + CASE WHEN request_body IS NULL THEN 0 ELSE request_body_bytes END"
        " + CASE WHEN response_body IS NULL THEN 0 ELSE response_body_bytes END)"
        f" FROM original.internal.calls GROUP BY rowid // {STEP_ROWS} ORDER BY 1"
    ).fetchall()
    return [Step(start, end, int(size_bytes)) for start, end, size_bytes in found]


def _compare(connection: duckdb.DuckDBPyConnection) -> None:
    for table in row_counts(connection, "original"):
        if _digest(connection, f"original.{table}") != _digest(connection, f"compacted.{table}"):
            raise CompactError(f"what was written of {table} is not what was there")


def _digest(connection: duckdb.DuckDBPyConnection, table: str) -> tuple[object, ...] | None:
    """How many rows, and a sum over all their values, whatever their order."""
    names = sorted(column[0] for column in connection.execute(f"FROM {table} LIMIT 0").description or ())
    columns = ", ".join(f'"{name}"' for name in names)
    digest: tuple[object, ...] | None = connection.execute(
        f"SELECT count(*), sum(hash({columns})) FROM {table}"  # noqa: S608 - our own names
    ).fetchone()
    return digest


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Said:
    """Progress as lines, not too many of them."""

    def __init__(self) -> None:
        self._next_s = time.monotonic() + _SAY_S

    def __call__(self, done: int, calls: int) -> None:
        if calls and time.monotonic() >= self._next_s:
            sys.stderr.write(f"{done:,} of {calls:,} calls\n")
            self._next_s = time.monotonic() + _SAY_S


if __name__ == "__main__":
    main()
