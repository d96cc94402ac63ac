"""Working derived columns out again, from the raw data of calls that are stored already.

In steps on the writer's thread, with new records committed in between. A call whose raw data is gone
keeps what it has: nothing known is overwritten with NULL because the source was deleted.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import duckdb

from lessllm_collector import rows
from lessllm_collector.interpret import Prices, derive, record_of
from lessllm_collector.schema import STORED, STORED_NAMES
from lessllm_collector.writer import Writer

STEP_ROWS = 200

_DERIVED = tuple(column.name for column in STORED if column.derived)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


async def reanalyze(writer: Writer, prices: Prices, since: datetime | None) -> int:
    """For all calls from `since` on. Returns for how many. Raises duckdb.Error."""
    done = 0
    async with writer.rowids:
        await writer.checkpoint()
        first, end = await writer.run(_extent)
        for start in range(first, end, STEP_ROWS):
            step = partial(_step, start=start, prices=prices, since=since or _BEGINNING)
            done += await writer.run(step)
    return done


def _extent(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    row = connection.execute("SELECT min(rowid), max(rowid) + 1 FROM internal.calls").fetchone()
    return (0, 0) if row is None or row[0] is None else (row[0], row[1])


def _step(connection: duckdb.DuckDBPyConnection, *, start: int, prices: Prices, since: datetime) -> int:
    columns = ", ".join(f'"{name}"' for name in STORED_NAMES if name != "timestamp")
    table = connection.execute(
        f"SELECT rowid, {columns} FROM internal.calls"  # noqa: S608 - our own names
        ' WHERE rowid >= ? AND rowid < ? AND "timestamp" >= ?',
        [start, start + STEP_ROWS, since],
    ).to_arrow_table()
    calls = [row for row in table.to_pylist() if _is_whole(row)]
    if calls:
        found = [{**derive(record_of(row), prices), "rowid": row["rowid"]} for row in calls]
        rows.update(connection, _DERIVED, found)
    return len(calls)


def _is_whole(row: Mapping[str, Any]) -> bool:
    """Bodies that there were are still here."""
    bodies = ("request_body", "response_body")
    return all(row[body] is not None or not row[f"{body}_bytes"] for body in bodies)
