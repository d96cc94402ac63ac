"""How the last days' calls went: figures in total and by model, day, user, client key, session, provider and
streaming; the calls that took longest and cost most; what has no price; how near cache predictions came.

Metric columns only are read, but for the beginnings of prompts, where they are asked for. Sums and rates of
nothing are None, never 0: only counts of calls can be 0. A call whose price is unknown is counted as unpriced
and is in no sum of costs. Quantiles are those of a random 8,192 of a group's calls where it has more, so that
their memory does not grow with the number of calls; digests of all take three times as long.
"""

from datetime import datetime, timedelta
from typing import Any

import duckdb

from lessllm_collector import prompts, reports
from lessllm_collector.formats import records
from lessllm_collector.query import run

MAX_DAYS = 366
_MOST = 400  # groups of a kind, those with most calls; there are at most 367 days

_WINDOW = '"timestamp" >= ? AND "timestamp" < ?'
_KINDS = {
    "by_model": ("model", "model"),
    "by_day": ("date", reports.DAY),
    "by_user": ("user_id", "user_id"),
    "by_key": ("client_key", "client_key"),
    "by_provider": ("provider", "provider"),
    "by_streaming": ("streaming", "streaming"),
}
_QUANTILES = {"ttft": "estimated_ttft_ms", "tpot": "estimated_tpot_ms", "latency": "total_latency_ms"}
_FIGURES = {
    **{name: sql for name, (sql, _) in reports.SUMS.items()},
    "predicted_cache_hit_rate": (
        "sum(estimated_cached_tokens)"
        " / sum(actual_prompt_tokens) FILTER (estimated_cached_tokens IS NOT NULL)"
    ),
    "actual_cache_hit_rate": (
        "sum(actual_cached_tokens) / sum(actual_prompt_tokens) FILTER (actual_cached_tokens IS NOT NULL)"
    ),
    "output_tokens_per_s": "reservoir_quantile(output_tokens_per_s, 0.5)",
    # Both from one sample: samples are most of what this takes
    **{name: f"reservoir_quantile({column}, [0.5, 0.95])" for name, column in _QUANTILES.items()},
}
_SETS = ", ".join(f"({expression})" for _, expression in _KINDS.values())
_KEYS = ", ".join(f'{expression} AS "{name}"' for name, expression in _KINDS.values())
_SQL = f"""
    SELECT GROUPING({", ".join(expression for _, expression in _KINDS.values())}) AS kind, {_KEYS},
        {", ".join(f"{expression} AS {name}" for name, expression in _FIGURES.items())}
    FROM main.api_calls
    WHERE {_WINDOW}
    GROUP BY GROUPING SETS ((), {_SETS})
    QUALIFY row_number() OVER (PARTITION BY kind ORDER BY count(*) DESC) <= {_MOST}
    ORDER BY calls DESC
"""  # noqa: S608 - our own names


_SESSIONS = f"""
    SELECT session_id, any_value(user_id) AS user_id, min("timestamp") AS first_call,
        max("timestamp") AS last_call, {reports.columns(reports.SUMS)}
    FROM main.api_calls WHERE {_WINDOW} AND session_id IS NOT NULL
    GROUP BY session_id ORDER BY cost_usd DESC NULLS LAST, calls DESC LIMIT {_MOST}
"""  # noqa: S608 - our own names
_UNPRICED = f"""
    SELECT model, provider, price_source AS reason, price_terms AS terms, count(*) AS calls,
        sum(actual_prompt_tokens)::BIGINT AS input_tokens,
        sum(actual_completion_tokens)::BIGINT AS output_tokens
    FROM main.api_calls WHERE {_WINDOW} AND {reports.NO_PRICE}
    GROUP BY ALL ORDER BY calls DESC, model LIMIT {_MOST}
"""  # noqa: S608 - our own names
_PREDICTION = f"""
    SELECT provider, {reports.columns(reports.PREDICTION)}
    FROM main.api_calls WHERE {_WINDOW} AND {reports.PREDICTED}
    GROUP BY provider ORDER BY calls DESC LIMIT {_MOST}
"""  # noqa: S608 - our own names
_EXTREMES = {"slowest": "total_latency_ms", "dearest": "estimated_cost_usd"}
_EXTREME = f"""
    SELECT rowid, request_id, "timestamp", model, provider, user_id, session_id, streaming, end_reason,
        total_latency_ms, estimated_ttft_ms, actual_total_tokens, estimated_cost_usd
    FROM internal.calls WHERE {_WINDOW} AND {{column}} > 0
    ORDER BY {{column}} DESC, request_id LIMIT 5
"""  # noqa: S608 - our own names


def usage(
    connection: duckdb.DuckDBPyConnection, until: datetime, days: int, *, with_prompts: bool = False
) -> dict[str, Any]:
    """{"since", "until", "totals": {…}, "by_model": [{"model", …}], …}, with most calls first.

    Sessions come with the dearest first. `with_prompts`: "slowest" and "dearest" say how their prompts begin.
    """
    window = [until - timedelta(days=days), until]
    report: dict[str, Any] = {"since": window[0], "until": until, **_grouped(connection, window)}

    def rows(sql: str) -> list[dict[str, Any]]:
        return records(run(connection, sql, window, _MOST))

    report["by_session"] = rows(_SESSIONS)
    report["unpriced"] = rows(_UNPRICED)
    report["cache_prediction"] = rows(_PREDICTION)
    for name, column in _EXTREMES.items():
        report[name] = rows(_EXTREME.format(column=column))
        for call in report[name]:
            rowid = call.pop("rowid")
            if with_prompts:
                call["prompt"] = _prompt(connection, rowid)
    return report


def _grouped(connection: duckdb.DuckDBPyConnection, window: list[datetime]) -> dict[str, Any]:
    groups = records(run(connection, _SQL, window, len(_KINDS) * _MOST + 1))
    all_bits = 2 ** len(_KINDS) - 1
    report: dict[str, Any] = {}
    report["totals"] = next(_figures(group) for group in groups if group["kind"] == all_bits)
    for place, (name, (key, _)) in enumerate(_KINDS.items()):
        bits = all_bits ^ (1 << (len(_KINDS) - 1 - place))  # GROUPING sets a bit for what is not grouped by
        chosen = [{key: group[key], **_figures(group)} for group in groups if group["kind"] == bits]
        report[name] = sorted(chosen, key=lambda one: one["date"]) if key == "date" else chosen
    return report


def _figures(group: dict[str, Any]) -> dict[str, Any]:
    figures = {name: group[name] for name in _FIGURES}
    for name in _QUANTILES:
        figures[f"{name}_ms_p50"], figures[f"{name}_ms_p95"] = figures.pop(name) or (None, None)
    return figures


def _prompt(connection: duckdb.DuckDBPyConnection, rowid: int) -> str | None:
    # By rowid: any other condition would unpack the bodies of 2,048 neighbours.
    row = connection.execute("SELECT request_body FROM internal.calls WHERE rowid = ?", [rowid]).fetchone()
    return prompts.beginning(row[0] if row else None)
