"""Rows into the database: dicts by column name in, Arrow between, statements out. Knows no queues.

Everything here runs on the writer's thread, inside a transaction that the writer opens and ends.
"""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import duckdb
import pyarrow as pa

from lessllm_collector.cache import COLUMNS, Correction
from lessllm_collector.schema import STORED

Row = Mapping[str, Any]

# What a value that the database can't take looks like, in Arrow's words and in DuckDB's.
UNSTORABLE = (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError, OverflowError, duckdb.DataError)

_ARROW_TYPES: Mapping[str, pa.DataType] = {
    "VARCHAR": pa.string(),
    "JSON": pa.string(),
    "BLOB": pa.binary(),
    "BOOLEAN": pa.bool_(),
    "BIGINT": pa.int64(),
    "UBIGINT": pa.uint64(),
    "USMALLINT": pa.uint16(),
    "DOUBLE": pa.float64(),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
}
_SCHEMA = pa.schema([(column.name, _ARROW_TYPES[column.sql_type]) for column in STORED])


def insert(connection: duckdb.DuckDBPyConnection, rows: Sequence[Row]) -> None:
    """Adds rows to `calls`. Raises one of UNSTORABLE if a value does not fit, else duckdb.Error."""
    with _registered(connection, _table(rows, _SCHEMA)):
        connection.execute("INSERT INTO internal.calls BY NAME SELECT * FROM batch")


def update(connection: duckdb.DuckDBPyConnection, names: Sequence[str], rows: Sequence[Row]) -> None:
    """Sets the columns `names` of rows that are there, found by their `rowid`."""
    schema = pa.schema([("rowid", pa.int64()), *(_SCHEMA.field(name) for name in names)])
    changes = ", ".join(f'"{name}" = batch."{name}"' for name in names)
    with _registered(connection, _table(rows, schema)):
        connection.execute(
            f"UPDATE internal.calls SET {changes} FROM batch WHERE calls.rowid = batch.rowid"  # noqa: S608 - our own names
        )


def correct(connection: duckdb.DuckDBPyConnection, corrections: Sequence[Correction]) -> None:
    """Sets the cache columns of calls that are there, or nothing where they are not."""
    schema = pa.schema([_SCHEMA.field(name) for name in ("request_id", "timestamp", *COLUMNS)])
    table = _table(
        [{"request_id": c.request_id, "timestamp": c.timestamp_us, **c.columns} for c in corrections], schema
    )
    changes = ", ".join(f'"{name}" = batch."{name}"' for name in COLUMNS)
    first = min(correction.timestamp_us for correction in corrections)
    last = max(correction.timestamp_us for correction in corrections)
    with _registered(connection, table):
        connection.execute(
            f"UPDATE internal.calls SET {changes} FROM batch"  # noqa: S608 - our own names
            ' WHERE calls.request_id = batch.request_id AND calls."timestamp" = batch."timestamp"'
            # else it would look through all calls
            ' AND calls."timestamp" BETWEEN make_timestamptz(?) AND make_timestamptz(?)',
            [first, last],
        )


def set_committed(connection: duckdb.DuckDBPyConnection, committed: Mapping[str, int]) -> None:
    """Notes how far each gateway process's records are."""
    connection.executemany(
        "INSERT INTO internal.deliveries VALUES (?, ?, now())"
        " ON CONFLICT (gateway_id) DO UPDATE"
        " SET committed = excluded.committed, last_seen = excluded.last_seen",
        list(committed.items()),
    )


def add_lost(
    connection: duckdb.DuckDBPyConnection, gateway_id: str, first_sequence: int, last_sequence: int
) -> None:
    """Notes numbers that will never come."""
    connection.execute(
        "INSERT INTO internal.lost VALUES (?, ?, ?, now())", [gateway_id, first_sequence, last_sequence]
    )


def set_aside(
    connection: duckdb.DuckDBPyConnection, gateway_id: str, sequence: int, error: str, record: bytes
) -> None:
    """Keeps what can't be a row as it came."""
    connection.execute(
        "INSERT INTO internal.quarantine VALUES (?, ?, now(), ?, ?)", [gateway_id, sequence, error, record]
    )


def _table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    columns = zip(*map(itemgetter(*schema.names), rows), strict=True)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


class _Stream:
    """A table as nothing but its batches: DuckDB reads a pa.Table by way of a dataset, which takes longer."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


class _registered:  # noqa: N801 - reads as a verb: with _registered(…)
    """A table that SQL knows as `batch`, for as long as the block lasts."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, table: pa.Table) -> None:
        self._connection = connection
        self._table = table

    def __enter__(self) -> None:
        self._connection.register("batch", _Stream(self._table))

    def __exit__(self, *_: object) -> None:
        self._connection.unregister("batch")
