"""Sums over calls that reports are made of, and the views of them that users query beside `api_calls`.

A view here reads metric columns only, never a body. Sums can be summed again over days; medians can't.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# A cast of a TIMESTAMPTZ goes by way of time zones: thirteen times as long
DAY = 'CAST(make_timestamp(epoch_us("timestamp")) AS DATE)'
NO_PRICE = "price_source IN ('unknown_model', 'unknown_terms')"

# Name: SQL, and what it means
SUMS: Mapping[str, tuple[str, str]] = {
    "calls": ("count(*)", "Calls."),
    "errors": (
        "count(*) FILTER (end_reason NOT IN ('complete', 'client_cancelled'))",
        "Of these, those that failed; cancelled ones are not among them.",
    ),
    "cancelled": (
        "count(*) FILTER (end_reason = 'client_cancelled')",
        "Of these, those that the client left.",
    ),
    "input_tokens": ("sum(actual_prompt_tokens)::BIGINT", "Prompt tokens reported. NULL: none."),
    "output_tokens": ("sum(actual_completion_tokens)::BIGINT", "Output tokens reported. NULL: none."),
    "cached_tokens": (
        "sum(actual_cached_tokens)::BIGINT",
        "Prompt tokens read from cache. NULL: none reported.",
    ),
    "total_tokens": ("sum(actual_total_tokens)::BIGINT", "Prompt and output tokens. NULL: none reported."),
    "cost_usd": ("sum(estimated_cost_usd)", "Cost of the calls that have one. NULL: none has."),
    "unpriced_calls": (
        f"count(*) FILTER ({NO_PRICE})",
        "Calls that are not in cost_usd, since their price is not known.",
    ),
    "cache_savings_usd": ("sum(cache_savings_usd)", "Saved by caches; negative: lost. NULL: not known."),
}

# How near the predictor came, over calls that have a prediction and a report.
PREDICTION: Mapping[str, tuple[str, str]] = {
    "calls": ("count(*)", "Calls with a predicted and a reported hit rate."),
    "predicted_hit_rate": ("avg(estimated_cache_hit_rate)", "Mean predicted hit rate, 0 to 1."),
    "actual_hit_rate": ("avg(actual_cache_hit_rate)", "Mean reported hit rate, 0 to 1."),
    "mean_absolute_error": (
        "avg(abs(estimated_cache_hit_rate - actual_cache_hit_rate))",
        "Mean distance between the two, 0 to 1.",
    ),
    "recalibrated_error": (
        "avg(abs(recalibrated_cache_hit_rate - actual_cache_hit_rate))",
        "The same, of the prediction with the reported number of prompt tokens. NULL: there is none.",
    ),
    "as_predicted": (
        "count(*) FILTER (cache_outcome = 'as_predicted') / count(cache_outcome)",
        "Share of calls whose cache_outcome is as_predicted, 0 to 1. NULL: none was judged.",
    ),
}
PREDICTED = "estimated_cache_hit_rate IS NOT NULL AND actual_cache_hit_rate IS NOT NULL"

_TIMES: Mapping[str, tuple[str, str]] = {
    "calls": ("count(*)", "Calls that were answered whole."),
    "latency_ms_p50": ("approx_quantile(total_latency_ms, 0.5)", "Median of total_latency_ms."),
    "latency_ms_p95": ("approx_quantile(total_latency_ms, 0.95)", "95th percentile of it."),
    "output_tokens_per_s_p50": (
        "approx_quantile(output_tokens_per_s, 0.5)",
        "Median of output_tokens_per_s. NULL: tokens unknown.",
    ),
    "ttft_ms_p50": (
        "approx_quantile(estimated_ttft_ms, 0.5)",
        "Median time to first token, where there is one: plain calls that were streamed upstream have it.",
    ),
}


@dataclass(frozen=True)
class View:
    """A view over `api_calls`, and what each of its columns means."""

    sql: str
    comments: Mapping[str, str]


def columns(figures: Mapping[str, tuple[str, str]]) -> str:
    """As a SELECT lists them."""
    return ", ".join(f"{sql} AS {name}" for name, (sql, _) in figures.items())


def _view(
    keys: Mapping[str, tuple[str, str]],
    figures: Mapping[str, tuple[str, str]],
    where: str = "true",
    more: Mapping[str, tuple[str, str]] | None = None,
    source: str = "internal.calls",
) -> View:
    shown = {**keys, **(more or {}), **figures}
    grouped = ", ".join(sql for sql, _ in keys.values())
    return View(
        f"SELECT {columns(shown)} FROM {source} WHERE {where} GROUP BY {grouped}",  # noqa: S608 - our own names
        {name: comment for name, (_, comment) in shown.items()},
    )


_DAY = {"day": (DAY, "Day of the calls, UTC.")}
_MODEL = {"model": ("model", "Model as the client asked. NULL: none.")}
_USER = {"user_id": ("user_id", "Who called. NULL: not known.")}
_KEY = {"client_key": ("client_key", "Name of the client's key. NULL: no keys configured, or a wrong one.")}
_PROVIDER = {"provider": ("provider", "Provider that was called. NULL: rejected before.")}

# One row for each kind that was found in a call
KINDS_FOUND = """
    SELECT "timestamp", request_id, user_id, client_key, model, provider, sensitive_policy AS policy, kind,
        CAST(json_extract_string(sensitive_findings, '$.' || kind) AS BIGINT) AS number
    FROM (
        SELECT "timestamp", request_id, user_id, client_key, model, provider, sensitive_policy,
            sensitive_findings, unnest(json_keys(sensitive_findings)) AS kind
        FROM internal.calls WHERE sensitive_findings <> '{}'
    )
"""
SENSITIVE: Mapping[str, tuple[str, str]] = {
    "findings": ("sum(number)::BIGINT", "How many of that kind were found in requests."),
    "calls": ("count(*)", "In how many calls."),
    "last_call": ('max("timestamp")', "When the last of them came."),
}

VIEWS: Mapping[str, View] = {
    "cost_by_day": _view(_DAY, SUMS),
    "cost_by_model": _view({**_DAY, **_MODEL, **_PROVIDER}, SUMS),
    "cost_by_user": _view({**_DAY, **_USER}, SUMS),
    "cost_by_key": _view({**_DAY, **_KEY}, SUMS),
    "cost_by_session": _view(
        {"session_id": ("session_id", "x-lessllm-session of the calls.")},
        SUMS,
        "session_id IS NOT NULL",
        {
            "user_id": ("any_value(user_id)", "Who called. NULL: not known."),
            "first_call": ('min("timestamp")', "When the session's first call came."),
            "last_call": ('max("timestamp")', "When its last one came."),
        },
    ),
    "streaming_compared": _view(
        {**_MODEL, "streaming": ("streaming", "The client asked for a stream.")},
        _TIMES,
        "end_reason = 'complete'",
    ),
    "cache_prediction": _view(_PROVIDER, PREDICTION, PREDICTED),
    "sensitive_data": _view(
        {
            **_DAY,
            **_USER,
            **_MODEL,
            **_PROVIDER,
            "policy": ("policy", "sensitive_data.policy for these calls: flag, redact_record or block."),
            "kind": ("kind", "What was found, such as email; docs/sensitive-data.md has all kinds."),
        },
        SENSITIVE,
        source=f"({KINDS_FOUND})",
    ),
}
