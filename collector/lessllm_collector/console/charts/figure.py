"""What is around a chart: its caption, the legend, and its data as a table to open."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from lessllm_collector.console.charts.elements import element, joined
from lessllm_collector.console.charts.words import Words

CLASSES = 6  # of series, in charts.css; a seventh looks like the first


def figure(caption: str, *parts: str) -> Markup:
    """A chart with its caption."""
    return element("figure", element("figcaption", caption), *parts, class_="chart")


def nothing(caption: str, words: Words) -> Markup:
    """In place of a chart without data."""
    return figure(caption, element("p", words.nothing, class_="nothing"))


def legend(names: Sequence[str], mark: str) -> Markup:
    """Names beside their marks, a `line` or an `area`. Nothing for one series, which the caption names."""
    if len(names) < 2:
        return Markup()
    items = (element("li", _mark(mark, number), element("bdi", name)) for number, name in enumerate(names))
    return element("ul", *items, class_="legend")


def data(words: Words, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """Closed until asked for."""
    table = element(
        "table",
        element("thead", element("tr", *(element("th", name, scope="col") for name in head))),
        element("tbody", *(_row(row) for row in rows)),
    )
    return element(
        "details",
        element("summary", words.data),
        element("div", table, class_="scrolls", tabindex="0"),
        class_="data",
    )


def series_class(kind: str, number: int) -> str:
    """How the CSS knows it."""
    return f"{kind} s{number % CLASSES + 1}"


def _row(cells: Sequence[str]) -> Markup:
    name, *figures = cells
    return element("tr", element("th", name, scope="row"), *(element("td", cell) for cell in figures))


def _mark(kind: str, number: int) -> Markup:
    shape = (
        element("path", d="M0 5H22", class_=series_class("line", number))
        if kind == "line"
        else element("rect", width=12, height=10, class_=series_class("area", number))
    )
    return element("svg", joined([shape]), width=22 if kind == "line" else 12, height=10, aria_hidden="true")
