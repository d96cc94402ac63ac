"""What suggestions read from the database: which calls there are, then their rows, each body by itself.

Each step is a short read of its own, so that nothing waits for the whole and nothing holds all bodies.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from lessllm_collector.suggestions.limits import LEAST_DAYS, MAX_BODY_BYTES, MAX_CALLS, MAX_ONE_BODY_BYTES
from lessllm_collector.suggestions.traces import COLUMNS

_FILTERS = {"model": "model", "provider": "provider", "user": "user_id"}
_COLUMNS = ", ".join(f'"{name}"' for name in COLUMNS)
# Found by any other condition, DuckDB would unpack the bodies of 2,048 neighbours at once.
_BY_ROWID = f"SELECT {_COLUMNS} FROM internal.calls WHERE rowid = ?"  # noqa: S608 - our own names
_CHOOSE = """
    SELECT rowid, "timestamp", request_body_bytes, count(*) OVER () AS total
    FROM internal.calls
    WHERE "timestamp" >= ? AND "timestamp" < ? AND actual_prompt_tokens IS NOT NULL
        AND request_body_bytes <= ? {filters}
    ORDER BY "timestamp" DESC, request_id DESC
    LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose calls, of how many days. None: all."""

    days: int
    model: str | None = None
    provider: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """Calls to look at, in any order, and how many there are. `since`: from when on all are looked at."""

    rowids: Sequence[int]
    total: int
    since: datetime
    until: datetime

    @property
    def days(self) -> float:
        """That these calls took."""
        return max(LEAST_DAYS, (self.until - self.since).total_seconds() / 86_400)


def choose(connection: duckdb.DuckDBPyConnection, wanted: Wanted, until: datetime) -> Choice:
    """The newest, as many as are looked at."""
    given = {column: value for name, column in _FILTERS.items() if (value := getattr(wanted, name))}
    filters = "".join(f' AND "{column}" = ?' for column in given)
    begin = until - timedelta(days=wanted.days)
    values = [begin, until, MAX_ONE_BODY_BYTES, *given.values(), MAX_CALLS]
    found = connection.execute(_CHOOSE.format(filters=filters), values).to_arrow_table().to_pylist()
    rowids: list[int] = []
    size_bytes = 0
    for call in found:
        size_bytes += call["request_body_bytes"]
        if size_bytes > MAX_BODY_BYTES:
            break
        rowids.append(call["rowid"])
    total = found[0]["total"] if found else 0
    since = max(begin, _first(connection) or begin)
    if len(rowids) < total and rowids:
        since = found[len(rowids) - 1]["timestamp"]
    return Choice(rowids, total, since, until)


def rows(connection: duckdb.DuckDBPyConnection, rowids: Iterable[int]) -> Iterator[dict[str, Any]]:
    """Of calls that are still there; `rowid` is in each."""
    for rowid in rowids:
        for row in connection.execute(_BY_ROWID, [rowid]).to_arrow_table().to_pylist():
            yield {**row, "rowid": rowid}


def _first(connection: duckdb.DuckDBPyConnection) -> datetime | None:
    """When the first call of all was made."""
    row = connection.execute('SELECT epoch_us(min("timestamp")) FROM internal.calls').fetchone()
    return None if row is None or row[0] is None else datetime.fromtimestamp(row[0] / 1e6, UTC)
