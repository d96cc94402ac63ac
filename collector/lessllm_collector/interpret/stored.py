"""The observed half of a row: a CallRecord in, its seen columns out, and back again for reanalysis.

`clock_marks` holds everything of the record that has no column of its own.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from lessllm_shared.record import CallRecord
from lessllm_shared.tolerant_json import dumps

_SAME = (
    *("request_id", "user_id", "client_key", "session_id", "client_ip", "key_fingerprint"),
    *("method", "endpoint", "model", "streaming", "provider", "upstream_model", "upstream_url"),
    *("upstream_streaming", "route", "status_code", "request_body_bytes", "response_body_bytes"),
    "sensitive_policy",
)
_ENUMS = ("api_format", "upstream_format")
_BLOBS = ("request_body", "upstream_request_body", "response_body", "client_response_body")
_JSON = ("attempts", "request_headers", "response_headers", "tags")
_MARKS = (
    *("t0_unix_ns", "request_received_ns", "upstream_start_ns", "upstream_sent_ns", "upstream_headers_ns"),
    *("upstream_end_ns", "end_ns", "read_ns", "read_bytes", "client_blocked_ns", "prior_attempts_ns"),
    *("network", "usage_requested", "sensitive_findings"),
)
_OBSERVED = ("end_reason", "error_code", "error_message")  # by the gateway: those columns are derived


def seen(record: CallRecord) -> dict[str, Any]:
    """The seen columns that come straight from the record."""
    row: dict[str, Any] = {name: getattr(record, name) for name in _SAME}
    for name in _ENUMS:
        value = getattr(record, name)
        row[name] = None if value is None else value.value
    for name in _BLOBS:
        row[name] = getattr(record, name) or None
    for name in _JSON:
        value = getattr(record, name)
        row[name] = dumps(value) if value else None
    marks = {name: value for name in _MARKS if (value := getattr(record, name)) is not None}
    marks.update(
        {f"gateway_{name}": value for name in _OBSERVED if (value := getattr(record, name)) is not None}
    )
    row["clock_marks"] = dumps(marks)
    row["timestamp"] = record.t0_unix_ns // 1000
    return row


def record_of(row: Mapping[str, Any]) -> CallRecord:
    """The record that a stored row came from. Raises ValueError if its JSON columns are not ours."""
    fields: dict[str, Any] = {name: row[name] for name in (*_SAME, *_ENUMS, *_BLOBS)}
    fields.update({name: msgspec.json.decode(row[name]) for name in _JSON if row[name] is not None})
    marks = msgspec.json.decode(row["clock_marks"])
    fields.update({name: marks[name] for name in _MARKS if name in marks})
    fields.update({name: marks.get(f"gateway_{name}") for name in _OBSERVED})
    # NULL is the default, also of bodies, which are bytes.
    present = {name: value for name, value in fields.items() if value is not None}
    return msgspec.convert(present, CallRecord, builtin_types=(bytes,))
