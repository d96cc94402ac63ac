"""A table whose figures are bars too: one of several parts for each row."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lessllm_collector.console.charts import scales
from lessllm_collector.console.charts.elements import element, percent
from lessllm_collector.console.charts.figure import figure, legend, nothing, series_class
from lessllm_collector.console.charts.words import Words

_HEIGHT = 14


@dataclass(frozen=True)
class Bar:
    """A row. `parts` one after the other are its length; None: unknown. `link` is where its name leads."""

    name: str
    parts: Sequence[float | None]
    link: str | None = None


def bars(
    caption: str,
    rows: Sequence[Bar],
    write: Callable[[float | None], str],
    words: Words,
    *,
    parts: Sequence[str] = (),
) -> Markup:
    """`parts` are their names, if there are several."""
    if not rows:
        return nothing(caption, words)
    scale = scales.even(end for row in rows for part in _laid(row.parts) for end in part[1:])
    table = element(
        "table", element("tbody", *(_row(row, scale, write, parts) for row in rows)), class_="bars"
    )
    return figure(caption, legend(parts, "area"), table)


def _row(row: Bar, scale: scales.Scale, write: Callable[[float | None], str], parts: Sequence[str]) -> Markup:
    known = scales.finite(row.parts)
    name = element("bdi", row.name)
    told = ", ".join(f"{part} {write(value)}" for part, value in zip(parts, row.parts, strict=False))
    drawing = element(
        "svg", *_rectangles(row, scale, write, parts), width="100%", height=_HEIGHT, aria_hidden="true"
    )
    return element(
        "tr",
        element("th", element("a", name, href=row.link) if row.link else name, scope="row"),
        element("td", drawing, *([element("span", told, class_="unseen")] if told else []), class_="bar"),
        element("td", write(sum(known) if known else None), class_="number"),
    )


def _rectangles(
    row: Bar, scale: scales.Scale, write: Callable[[float | None], str], parts: Sequence[str]
) -> Iterator[Markup]:
    for number, start, end in _laid(row.parts):
        left, right = sorted((scale.at(start), scale.at(end)))
        title = f"{parts[number]} {write(row.parts[number])}" if number < len(parts) else row.name
        yield element(
            "rect",
            element("title", title),
            x=percent(left),
            width=percent(right - left),
            height=_HEIGHT,
            class_=series_class("area", number),
        )


def _laid(parts: Sequence[float | None]) -> Iterator[tuple[int, float, float]]:
    """Number, start and end: positive ones to the right of 0, negative ones to the left."""
    right = left = 0.0
    for number, value in enumerate(parts):
        if not scales.finite([value]) or not value:
            continue
        start = right if value > 0 else left
        yield number, start, start + value
        right, left = (start + value, left) if value > 0 else (right, start + value)
