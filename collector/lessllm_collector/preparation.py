"""What is done to the database whenever it is opened: tables and views brought up to date, then locked down.

A full disk is no reason not to open it: what can wait, waits for a later start.
"""

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path

import duckdb
from lessllm_shared.config.sections import Query

from lessllm_collector import room
from lessllm_collector.migrations import migrate
from lessllm_collector.reports import VIEWS
from lessllm_collector.schema import COLUMNS, GAP_COLUMNS, GAPS, VIEW_COLUMNS

MERGED_BYTES = 64 * 1024 * 1024  # of the file: writing all of it anew takes 1 to 2 s
_VIEWS_BYTES = 64 * 1024  # of the log

log = logging.getLogger(__name__)


def prepare(path: Path, connection: duckdb.DuckDBPyConnection, limits: Query) -> None:
    """Raises TooNewError, NoRoom, OSError, duckdb.Error."""
    migrate(connection)
    connection.execute("SELECT count(committed) FROM internal.deliveries").fetchall()  # nothing goes without
    try:
        room.make(path, connection, _VIEWS_BYTES)
        _make_views(connection)
    except room.NoRoom as error:
        if not _has_views(connection):
            raise
        log.warning("the views stay as they are: %s", error)
    _merge_row_groups(path, connection)
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


def _make_views(connection: duckdb.DuckDBPyConnection) -> None:
    columns = ", ".join(VIEW_COLUMNS.values())
    connection.begin()  # one commit for all: each waits for the disk
    connection.execute(f"CREATE OR REPLACE VIEW main.api_calls AS SELECT {columns} FROM internal.calls")  # noqa: S608 - our own names
    connection.execute(f"CREATE OR REPLACE VIEW main.delivery_gaps AS {GAPS}")
    _comment(connection, "api_calls", {column.name: column.comment for column in COLUMNS})
    _comment(connection, "delivery_gaps", GAP_COLUMNS)
    for name, view in VIEWS.items():
        connection.execute(f"CREATE OR REPLACE VIEW main.{name} AS {view.sql}")
        _comment(connection, name, view.comments)
    connection.commit()


def _has_views(connection: duckdb.DuckDBPyConnection) -> bool:
    found = connection.execute("SELECT count(*) FROM duckdb_views() WHERE NOT internal").fetchone()
    return found is not None and found[0] > 0


def _comment(connection: duckdb.DuckDBPyConnection, view: str, comments: Mapping[str, str]) -> None:
    for name, comment in comments.items():
        text = comment.replace("'", "''")
        connection.execute(f"COMMENT ON COLUMN main.{view}.\"{name}\" IS '{text}'")


def _merge_row_groups(path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """A run's last rows are a row group of their own, however few: of many short runs become few again.

    Only while that is soon done, and never later: DuckDB merges whatever row groups are alike in rows, so it
    writes all bodies again each time that their number doubles, while the writer waits (docs/decisions/0006).
    """
    used = connection.execute("SELECT used_blocks * block_size FROM pragma_database_size()").fetchone()
    if used is None or used[0] > MERGED_BYTES:
        return
    with contextlib.suppress(room.NoRoom):
        room.make(path, connection, used[0])
        connection.execute("SET GLOBAL max_vacuum_tasks = 100")
        connection.execute("CHECKPOINT")
        connection.execute("SET GLOBAL max_vacuum_tasks = 0")
