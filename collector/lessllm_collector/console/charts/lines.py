"""Figures over time: as lines, or as columns that stand on each other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import TypeVar

from markupsafe import Markup

from lessllm_collector.console.charts import scales
from lessllm_collector.console.charts.elements import element, percent
from lessllm_collector.console.charts.figure import data, figure, legend, nothing, series_class
from lessllm_collector.console.charts.words import Words

Write = Callable[[float | None], str]
_T = TypeVar("_T")

_TOP, _PLOT, _BELOW = 16, 140, 20  # pixels: room for the uppermost label, the plot, its times
_WIDTH = 1000  # of the plot's own units, stretched to the page's width


@dataclass(frozen=True)
class Series:
    """A figure at each of the chart's times."""

    name: str
    values: Sequence[float | None]


def lines(
    caption: str,
    times: Sequence[datetime],
    series: Sequence[Series],
    write: Write,
    words: Words,
    *,
    band: tuple[int, int] | None = None,
) -> Markup:
    """A line for each series. `band`: the numbers of two between which is shaded."""
    known = [_known(one.values) for one in series]
    if not any(value is not None for values in known for value in values):
        return nothing(caption, words)
    scale = scales.linear(value for values in known for value in values)
    places = _places(times)
    shapes = [
        element("path", d=path, class_=series_class("line", number))
        for number, values in enumerate(known)
        if (path := " ".join(_path(places, values, scale)))
    ]
    if band is not None:
        low, high = band
        area = " ".join(_between(places, known[low], known[high], scale))
        shapes.insert(0, element("path", d=area, class_=series_class("band", high)))
    shapes += _hovers(places, times, series, write)
    return _chart(caption, times, series, write, words, scale, shapes, "line")


def columns(
    caption: str, times: Sequence[datetime], series: Sequence[Series], write: Write, words: Words
) -> Markup:
    """A column for each time, series from the bottom up. Negative figures are left out."""
    known = [[max(value or 0.0, 0.0) for value in _known(one.values)] for one in series]
    totals = [sum(column) for column in zip(*known, strict=True)]
    if not any(value is not None for one in series for value in _known(one.values)):
        return nothing(caption, words)
    scale = scales.linear(totals)
    slot = _WIDTH / len(times)
    shapes: list[Markup] = []
    below = [0.0] * len(times)
    for number, values in enumerate(known):
        for index, value in enumerate(values):
            if value > 0:
                low, high = _y(scale, below[index]), _y(scale, below[index] + value)
                shapes.append(
                    element(
                        "rect",
                        x=(index + 0.1) * slot,
                        width=0.8 * slot,
                        y=high,
                        height=low - high,
                        class_=series_class("area", number),
                    )
                )
                below[index] += value
    middles = [(index + 0.5) / len(times) for index in range(len(times))]
    shapes += _hovers(middles, times, series, write)
    return _chart(caption, times, series, write, words, scale, shapes, "area")


def _chart(
    caption: str,
    times: Sequence[datetime],
    series: Sequence[Series],
    write: Write,
    words: Words,
    scale: scales.Scale,
    shapes: Sequence[Markup],
    mark: str,
) -> Markup:
    plot = element(
        "svg",
        *(
            element("path", d=f"M0 {_y(scale, tick):.1f}H{_WIDTH}", class_="zero" if tick == 0 else "grid")
            for tick in scale.ticks
        ),
        *shapes,
        width="100%",
        height=_TOP + _PLOT,
        viewBox=f"0 0 {_WIDTH} {_TOP + _PLOT}",
        preserveAspectRatio="none",
    )
    drawing = element(
        "svg",
        element("title", caption),
        element("desc", "; ".join(_range(one, write) for one in series)),
        plot,
        *(element("text", write(tick), x="0", y=_y(scale, tick) - 3, class_="y") for tick in scale.ticks),
        *_time_labels(times),
        role="img",
        width="100%",
        height=_TOP + _PLOT + _BELOW,
        class_="plot",
    )
    rows = (
        [_moment(time), *(write(one.values[index]) for one in series)] for index, time in enumerate(times)
    )
    table = data(words, [words.time, *(one.name for one in series)], rows)
    return figure(caption, drawing, legend([one.name for one in series], mark), table)


def _time_labels(times: Sequence[datetime]) -> Iterator[Markup]:
    for number, (place, label) in enumerate(scales.moments(times[0], times[-1])):
        anchor = "start" if place < 0.04 else "end" if place > 0.96 else "middle"
        yield element(
            "text",
            label,
            x=percent(place),
            y=_TOP + _PLOT + _BELOW - 6,
            text_anchor=anchor,
            class_="x every-other" if number % 2 else "x",
        )


def _path(places: Sequence[float], values: Sequence[float | None], scale: scales.Scale) -> Iterator[str]:
    """A gap where a value is unknown; a point where both neighbours are."""
    for stretch in _stretches(places, values):
        for number, (place, value) in enumerate(stretch):
            yield f"{'L' if number else 'M'}{place * _WIDTH:.1f} {_y(scale, value):.1f}"
        if len(stretch) == 1:
            yield "h0"


def _between(
    places: Sequence[float],
    low: Sequence[float | None],
    high: Sequence[float | None],
    scale: scales.Scale,
) -> Iterator[str]:
    both = [None if a is None or b is None else (a, b) for a, b in zip(low, high, strict=True)]
    for stretch in _stretches(places, both):
        there = [f"{place * _WIDTH:.1f} {_y(scale, b):.1f}" for place, (_, b) in stretch]
        back = [f"{place * _WIDTH:.1f} {_y(scale, a):.1f}" for place, (a, _) in reversed(stretch)]
        yield f"M{'L'.join(there + back)}Z"


def _stretches(places: Sequence[float], values: Sequence[_T | None]) -> Iterator[list[tuple[float, _T]]]:
    pairs = zip(places, values, strict=True)
    for is_known, run in groupby(pairs, lambda pair: pair[1] is not None):
        if is_known:
            yield [(place, value) for place, value in run if value is not None]


def _hovers(
    places: Sequence[float], times: Sequence[datetime], series: Sequence[Series], write: Write
) -> Iterator[Markup]:
    """What a pointer over a time is told."""
    width = _WIDTH / len(times)
    for index, (place, time) in enumerate(zip(places, times, strict=True)):
        figures = ", ".join(f"{one.name} {write(one.values[index])}" for one in series)
        yield element(
            "rect",
            element("title", f"{_moment(time)}: {figures}"),
            x=place * _WIDTH - width / 2,
            width=width,
            height=_TOP + _PLOT,
            class_="hover",
        )


def _range(series: Series, write: Write) -> str:
    known = scales.finite(series.values)
    return (
        f"{series.name}: {write(min(known))} … {write(max(known))}"
        if known
        else f"{series.name}: {write(None)}"
    )


def _places(times: Sequence[datetime]) -> list[float]:
    span = times[-1] - times[0]
    return [(time - times[0]) / span if span else 0.5 for time in times]


def _known(values: Sequence[float | None]) -> list[float | None]:
    return [value if scales.finite([value]) else None for value in values]


def _y(scale: scales.Scale, value: float) -> float:
    return _TOP + _PLOT * (1 - scale.at(value))


def _moment(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"
