"""Where a recorded call's time went, drawn as bars along one line of time; below it why tries failed."""

from collections.abc import Mapping
from typing import Any

from lessllm_shared import figures
from lessllm_shared.phases import Phase, phases, reasons
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_EIGHTHS = "▏▎▍▌▋▊▉"
_WIDEST_BAR = 60
_STYLES = {"wait": "blue", "receive": "green", "failed": "red"}  # by kind
_OTHER_STYLE = "yellow"


def draw(call: Mapping[str, Any], width: int) -> RenderableType:
    """The phases as bars, one below the other, with the first token where it came; then reasons."""
    rows = phases(call)
    if (first_ms := call["estimated_ttft_ms"]) is not None:
        rows.append(Phase("first token", first_ms, first_ms, "receive"))
    total_ms = max([call["total_latency_ms"] or 0, *(row.end_ms for row in rows)])
    labels = [
        figures.milliseconds(row.end_ms if row.name == "first token" else row.duration_ms) for row in rows
    ]
    taken = max(map(len, labels), default=0) + max((len(row.name) for row in rows), default=0) + 4
    bar_width = min(_WIDEST_BAR, max(10, width - taken))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(width=bar_width, no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    for row, label in zip(rows, labels, strict=True):
        grid.add_row(row.name, Text(_bar(row, total_ms, bar_width), _style(row)), label)
    grid.add_row(Text("total", "bold"), "", Text(figures.milliseconds(call["total_latency_ms"]), "bold"))
    return Group(grid, *(Text(figures.printable(reason), _STYLES["failed"]) for reason in reasons(call)))


def _style(phase: Phase) -> str:
    return "bold" if phase.name == "first token" else _STYLES.get(phase.kind, _OTHER_STYLE)


def _bar(phase: Phase, total_ms: float, width: int) -> str:
    """At least a hair's breadth; the first token is a point in time."""
    start = min(int(phase.start_ms / total_ms * width), width - 1) if total_ms > 0 else 0
    if phase.name == "first token":
        return " " * start + "▲"
    cells, rest = divmod(round(phase.duration_ms / total_ms * width * 8) if total_ms > 0 else 0, 8)
    bar = "█" * cells + (_EIGHTHS[rest - 1] if rest else "")
    return (" " * start + (bar or _EIGHTHS[0]))[:width]
