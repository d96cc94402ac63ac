"""What the overview draws: its figures in, charts in the reader's language out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lessllm_shared import figures
from markupsafe import Markup

from lessllm_collector.console import charts, rendering
from lessllm_collector.console.language import Words
from lessllm_collector.console.period import Period

Row = Mapping[str, Any]
Write = Callable[[float | None], str]


def draw(found: Mapping[str, Any], period: Period, t: Words) -> list[Markup]:
    """In the order in which they are shown."""
    steps: Sequence[Row] = found["steps"]
    words = charts.Words(nothing=t("charts.nothing"), data=t("charts.data"), time=t("charts.time"))

    def series(key: str, values: Sequence[float | None]) -> charts.Series:
        return charts.Series(t(f"overview.{key}"), values)

    def of(name: str, place: int | None = None) -> list[float | None]:
        values = [step[name] for step in steps]
        return values if place is None else [None if one is None else one[place] for one in values]

    def columns(title: str, *drawn: charts.Series, write: Write) -> Markup:
        return charts.columns(t(f"overview.{title}"), period.times, drawn, write, words)

    def lines(title: str, *drawn: charts.Series, write: Write) -> Markup:
        return charts.lines(t(f"overview.{title}"), period.times, drawn, write, words)

    def bars(title: str, rows: Sequence[Row], parameter: str) -> Markup:
        drawn = [_bar(row, parameter, period, t) for row in rows]
        return charts.bars(t(f"overview.{title}"), drawn, figures.money, words)

    fine = [step["calls"] - step["errors"] for step in steps]
    return [
        columns("cost_by_time", series("cost_usd", of("cost_usd")), write=figures.money),
        columns("calls_by_time", series("succeeded", fine), series("failed", of("errors")), write=_count),
        bars("cost_by_model", found["models"], "model"),
        bars("cost_by_user", found["users"], "user"),
        lines(
            "ttft",
            series("p50", of("ttft_ms", 0)),
            series("p95", of("ttft_ms", 1)),
            write=figures.milliseconds,
        ),
        lines(
            "tpot",
            series("p50", of("tpot_ms", 0)),
            series("p95", of("tpot_ms", 1)),
            write=figures.milliseconds,
        ),
        lines(
            "hit_rate",
            series("actual", of("actual_hit_rate")),
            series("predicted", of("predicted_hit_rate")),
            write=figures.percent,
        ),
    ]


def _bar(row: Row, parameter: str, period: Period, t: Words) -> charts.Bar:
    name = row["name"]
    if name is None:
        return charts.Bar(t("base.unknown"), [row["cost_usd"]])
    link = rendering.link("/console/calls", period.parameters, **{parameter: name})
    return charts.Bar(name, [row["cost_usd"]], link)


def _count(number: float | None) -> str:
    return figures.count(None if number is None else round(number))
