"""Single calls: the latest ones page by page, and one whole, with what was sent and what came back."""

import base64
import re
from typing import Any

import duckdb
import msgspec

from lessllm_collector.errors import Refusal
from lessllm_collector.filters import METRICS, Filter
from lessllm_collector.formats import records
from lessllm_collector.query import run
from lessllm_collector.schema import STORED_NAMES, VIEW_COLUMNS

_METRICS = ", ".join(f'"{name}"' for name in METRICS)
_STORED = ", ".join(f'"{name}"' for name in STORED_NAMES)
_MADE_BY_US = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_ROWID = "SELECT rowid FROM internal.calls WHERE request_id = ?"
# BIGINT: a small number would be an INTEGER, whose thousandfold is none.
_AROUND_MS = "make_timestamptz(1000 * (?::BIGINT - 1)) AND make_timestamptz(1000 * (?::BIGINT + 1))"
_ABOUT_THEN = f'"timestamp" BETWEEN {_AROUND_MS}'
_OTHERS = ", ".join(sql for name, sql in VIEW_COLUMNS.items() if name not in METRICS)
# Found by any other condition, DuckDB would unpack the bodies of 2,048 neighbours at once.
_BY_ROWID = "FROM internal.calls WHERE rowid = ?"


def latest(
    connection: duckdb.DuckDBPyConnection, chosen: Filter, before: str | None, limit: int
) -> dict[str, Any]:
    """{"calls": newest first, without bodies, "next": what `before` is for the next page, or None}.

    Raises Refusal.
    """
    condition, values = chosen.sql, [*chosen.values]
    if before is not None:
        at_us = _time_of(connection, before)
        condition += (
            ' AND ("timestamp" < make_timestamptz(?)'
            ' OR ("timestamp" = make_timestamptz(?) AND request_id < ?))'
        )
        values += [at_us, at_us, before]
    result = run(
        connection,
        f"SELECT {_METRICS} FROM main.api_calls WHERE {condition}"  # noqa: S608 - our own names
        ' ORDER BY "timestamp" DESC, request_id DESC LIMIT ?',
        [*values, limit + 1],
        limit,
    )
    calls = records(result)
    return {"calls": calls, "next": calls[-1]["request_id"] if result.truncated else None}


def whole(connection: duckdb.DuckDBPyConnection, request_id: str) -> dict[str, Any]:
    """Every column. Bodies and JSON columns as the JSON that they are, else as text or {"base64": …}.

    Raises Refusal.
    """
    rowid = _find(connection, request_id)
    plain = run(connection, f"SELECT {_METRICS} {_BY_ROWID}", [rowid], 1)
    rest = connection.execute(f"SELECT {_OTHERS} {_BY_ROWID}", [rowid]).to_arrow_table()
    bodies = {name: _embedded(value) for name, value in rest.to_pylist()[0].items()}
    return {**records(plain)[0], **bodies}


def row(connection: duckdb.DuckDBPyConnection, request_id: str) -> dict[str, Any]:
    """Every stored column, as it is in the database. Raises Refusal."""
    stored = f"SELECT {_STORED} {_BY_ROWID}"
    (found,) = connection.execute(stored, [_find(connection, request_id)]).to_arrow_table().to_pylist()
    return dict(found)


def _find(connection: duckdb.DuckDBPyConnection, request_id: str) -> int:
    """Its rowid. A UUIDv7 says when the call began, so that the calls of other days need not be looked at."""
    found = None
    if _MADE_BY_US.fullmatch(request_id):
        ms = int(request_id[:8] + request_id[9:13], 16)
        found = connection.execute(f"{_ROWID} AND {_ABOUT_THEN}", [request_id, ms, ms]).fetchone()
    found = found or connection.execute(_ROWID, [request_id]).fetchone()
    if found is not None:
        return int(found[0])
    raise _unknown(request_id)


def _time_of(connection: duckdb.DuckDBPyConnection, request_id: str) -> int:
    row = connection.execute(
        'SELECT epoch_us("timestamp") FROM main.api_calls WHERE request_id = ?', [request_id]
    ).fetchone()
    if row is None:
        raise _unknown(request_id)
    return int(row[0])


def _embedded(body: bytes | str | bool | None) -> Any:
    if body is None or isinstance(body, bool):
        return body
    try:
        text = body if isinstance(body, str) else body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode() if isinstance(body, bytes) else body}
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        # Checked and taken over as it is: numbers and key order stay what they were.
        return msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return text


def _unknown(request_id: str) -> Refusal:
    return Refusal(404, "unknown_call", f"no call with the id {request_id} is recorded")
