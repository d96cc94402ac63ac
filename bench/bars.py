"""A drawing of bars as SVG: one a row, on a logarithmic scale, its value beside it. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_LABEL_PX, _BARS_PX, _VALUE_PX, _ROW_PX, _HEAD_PX = 210, 380, 150, 26, 34


@dataclass(frozen=True, slots=True)
class Bar:
    """One row."""

    label: str
    value: float  # above 0
    text: str  # the value, as it is to be read
    is_ours: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars of one scale."""

    title: str
    bars: Sequence[Bar]


def svg(charts: Sequence[Chart]) -> str:
    """The charts one below the other. Readable on light and dark."""
    parts: list[str] = []
    y_px = 0
    for chart in charts:
        parts += _chart(chart, y_px)
        y_px += _HEAD_PX + _ROW_PX * len(chart.bars) + 14
    width_px = _LABEL_PX + _BARS_PX + _VALUE_PX
    return "\n".join(
        (
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width_px} {y_px}"'
                f' width="{width_px}" height="{y_px}" font-family="sans-serif" font-size="13">'
            ),
            f'<rect width="{width_px}" height="{y_px}" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        )
    )


def lengths(values: Sequence[float]) -> list[float]:
    """Between 0 and 1, by the logarithm; the scale begins at the power of ten below the lowest value."""
    begin = math.floor(math.log10(min(values) * 0.999))
    end = math.log10(max(values))
    return [(math.log10(value) - begin) / (end - begin) for value in values]


def _chart(chart: Chart, top_px: int) -> list[str]:
    parts = [f'<text x="8" y="{top_px + 22}" font-weight="bold">{escape(chart.title)}</text>']
    for number, (bar, length) in enumerate(
        zip(chart.bars, lengths([bar.value for bar in chart.bars]), strict=True)
    ):
        y_px = top_px + _HEAD_PX + number * _ROW_PX
        width_px = max(1.0, length * _BARS_PX)
        parts += (
            f'<text x="{_LABEL_PX - 8}" y="{y_px + 15}" text-anchor="end">{escape(bar.label)}</text>',
            (
                f'<rect x="{_LABEL_PX}" y="{y_px}" width="{width_px:.1f}" height="20"'
                f' fill="{"#2a6f97" if bar.is_ours else "#a9b4bd"}"/>'
            ),
            f'<text x="{_LABEL_PX + width_px + 6:.1f}" y="{y_px + 15}">{escape(bar.text)}</text>',
        )
    return parts
