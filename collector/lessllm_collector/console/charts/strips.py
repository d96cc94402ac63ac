"""Distributions below each other along one axis: how often which figure came, with its percentiles."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lessllm_collector.console.charts import axis as axes
from lessllm_collector.console.charts import scales
from lessllm_collector.console.charts.elements import element
from lessllm_collector.console.charts.figure import figure, nothing
from lessllm_collector.console.charts.words import Words

_HEIGHT = 36
_WIDTH = 1000  # of the strip's own units


@dataclass(frozen=True)
class Strip:
    """A row. `counts` are of the figures between each two edges; `percentiles` by their names."""

    name: str
    counts: Sequence[int]
    percentiles: Mapping[str, float | None]
    link: str | None = None


def strips(
    caption: str,
    edges: Sequence[float],
    rows: Sequence[Strip],
    write: Callable[[float | None], str],
    words: Words,
    *,
    total: str,
) -> Markup:
    """`edges` are positive and ascend, one more than there are counts: the axis goes by powers. Each strip
    is as high as its own most frequent figure. `total` heads the number of figures."""
    shown = [row for row in rows if sum(row.counts)]
    if not shown:
        return nothing(caption, words)
    axis = scales.logarithmic(edges)
    names = list(shown[0].percentiles)
    head = element(
        "tr",
        element("td"),
        element("td", axes.axis(axis, write), class_="strip"),
        *(element("th", name, scope="col", class_="number") for name in (*names, total)),
    )
    body = [_row(row, edges, axis, write) for row in shown]
    table = element("table", element("thead", head), element("tbody", *body), class_="strips")
    return figure(caption, element("div", table, class_="scrolls", tabindex="0"))


def _row(
    row: Strip, edges: Sequence[float], axis: scales.Scale, write: Callable[[float | None], str]
) -> Markup:
    name = element("bdi", row.name)
    marks = (
        element(
            "path",
            element("title", f"{name} {write(value)}"),
            d=f"M{axis.at(value) * _WIDTH:.1f} 0V{_HEIGHT}",
            class_=f"mark m{number}",
        )
        for number, (name, value) in enumerate(row.percentiles.items(), start=1)
        if value is not None and scales.finite([value]) and value > 0
    )
    drawing = element(
        "svg",
        element("path", d=_outline(row.counts, edges, axis), class_="area s1"),
        *marks,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        preserveAspectRatio="none",
        width="100%",
        height=_HEIGHT,
        aria_hidden="true",
    )
    figures = [write(value) for value in row.percentiles.values()]
    return element(
        "tr",
        element("th", element("a", name, href=row.link) if row.link else name, scope="row"),
        element("td", drawing, class_="strip"),
        *(element("td", figure, class_="number") for figure in (*figures, f"{sum(row.counts):,}")),
    )


def _outline(counts: Sequence[int], edges: Sequence[float], axis: scales.Scale) -> str:
    """Steps, from the axis up and back to it."""
    most = max(counts)
    steps = []
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        y = (_HEIGHT - 1) * (1 - count / most) + 1 if count else _HEIGHT
        steps.append(f"L{axis.at(low) * _WIDTH:.1f} {y:.1f}L{axis.at(high) * _WIDTH:.1f} {y:.1f}")
    first, last = axis.at(edges[0]) * _WIDTH, axis.at(edges[-1]) * _WIDTH
    return f"M{first:.1f} {_HEIGHT}{''.join(steps)}L{last:.1f} {_HEIGHT}Z"
