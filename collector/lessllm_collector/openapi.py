"""What /docs shows of the API beyond the paths: bodies, answers by example, errors. Data only."""

from typing import Any

import msgspec

from lessllm_collector.backup import MEDIA_TYPE as DUCKDB
from lessllm_collector.formats import ARROW, CSV, JSON, PARQUET
from lessllm_collector.query import Question

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}


def schema(kind: type) -> dict[str, Any]:
    """JSON Schema of a msgspec struct."""
    found: dict[str, Any] = msgspec.json.schema_components([kind])[1][kind.__name__]
    return found


def error(description: str, code: str, message: str) -> dict[str, Any]:
    """A documented error answer."""
    example = {"error": {"code": code, "message": message}}
    return {"description": description, "content": {JSON: {"schema": _ERROR, "example": example}}}


def example(description: str, value: Any) -> dict[int | str, dict[str, Any]]:
    """A documented JSON answer. What the example has, each answer has."""
    return {200: {"description": description, "content": {JSON: {"schema": _shape(value), "example": value}}}}


def _shape(value: Any) -> dict[str, Any]:
    """The schema of values like this one, but that any figure or text may be null."""
    if isinstance(value, dict):
        properties = {name: _shape(inner) for name, inner in value.items()}
        return {"type": "object", "required": [*value], "properties": properties}
    if isinstance(value, list):
        return {"type": "array", "items": _shape(value[0])} if value else {"type": "array"}
    return {"type": ["boolean", "null"]} if isinstance(value, bool) else {}


def body(schema: dict[str, Any], **examples: Any) -> dict[str, Any]:
    """A documented JSON request."""
    named = {name: {"value": value} for name, value in examples.items()}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema, "examples": named}}}}


def parameter(name: str, description: str, *, repeated: bool = False) -> dict[str, Any]:
    """A documented query parameter."""
    text: dict[str, Any] = {"type": "string"}
    schema = {"type": "array", "items": text} if repeated else text
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


COMMON: dict[int | str, dict[str, Any]] = {
    400: error("The request is wrong", "unknown_filter", "can't filter by modle: did you mean model?"),
    403: error("The request comes from a web page of elsewhere", "cross_origin", "pages of other origins …"),
    401: error("The key is missing or wrong", "unauthorized", "send Authorization: Bearer and the key"),
    422: error("A limit is passed or a parameter is wrong", "query_timeout", "the query took longer than …"),
    503: error("Busy", "busy", "too many queries run already: try again soon"),
}

