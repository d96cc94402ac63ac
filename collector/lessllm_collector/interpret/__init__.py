"""Interpreting: a CallRecord in, a row of `api_calls` out, with a value for every stored column.

The seen columns come straight from the record; the derived ones (tokens, times, cost) are worked out, and
again by `reanalyze`: `derive(record_of(row), …)`. Bodies are others' input: whatever they hold, the seen
columns are filled, and `interpreter_error` says where the rest failed, never with what content.
"""

import traceback
from collections.abc import Callable
from typing import Any

from lessllm_shared.record import CallRecord
from lessllm_shared.sensitive.requests import Seen
from lessllm_shared.tolerant_json import dumps, loads

from lessllm_collector.interpret.answer import (
    Answer,
    cache_miss_reason,
    end_reason,
    error_of,
    finish_reason,
    read_answer,
    response_model,
    upstream_request_id,
)
from lessllm_collector.interpret.cost import costs
from lessllm_collector.interpret.prices import Prices
from lessllm_collector.interpret.sensitive import findings
from lessllm_collector.interpret.stored import record_of, seen
from lessllm_collector.interpret.timing import times
from lessllm_collector.interpret.usage import Usage, usage_of
from lessllm_collector.schema import INTERPRETER_VERSION, STORED, STORED_NAMES

__all__ = ["DAMAGED", "Prices", "Seen", "derive", "interpret", "record_of", "where"]

DAMAGED = "the answer is damaged: read as far as it goes"  # an interpreter_error that is none of ours
_DERIVED = tuple(column.name for column in STORED if column.derived)


def interpret(
    record: CallRecord,
    *,
    gateway_id: str,
    sequence: int,
    prices: Prices,
    seen_texts: Seen | None = None,
    parse: Callable[[bytes], Any] = loads,
) -> dict[str, Any]:
    """The row of `record`: a value for each of schema.STORED_NAMES. Never raises on what a body holds.

    `seen_texts`: what is known of texts in requests before this one.
    """
    columns, model = _derived(record, prices, seen_texts or Seen(), parse)
    row = {**seen(record), "gateway_id": gateway_id, "sequence": sequence, "response_model": model, **columns}
    return {name: row[name] for name in STORED_NAMES}


def derive(record: CallRecord, prices: Prices, seen_texts: Seen) -> dict[str, Any]:
    """The derived columns alone. Never raises on what a body holds."""
    return _derived(record, prices, seen_texts, loads)[0]


def _derived(
    record: CallRecord, prices: Prices, seen_texts: Seen, parse: Callable[[bytes], Any]
) -> tuple[dict[str, Any], str | None]:
    blank: dict[str, Any] = {**dict.fromkeys(_DERIVED), "interpreter_version": INTERPRETER_VERSION}
    blank["error_code"], blank["error_message"] = record.error_code, record.error_message
    blank["end_reason"] = record.end_reason.value
    try:
        answer = read_answer(record)
        usage = usage_of(answer.value)
        found = {
            **_answer_columns(record, answer),
            **_token_columns(usage),
            **times(record, answer, usage),
            **costs(record, answer.value, usage, prices),
            **_sensitive_columns(record, seen_texts, parse),
        }
        return {**blank, **found}, response_model(answer.value)
    except Exception as error:  # noqa: BLE001  # the boundary: a row with a reason is better than none
        return {**blank, "interpreter_error": where(error)}, None


def _answer_columns(record: CallRecord, answer: Answer) -> dict[str, Any]:
    code, message = (None, None) if answer.error is None else error_of(answer.error)
    reason = end_reason(record, answer)
    if reason is record.end_reason:  # else the gateway's error goes with what it took for the end
        code, message = record.error_code or code, record.error_message or message
    return {
        "end_reason": reason.value,
        "error_code": code,
        "error_message": message,
        "upstream_request_id": upstream_request_id(record),
        "finish_reason": finish_reason(answer.value),
        "actual_cache_miss_reason": cache_miss_reason(answer.value),
        "decoded_response": answer.text,
        "interpreter_error": DAMAGED if answer.damaged else None,
    }


def _sensitive_columns(record: CallRecord, seen_texts: Seen, parse: Callable[[bytes], Any]) -> dict[str, Any]:
    found = findings(record, seen_texts, parse)
    return {"sensitive_findings": None if found is None else dumps(found)}


def _token_columns(usage: Usage) -> dict[str, Any]:
    rate = None
    if usage.cached is not None and usage.prompt and usage.cached <= usage.prompt:
        rate = usage.cached / usage.prompt
    return {
        "actual_prompt_tokens": usage.prompt,
        "actual_completion_tokens": usage.completion,
        "actual_total_tokens": usage.total,
        "actual_cached_tokens": usage.cached,
        "actual_cache_write_tokens": usage.cache_write,
        "actual_cache_write_5m_tokens": usage.cache_write_5m,
        "actual_cache_write_1h_tokens": usage.cache_write_1h,
        "actual_reasoning_tokens": usage.reasoning,
        "actual_usage": None if usage.raw is None else dumps(usage.raw),
        "actual_cache_hit_rate": rate,
    }


def where(error: Exception) -> str:
    """What went wrong in our code, for a row: never with what content."""
    # The message is left out: it may quote the body.
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].name}:{frames[-1].lineno}" if frames else "unknown"
    return f"{type(error).__name__} in {place}"
