"""How the last days' calls went: figures in total and by model, day, user, provider and kind of answer.

Sums and rates of nothing are None, never 0: only counts of calls can be 0. A call whose price is unknown
is counted as unpriced and is in no sum of costs. Quantiles are approximate (t-digest), so that their
memory does not grow with the number of calls.
"""

from datetime import datetime, timedelta
from typing import Any

import duckdb

from lessllm_collector.formats import records
from lessllm_collector.query import run

MAX_DAYS = 366
_MOST = 400  # groups of a kind, those with most calls; there are at most 367 days

_KINDS = {
    "by_model": ("model", "model"),
    "by_day": ("date", 'CAST("timestamp" AS DATE)'),
    "by_user": ("user_id", "user_id"),
    "by_provider": ("provider", "provider"),
    "by_streaming": ("streaming", "streaming"),
}
_QUANTILES = {"ttft": "estimated_ttft_ms", "tpot": "estimated_tpot_ms", "latency": "total_latency_ms"}
_FIGURES = {
    "calls": "count(*)",
    "errors": "count(*) FILTER (end_reason NOT IN ('complete', 'client_cancelled'))",
    "cancelled": "count(*) FILTER (end_reason = 'client_cancelled')",
    "input_tokens": "sum(actual_prompt_tokens)::BIGINT",
    "output_tokens": "sum(actual_completion_tokens)::BIGINT",
    "cached_tokens": "sum(actual_cached_tokens)::BIGINT",
    "total_tokens": "sum(actual_total_tokens)::BIGINT",
    "cost_usd": "sum(estimated_cost_usd)",
    "unpriced_calls": "count(*) FILTER (price_source = 'unknown_model')",
    "cache_savings_usd": "sum(cache_savings_usd)",
    "predicted_cache_hit_rate": (
        "sum(estimated_cached_tokens)"
        " / sum(actual_prompt_tokens) FILTER (estimated_cached_tokens IS NOT NULL)"
    ),
    "actual_cache_hit_rate": (
        "sum(actual_cached_tokens) / sum(actual_prompt_tokens) FILTER (actual_cached_tokens IS NOT NULL)"
    ),
    "output_tokens_per_s": "approx_quantile(output_tokens_per_s, 0.5)",
    **{
        f"{name}_ms_p{round(share * 100)}": f"approx_quantile({column}, {share})"
        for name, column in _QUANTILES.items()
        for share in (0.5, 0.95)
    },
}
_SETS = ", ".join(f"({expression})" for _, expression in _KINDS.values())
_KEYS = ", ".join(f'{expression} AS "{name}"' for name, expression in _KINDS.values())
_SQL = f"""
    SELECT GROUPING({", ".join(expression for _, expression in _KINDS.values())}) AS kind, {_KEYS},
        {", ".join(f"{expression} AS {name}" for name, expression in _FIGURES.items())}
    FROM main.api_calls
    WHERE "timestamp" >= ? AND "timestamp" < ?
    GROUP BY GROUPING SETS ((), {_SETS})
    QUALIFY row_number() OVER (PARTITION BY kind ORDER BY count(*) DESC) <= {_MOST}
    ORDER BY calls DESC
"""  # noqa: S608 - our own names


def usage(connection: duckdb.DuckDBPyConnection, until: datetime, days: int) -> dict[str, Any]:
    """{"since", "until", "totals": {…}, "by_model": [{"model", …}], …}, with most calls first."""
    since = until - timedelta(days=days)
    groups = records(run(connection, _SQL, [since, until], len(_KINDS) * _MOST + 1))
    all_bits = 2 ** len(_KINDS) - 1
    report: dict[str, Any] = {"since": since, "until": until}
    report["totals"] = next(_figures(group) for group in groups if group["kind"] == all_bits)
    for place, (name, (key, _)) in enumerate(_KINDS.items()):
        bits = all_bits ^ (1 << (len(_KINDS) - 1 - place))  # GROUPING sets a bit for what is not grouped by
        chosen = [{key: group[key], **_figures(group)} for group in groups if group["kind"] == bits]
        report[name] = sorted(chosen, key=lambda one: one["date"]) if key == "date" else chosen
    return report


def _figures(group: dict[str, Any]) -> dict[str, Any]:
    return {name: group[name] for name in _FIGURES}