COLUMN_FILTERS = [
    parameter(name, "Repeated: any of these.", repeated=True)
    for name in ("model", "provider", "user_id", "session_id", "end_reason")
]
QUERY_BODY = body(
    schema(Question),
    report={"sql": "SELECT model, sum(estimated_cost_usd) AS cost_usd FROM api_calls GROUP BY model"},
    parameters={
        "sql": "SELECT * FROM api_calls WHERE model = $model",
        "params": {"model": "gpt-5"},
        "max_rows": 10,
    },
)
_ROWS = {
    "columns": [{"name": "model", "type": "VARCHAR"}, {"name": "calls", "type": "BIGINT"}],
    "rows": [["gpt-5", 412]],
    "truncated": False,
    "elapsed_ms": 3.1,
}
QUERY_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": (
            "The rows, in the format that Accept asks for. Headers: x-lessllm-truncated (the limit on rows or"
            " on size cut the answer short), x-lessllm-elapsed-ms."
        ),
        "content": {
            JSON: {"schema": _shape(_ROWS), "example": _ROWS},
            **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in (ARROW, CSV, PARQUET)},
        },
    },
    406: error("No such format", "not_acceptable", f"Accept one of {JSON}, {CSV}, {ARROW}, {PARQUET}"),
    415: error("Not JSON", "unsupported_media_type", "send application/json"),
}
_CALL = {
    "request_id": "01a21063-3a69-7343-999c-e17d73b36454",
    "timestamp": "2026-11-25T12:00:00.000000Z",
    "model": "gpt-5",
    "end_reason": "complete",
    "estimated_ttft_ms": 310.2,
    "estimated_cost_usd": 0.0021,
}
_UNKNOWN_CALL: dict[int | str, dict[str, Any]] = {
    404: error("No such call", "unknown_call", "no call with the id … is recorded")
}
CALLS_ANSWER = {
    **example("Newest first. `next` is `before` of the next page.", {"calls": [_CALL], "next": None}),
    **_UNKNOWN_CALL,
}
CALL_ANSWER: dict[int | str, dict[str, Any]] = {
    **example("Every column.", {**_CALL, "raw_request": {"model": "gpt-5", "messages": []}}),
    **_UNKNOWN_CALL,
}
STATS_ANSWER = example(
    "Figures in total and by model, day, user, session, …; the slowest and dearest calls; missing prices.",
    {
        "since": "2026-11-18T12:00:00Z",
        "until": "2026-11-25T12:00:00Z",
        "totals": {"calls": 412, "errors": 3, "cost_usd": 1.93, "unpriced_calls": 0, "ttft_ms_p50": 310.2},
        "by_model": [{"model": "gpt-5", "calls": 412}],
        "dearest": [_CALL],
        "unpriced": [{"model": "mine", "provider": "local", "reason": "unknown_model", "calls": 3}],
    },
)
_FINDINGS = {"kind": "email", "findings": 3, "calls": 2, "last_call": _CALL["timestamp"]}
SENSITIVE_ANSWER = example(
    "`looked_at`: calls whose request was searched. `request_ids`: the latest calls of a row.",
    {
        "since": "2026-11-18T12:00:00Z",
        "until": "2026-11-25T12:00:00Z",
        "calls": 412,
        "looked_at": 412,
        "with_findings": 2,
        "blocked": 0,
        "by_kind": [_FINDINGS],
        "found": [
            {
                "user_id": "ann",
                "client_key": None,
                "model": "gpt-5",
                "provider": "openai",
                "policy": "flag",
                **_FINDINGS,
                "request_ids": [_CALL["request_id"]],
            }
        ],
    },
)
_SIDE = {
    "request_id": _CALL["request_id"],
    "text": "It is 2026-11-25 10:31. You are …",
    "start": 6,
    "end": 22,
}
SUGGESTIONS_ANSWER = example(
    "The dearest first. Without a known price `loss_usd` is null and `tokens` tells. `start` and `end`: where"
    " the two texts differ, in characters.",
    {
        "since": "2026-11-18T12:00:00Z",
        "until": "2026-11-25T12:00:00Z",
        "calls": 412,
        "looked_at": 398,
        "cut": False,
        "loss_usd": 1.08,
        "projected_30_days_usd": 4.63,
        "projection": "if the next 30 days go on like the 7 days looked at",
        "found": 1,
        "suggestions": [
            {
                "kind": "volatile_early_content",
                "title": "A date in messages[0].content changes from call to call: …",
                "provider": "openai",
                "model": "gpt-4.1",
                "api_format": "openai-chat",
                "calls": 90,
                "tokens": 720_000,
                "loss_usd": 1.08,
                "projected_30_days_usd": 4.63,
                "projection": "if the next 30 days go on like the 7 days looked at",
                "evidence": {
                    "request_ids": [_CALL["request_id"]],
                    "path": "messages[0].content",
                    "before": _SIDE,
                    "after": _SIDE,
                },
                "change": "Put what changes at the end: …",
                "snippet": "messages = [ …",
            }
        ],
    },
)
EXPORT_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A Parquet file, streamed. Header x-lessllm-rows: how many calls it holds.",
        "content": {PARQUET: {"schema": {"type": "string", "format": "binary"}}},
    }
}
BACKUP_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A DuckDB file. Header x-lessllm-rows: how many calls it holds.",
        "content": {DUCKDB: {"schema": {"type": "string", "format": "binary"}}},
    },
    507: error("No room", "disk_full", "the copy takes 900 MB beside the database before it is sent, and …"),
}
