"""The line of figures above rows that share it."""

from collections.abc import Callable

from markupsafe import Markup

from lessllm_collector.console.charts.elements import element, percent
from lessllm_collector.console.charts.scales import Scale

_HEIGHT = 18
_FIRST, _LAST = 0.04, 0.9  # nearer to an end, a figure begins or ends at its place


def axis(scale: Scale, write: Callable[[float | None], str]) -> Markup:
    """Each tick at its place; where it is narrow, the CSS leaves out every other one."""
    labels = []
    for number, tick in enumerate(scale.ticks):
        place = scale.at(tick)
        anchor = "start" if place < _FIRST else "end" if place > _LAST else "middle"
        kind = "x every-other" if number % 2 else "x"
        labels.append(
            element("text", write(tick), x=percent(place), y=_HEIGHT - 5, text_anchor=anchor, class_=kind)
        )
    return element("svg", *labels, width="100%", height=_HEIGHT, aria_hidden="true")
