"""A trend in the size of a word."""

from collections.abc import Sequence

from markupsafe import Markup

from lessllm_collector.console.charts import scales
from lessllm_collector.console.charts.elements import element

_WIDTH, _HEIGHT, _EDGE = 100, 24, 2


def sparkline(values: Sequence[float | None], title: str) -> Markup:
    """From 0 up to the largest. Nothing if no value is known."""
    known = scales.finite(values)
    if not known:
        return Markup()
    scale = scales.even(known)
    step = _WIDTH / max(len(values) - 1, 1)
    path, is_drawing = [], False
    for index, value in enumerate(values):
        if not scales.finite([value]) or value is None:
            is_drawing = False
            continue
        y = _EDGE + (_HEIGHT - 2 * _EDGE) * (1 - scale.at(value))
        path.append(f"L{index * step:.1f} {y:.1f}" if is_drawing else f"M{index * step:.1f} {y:.1f}h0")
        is_drawing = True
    return element(
        "svg",
        element("title", title),
        element("path", d=" ".join(path), class_="line s1"),
        role="img",
        class_="sparkline",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        preserveAspectRatio="none",
    )
