"""Where one call's time went: a table whose rows are spans along one line of time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lessllm_collector.console.charts import axis as axes
from lessllm_collector.console.charts import scales
from lessllm_collector.console.charts.elements import element, percent
from lessllm_collector.console.charts.figure import figure, nothing
from lessllm_collector.console.charts.words import Words

_HEIGHT = 16
_LEAST = 0.002  # of the width: a hair's breadth
_APART = 0.005  # closer ticks would hide what they are on


@dataclass(frozen=True)
class Span:
    """A row, in ms since the call began. `kind` is a class in charts.css. `ticks` are moments within it."""

    name: str
    start_ms: float
    end_ms: float
    kind: str
    ticks: Sequence[float] = ()
    note: str = ""


def waterfall(
    caption: str, spans: Sequence[Span], write: Callable[[float | None], str], words: Words
) -> Markup:
    """A span that has no length is a moment: what is written is when it was, not how long it took."""
    drawn = [span for span in spans if len(scales.finite((span.start_ms, span.end_ms))) == 2]
    if not drawn:
        return nothing(caption, words)
    axis = scales.linear((span.end_ms for span in drawn), about=5)
    end_ms = max(1e-6, *(span.end_ms for span in drawn))
    whole = scales.Scale(0.0, end_ms, is_log=False, ticks=[t for t in axis.ticks if 0 <= t <= end_ms])
    head = element(
        "tr",
        element("td"),
        element("td", axes.axis(whole, write), class_="span"),
        element("td"),
        aria_hidden="true",
    )
    body = element("tbody", *(_row(span, whole, write) for span in drawn))
    return figure(caption, element("table", element("thead", head), body, class_="waterfall"))


def _row(span: Span, whole: scales.Scale, write: Callable[[float | None], str]) -> Markup:
    is_moment = span.start_ms == span.end_ms
    figure = write(span.end_ms if is_moment else span.end_ms - span.start_ms)
    drawing = element(
        "svg",
        *(
            element("line", x1=percent(x), x2=percent(x), y1="0", y2=_HEIGHT, class_="grid")
            for x in map(whole.at, whole.ticks)
        ),
        *_shapes(span, whole, is_moment=is_moment),
        width="100%",
        height=_HEIGHT,
        aria_hidden="true",
    )
    note = [element("small", span.note)] if span.note else []
    return element(
        "tr",
        element("th", element("bdi", span.name), *note, scope="row"),
        element("td", drawing, class_="span"),
        element("td", figure, class_="number"),
    )


def _shapes(span: Span, whole: scales.Scale, *, is_moment: bool) -> Iterator[Markup]:
    start, end = whole.at(span.start_ms), whole.at(span.end_ms)
    width = max(end - start, _LEAST)
    start = min(start, 1 - width)
    if is_moment:
        yield element(
            "line", x1=percent(end), x2=percent(end), y1="0", y2=_HEIGHT, class_=f"moment {span.kind}"
        )
        return
    yield element(
        "rect", x=percent(start), width=percent(width), y="3", height=_HEIGHT - 6, class_=f"span {span.kind}"
    )
    drawn = 0.0
    for place in sorted(whole.at(tick) for tick in scales.finite(span.ticks)):
        if place - drawn < _APART:
            continue
        drawn = place
        yield element("line", x1=percent(place), x2=percent(place), y1="3", y2=_HEIGHT - 3, class_="tick")
