"""Working derived columns out again, from the raw data of calls that are stored already.

In steps on the writer's thread, with new records committed in between, in order of the calls' beginnings:
what caches held is worked out again with a predictor that knows nothing yet, so some calls before `since` are
read, too, and stay as they are. A call whose raw data is gone keeps what it has: nothing known is overwritten
with NULL because the source was deleted.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa

from lessllm_collector import rows, spending
from lessllm_collector.cache import COLUMNS, Predictor
from lessllm_collector.interpret import Prices, Seen, derive, record_of
from lessllm_collector.schema import STORED, STORED_NAMES
from lessllm_collector.spending import Booking
from lessllm_collector.writer import Writer

STEP_ROWS = 200
BEFORE = timedelta(days=1)  # caches that last longer are few

_DERIVED = tuple(column.name for column in STORED if column.derived)
_UNPREDICTED = tuple(name for name in _DERIVED if name not in COLUMNS)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


async def reanalyze(
    writer: Writer, prices: Prices, since: datetime | None, predictor: Predictor | None = None
) -> int:
    """For all calls from `since` on. Returns for how many. Raises duckdb.Error.

    Without a new `predictor` the cache columns stay as they are.
    """
    done = 0
    seen_texts = Seen()
    async with writer.rowids:
        await writer.checkpoint()
        found = await writer.run(partial(_calls, since=since, predicts=predictor is not None))
        for start in range(0, len(found), STEP_ROWS):
            chosen = found.slice(start, STEP_ROWS)
            step = partial(_step, chosen=chosen, prices=prices, predictor=predictor, seen_texts=seen_texts)
            changed, booked = await writer.run(step)
            writer.spending.add(booked)
            done += changed
    return done


def _calls(connection: duckdb.DuckDBPyConnection, *, since: datetime | None, predicts: bool) -> pa.Table:
    """Which there are, in order: `rowid`, and whether it `changes`."""
    first = since or _BEGINNING
    read_from = first - BEFORE if predicts and since is not None else first
    return connection.execute(
        'SELECT rowid, "timestamp" >= ? AS changes FROM internal.calls WHERE "timestamp" >= ?'
        ' ORDER BY "timestamp"',
        [first, read_from],
    ).to_arrow_table()


def _step(
    connection: duckdb.DuckDBPyConnection,
    *,
    chosen: pa.Table,
    prices: Prices,
    predictor: Predictor | None,
    seen_texts: Seen,
) -> tuple[int, Booking]:
    columns = ", ".join(f'calls."{name}"' for name in STORED_NAMES if name != "timestamp")
    rowids = chosen["rowid"].to_pylist()
    connection.register("chosen", chosen)
    table = connection.execute(
        f'SELECT calls.rowid, chosen.changes, epoch_us("timestamp") AS "timestamp", {columns}'  # noqa: S608 - our own names
        " FROM internal.calls JOIN chosen ON calls.rowid = chosen.rowid"
        ' WHERE calls.rowid BETWEEN ? AND ? ORDER BY calls."timestamp"',
        [min(rowids), max(rowids)],
    ).to_arrow_table()
    connection.unregister("chosen")
    calls = [row for row in table.to_pylist() if _is_whole(row)]
    found = [{**row, **derive(record_of(row), prices, seen_texts)} for row in calls]
    corrections = predictor.score(found) if predictor is not None else []
    changed = [row for row in found if row["changes"]]
    booked = spending.booking(changed, minus=(row for row in calls if row["changes"]))
    if changed:
        spending.book(connection, booked)
        rows.update(connection, _UNPREDICTED if predictor is None else _DERIVED, changed)
    if corrections:
        rows.correct(connection, corrections)
    return len(changed), booked


def _is_whole(row: Mapping[str, Any]) -> bool:
    """Bodies that there were are still here."""
    bodies = ("request_body", "response_body")
    return all(row[body] is not None or not row[f"{body}_bytes"] for body in bodies)
