"""Where a call's time went: a recorded call in, its phases out, drawn as bars along one line of time.

Times are ms since t0, the moment at which the gateway had the request's headers. Tries that failed are one
bar each, with the reason below; the phases are those of the last try. What nobody could see (how an HTTP/2
connection was opened, say) is drawn as what it is: time on the way, without a finer name.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lessllm_shared import figures
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_CONNECTING = {  # by how an attempt calls it
    "pool": "pool_wait_ms",
    "dns": "dns_ms",
    "connect": "tcp_connect_ms",
    "proxy_handshake": "proxy_handshake_ms",
    "tls": "tls_ms",
}
_NAMES = {"pool": "pool wait", "proxy_handshake": "proxy", "wait": "server wait"}  # others as they are called
_NOTICEABLE_MS = 1.0  # shorter gaps between phases are scheduling, and shorter waits none
_EIGHTHS = "▏▎▍▌▋▊▉"
_WIDEST_BAR = 60
_STYLES = {"server wait": "blue", "receive": "green", "first token": "bold"}
_CONNECT_STYLE, _FAILED_STYLE = "yellow", "red"


@dataclass(frozen=True)
class Phase:
    """A part of a call's time."""

    name: str
    start_ms: float
    end_ms: float
    style: str = _CONNECT_STYLE

    @property
    def duration_ms(self) -> float:
        return self.end_ms - self.start_ms


def phases(call: Mapping[str, Any]) -> list[Phase]:
    """In order of time. What did not happen, or is not known, is left out."""
    marks = {name: value / 1e6 for name, value in _parsed(call["clock_marks"], {}).items() if _is_mark(value)}
    attempts = _parsed(call["attempts"], [])
    found = []
    if (received_ms := call["request_receive_ms"]) is not None:
        found.append(Phase("request in", 0.0, received_ms))
    found += _failed_attempts(attempts)
    if attempts:
        found += _last_attempt(call, marks, attempts[-1])
    if found and (call["total_latency_ms"] or 0) - found[-1].end_ms > _NOTICEABLE_MS:
        found.append(Phase("to client", found[-1].end_ms, call["total_latency_ms"]))
    return found


def reasons(call: Mapping[str, Any]) -> list[str]:
    """Why each try before the last failed."""
    found = []
    for number, attempt in enumerate(_parsed(call["attempts"], [])[:-1], start=1):
        facts = (attempt.get("upstream_model"), _name(attempt), attempt.get("error_code"))
        found.append(f"try {number} ({', '.join(filter(None, facts))}): {attempt.get('error_message')}")
    return found


def draw(call: Mapping[str, Any], width: int) -> RenderableType:
    """The phases as bars, one below the other, with the first token where it came; then reasons."""
    rows = phases(call)
    if (first_ms := call["estimated_ttft_ms"]) is not None:
        rows.append(Phase("first token", first_ms, first_ms, _STYLES["first token"]))
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
        grid.add_row(row.name, Text(_bar(row, total_ms, bar_width), row.style), label)
    grid.add_row(Text("total", "bold"), "", Text(figures.milliseconds(call["total_latency_ms"]), "bold"))
    return Group(grid, *(Text(figures.printable(reason), _FAILED_STYLE) for reason in reasons(call)))


def _failed_attempts(attempts: Sequence[Mapping[str, Any]]) -> Iterator[Phase]:
    for number, (attempt, following) in enumerate(pairwise(attempts), start=1):
        end_ms, next_ms = _end_ms(attempt), following["start_ns"] / 1e6
        yield Phase(f"try {number} failed", attempt["start_ns"] / 1e6, end_ms, _FAILED_STYLE)
        if next_ms - end_ms > _NOTICEABLE_MS:
            yield Phase("pause", end_ms, next_ms)


def _last_attempt(
    call: Mapping[str, Any], marks: Mapping[str, float], attempt: Mapping[str, Any]
) -> Iterator[Phase]:
    at_ms = attempt["start_ns"] / 1e6
    start_ms = marks.get("upstream_start_ns")
    for phase, column in _CONNECTING.items():
        duration_ms = call[column] or 0.0
        if start_ms is None and phase == attempt.get("phase", "pool"):
            break
        if call[column] is not None and (phase != "pool" or duration_ms > _NOTICEABLE_MS):
            yield Phase(_NAMES.get(phase, phase), at_ms, at_ms + duration_ms)
        at_ms += duration_ms
    if start_ms is None:
        yield Phase(f"{_name(attempt)} failed", at_ms, _end_ms(attempt), _FAILED_STYLE)
        return
    if start_ms - at_ms > _NOTICEABLE_MS:
        yield Phase("on the way", at_ms, start_ms)
    for name, column in (
        ("send", "request_send_ms"),
        ("server wait", "server_wait_ms"),
        ("receive", "receive_ms"),
    ):
        if (duration_ms := call[column]) is not None:
            yield Phase(name, start_ms, start_ms + duration_ms, _STYLES.get(name, _CONNECT_STYLE))
            start_ms += duration_ms


def _name(attempt: Mapping[str, Any]) -> str:
    """How far it came. The record leaves out where it begins."""
    phase: str = attempt.get("phase", "pool")
    return _NAMES.get(phase, phase)


def _bar(phase: Phase, total_ms: float, width: int) -> str:
    """At least a hair's breadth; the first token is a point in time."""
    start = min(int(phase.start_ms / total_ms * width), width - 1) if total_ms > 0 else 0
    if phase.name == "first token":
        return " " * start + "▲"
    cells, rest = divmod(round(phase.duration_ms / total_ms * width * 8) if total_ms > 0 else 0, 8)
    bar = "█" * cells + (_EIGHTHS[rest - 1] if rest else "")
    return (" " * start + (bar or _EIGHTHS[0]))[:width]


def _end_ms(attempt: Mapping[str, Any]) -> float:
    return float(attempt.get("end_ns") or attempt["start_ns"]) / 1e6


def _is_mark(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _parsed(value: Any, otherwise: Any) -> Any:
    """JSON columns come as text or as what they hold."""
    if value is None:
        return otherwise
    return json.loads(value) if isinstance(value, str) else value
