"""The first page: what a period's calls cost, how long they took, against the period before.

Three questions: figures by step, which also add up to the period's; those of the period before; and sums by
model and by user. The dearest suggestion comes by a request of its own: an analysis may take seconds.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import duckdb
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from lessllm_collector import reports
from lessllm_collector.console import overview_charts
from lessllm_collector.console import period as periods
from lessllm_collector.console.context import Console
from lessllm_collector.console.language import Words, wanted_language
from lessllm_collector.console.period import Period

Row = dict[str, Any]

_MOST = 8  # models, users
_DEAREST = "cost_usd DESC NULLS LAST, calls DESC, name"
_WINDOW = '"timestamp" >= $since AND "timestamp" < $until'
_FIGURES = {
    **{name: reports.SUMS[name][0] for name in ("calls", "errors", "input_tokens", "output_tokens")},
    **{name: reports.SUMS[name][0] for name in ("cost_usd", "cache_savings_usd", "cached_tokens")},
    "cached_of_tokens": "sum(actual_prompt_tokens) FILTER (actual_cached_tokens IS NOT NULL)::BIGINT",
}
_MORE = {
    "unpriced_calls": reports.SUMS["unpriced_calls"][0],
    "predicted_tokens": "sum(estimated_cached_tokens)::BIGINT",
    "predicted_of_tokens": "sum(actual_prompt_tokens) FILTER (estimated_cached_tokens IS NOT NULL)::BIGINT",
}
_GROUPED = {name: reports.SUMS[name][0] for name in ("calls", "cost_usd")}
_QUANTILES = {
    "ttft_ms": "approx_quantile(estimated_ttft_ms, [0.5, 0.95])",
    "tpot_ms": "approx_quantile(estimated_tpot_ms, [0.5, 0.95])",
}


def _columns(figures: Mapping[str, str]) -> str:
    return ", ".join(f"{sql} AS {name}" for name, sql in figures.items())


_BY_STEP = f"""
    SELECT (epoch_us("timestamp") - $since_us) // $step_us AS step,
        {_columns({**_FIGURES, **_MORE, **_QUANTILES})}
    FROM internal.calls WHERE {_WINDOW} GROUP BY step
"""  # noqa: S608 - our own names
_BEFORE = f"SELECT {_columns(_FIGURES)} FROM internal.calls WHERE {_WINDOW}"  # noqa: S608 - our own names
_GROUPS = f"""
    SELECT * FROM (
        SELECT GROUPING(model) = 0 AS is_model, coalesce(model, user_id) AS name, {_columns(_GROUPED)}
        FROM internal.calls WHERE {_WINDOW} GROUP BY GROUPING SETS ((model), (user_id))
    )
    QUALIFY row_number() OVER (PARTITION BY is_model ORDER BY {_DEAREST}) <= {_MOST}
    ORDER BY {_DEAREST}
"""  # noqa: S608 - our own names


def add(router: APIRouter, console: Console) -> None:
    """`/`."""

    @router.get("/")
    async def overview(request: Request) -> HTMLResponse:
        period = periods.chosen(request.query_params, console.now())
        found = await console.read(partial(look, period=period))
        drawn = overview_charts.draw(found, period, Words(wanted_language(request)))
        return console.page(request, "overview.html", period=period, charts=drawn, **found)


def look(connection: duckdb.DuckDBPyConnection, period: Period) -> dict[str, Any]:
    """Totals now and before, figures by step, models and users."""

    def rows(sql: str, since: datetime, until: datetime, **values: int) -> list[Row]:
        window = {"since": since, "until": until, **values}
        found: list[Row] = connection.execute(sql, window).to_arrow_table().to_pylist()
        return found

    since_us, step_us = int(period.since.timestamp() * 1e6), int(period.step.total_seconds() * 1e6)
    by_step = rows(_BY_STEP, period.since, period.until, since_us=since_us, step_us=step_us)
    (before,) = rows(_BEFORE, period.before.since, period.since)
    groups = rows(_GROUPS, period.since, period.until)
    found = {row["step"]: row for row in by_step}
    return {
        "now": _rated(_added(by_step)),
        "before": _rated(before),
        "steps": [_rated(found.get(step, _NOTHING)) for step in range(len(period.times))],
        "models": [row for row in groups if row["is_model"]],
        "users": [row for row in groups if not row["is_model"]],
    }


def _added(rows: Sequence[Row]) -> Row:
    """Sums of nothing are None, but for numbers of calls."""
    added = dict(_NOTHING)
    for name in (*_FIGURES, *_MORE):
        known = [row[name] for row in rows if row[name] is not None]
        added[name] = sum(known) if known else added[name]
    return added


def _rated(row: Mapping[str, Any]) -> Row:
    return {
        **row,
        "error_rate": _share(row["errors"], row["calls"]),
        "actual_hit_rate": _share(row["cached_tokens"], row["cached_of_tokens"]),
        "predicted_hit_rate": _share(row.get("predicted_tokens"), row.get("predicted_of_tokens")),
    }


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


# Of times at which nobody called
_NOTHING: Row = {
    **dict.fromkeys((*_FIGURES, *_MORE, *_QUANTILES)),
    **dict.fromkeys(("calls", "errors", "unpriced_calls"), 0),
}
