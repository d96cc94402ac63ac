"""Models side by side: how their times, cost and tokens are distributed, over one period.

Figures are counted in bins that each reach 3 % further than the one before, in one pass over the calls. So
percentiles, which are the bins', are at most 1.6 % off. Of very many calls, only every so manieth is counted.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import duckdb
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from lessllm_shared import figures

from lessllm_collector.console import period as periods
from lessllm_collector.console.charts import Strip, Words, strips
from lessllm_collector.console.context import Console
from lessllm_collector.console.language import Words as Messages
from lessllm_collector.console.language import wanted_language
from lessllm_collector.console.period import Period
from lessllm_collector.console.rendering import link
from lessllm_collector.console.visible import visible

PATH = "/console/compare"
MOST = 8  # models
_PER_E = 32  # bins for each factor of e
_DRAWN = 4  # of them are drawn as one
COUNTED = 100_000  # calls at most, about: their p99 is as good as that of all
_BY = {"model": "model", "provider": "provider", "upstream_model": "upstream_model"}
_PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_RANK = """
    SELECT "{by}" AS name, count(*) AS calls, count(*) FILTER (end_reason = 'complete') AS complete
    FROM internal.calls
    WHERE "timestamp" >= ? AND "timestamp" < ? AND "{by}" IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1
"""
_CHOOSE = """
    WITH chosen AS MATERIALIZED (
        SELECT "{by}" AS name, {figures} FROM internal.calls
        WHERE "timestamp" >= ? AND "timestamp" < ? AND rowid % ? = 0 AND end_reason = 'complete'
            AND "{by}" IN ({places})
    )
"""
_COUNT = """
    SELECT '{figure}', name, CAST(floor(ln({figure}) * {per_e}) AS INTEGER), count(*)
    FROM chosen WHERE {figure} > 0 GROUP BY ALL
"""

Bins = Mapping[int, int]


@dataclass(frozen=True)
class Found:
    """`ranked`: each name with its calls and how many of them were complete, the most frequent first."""

    ranked: Sequence[tuple[str, int, int]]
    chosen: Sequence[str]
    bins: Mapping[str, Mapping[str, Bins]]  # by column, then by name
    every: int  # so manieth call is counted


def add(router: APIRouter, console: Console) -> None:
    """`/console/compare`."""

    @router.get(PATH)
    async def compare(request: Request) -> HTMLResponse:
        parameters = request.query_params
        period = periods.chosen(parameters, console.now())
        by = _BY.get(parameters.get("by", ""), "model")
        wanted = [name for name in parameters.getlist("name") if name][:MOST]
        found = await console.read(partial(_look, period=period, by=by, wanted=wanted))
        t = Messages(wanted_language(request))
        return console.page(
            request,
            "compare.html",
            period=period,
            by=by,
            choices=list(_BY),
            ranked=found.ranked[: max(30, MOST)],
            chosen=found.chosen,
            every=found.every,
            charts=[_chart(t, column, found, period, by) for column in _FIGURES],
            keep={"by": by, "name": wanted},
            most=MOST,
            path=PATH,
            visible=visible,
        )


def _look(connection: duckdb.DuckDBPyConnection, period: Period, by: str, wanted: Sequence[str]) -> Found:
    when = [period.since, period.until]
    ranked = connection.execute(_RANK.format(by=by), when).fetchall()
    chosen = wanted or [name for name, _, _ in ranked[:MOST]]
    every = max(1, sum(calls for name, calls, _ in ranked if name in chosen) // COUNTED)
    bins: dict[str, dict[str, dict[int, int]]] = {
        column: {name: {} for name in chosen} for column in _FIGURES
    }
    if chosen:
        places = ", ".join("?" * len(chosen))
        choose = _CHOOSE.format(by=by, figures=", ".join(_FIGURES), places=places)
        counts = (_COUNT.format(figure=column, per_e=_PER_E) for column in _FIGURES)
        found = connection.execute(choose + " UNION ALL ".join(counts), [*when, every, *chosen])
        for column, name, place, count in found.fetchall():
            bins[column][name][place] = count
    return Found(ranked, chosen, bins, every)


def _chart(t: Messages, column: str, found: Found, period: Period, by: str) -> str:
    by_name = found.bins.get(column, {})
    places = [place for bins in by_name.values() for place in bins]
    words = Words(t("compare.none"), t("charts.data"), t("charts.time"))
    low = _bounded(by_name, 0.001) // _DRAWN if places else 0
    high = _bounded(by_name, 0.999) // _DRAWN + 1 if places else 0
    rows = [
        Strip(visible(name), _drawn(bins, low, high), _percentiles(bins), _calls_link(by, name, period))
        for name, bins in by_name.items()
    ]
    edges = [math.exp(place * _DRAWN / _PER_E) for place in range(low, high + 1)]
    return strips(t(f"compare.{column}"), edges, rows, _FIGURES[column], words, total=t("compare.calls"))


def _calls_link(by: str, name: str, period: Period) -> str | None:
    return link("/console/calls", period.parameters, model=name) if by == "model" else None


def _bounded(by_name: Mapping[str, Bins], share: float) -> int:
    """What is further out is drawn at the edge: one call in a thousand would make all others narrow."""
    all_bins: dict[int, int] = {}
    for bins in by_name.values():
        for place, count in bins.items():
            all_bins[place] = all_bins.get(place, 0) + count
    return _at(all_bins, share)


def _drawn(bins: Bins, low: int, high: int) -> list[int]:
    counts = [0] * (high - low)
    for place, count in bins.items():
        counts[min(max(place // _DRAWN, low), high - 1) - low] += count
    return counts


def _percentiles(bins: Bins) -> dict[str, float | None]:
    return {
        name: math.exp((_at(bins, share) + 0.5) / _PER_E) if bins else None
        for name, share in _PERCENTILES.items()
    }


def _at(bins: Bins, share: float) -> int:
    """The bin in which that share of the figures is reached."""
    ordered = sorted(bins.items())
    wanted = share * sum(bins.values())
    reached = accumulate(count for _, count in ordered)
    return next(place for (place, _), so_far in zip(ordered, reached, strict=True) if so_far >= wanted)


def _whole(value: float | None) -> str:
    return figures.NULL if value is None else figures.count(round(value))


def _rate(value: float | None) -> str:
    return figures.cell(value)


_FIGURES: Mapping[str, Callable[[float | None], str]] = {
    "estimated_ttft_ms": figures.milliseconds,
    "estimated_tpot_ms": figures.milliseconds,
    "total_latency_ms": figures.milliseconds,
    "output_tokens_per_s": _rate,
    "estimated_cost_usd": figures.money,
    "actual_prompt_tokens": _whole,
    "actual_completion_tokens": _whole,
}
