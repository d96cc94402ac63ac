"""Where a call's time went: a recorded call in, its phases out, drawn as bars along one line of time.

Times are ms since t0, the moment at which the gateway had the request's headers. What nobody could see
(the inside of a SOCKS connection, say) is drawn as what it is: time on the way, without a finer name.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lessllm import figures

_CONNECTING = (
    ("pool wait", "pool_wait_ms"),
    ("dns", "dns_ms"),
    ("connect", "tcp_connect_ms"),
    ("proxy", "proxy_handshake_ms"),
    ("tls", "tls_ms"),
)
_ANSWERING = (
    ("send", "upstream_start_ns", "upstream_sent_ns"),
    ("server wait", "upstream_sent_ns", "upstream_headers_ns"),
    ("receive", "upstream_headers_ns", "upstream_end_ns"),
)
_NOTICEABLE_MS = 1.0  # shorter gaps between phases are scheduling
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
    found += [
        Phase("failed try", attempt["start_ns"] / 1e6, _end_ms(attempt), _FAILED_STYLE)
        for attempt in attempts[:-1]
    ]
    if attempts:
        found += _last_attempt(call, marks, attempts[-1])
    if found and call["total_latency_ms"] - found[-1].end_ms > _NOTICEABLE_MS:
        found.append(Phase("to client", found[-1].end_ms, call["total_latency_ms"]))
    return found


def draw(call: Mapping[str, Any], width: int) -> RenderableType:
    """The phases as bars, one below the other, with the first token where it came."""
    rows = phases(call)
    if (first_ms := call["estimated_ttft_ms"]) is not None:
        rows.append(Phase("first token", first_ms, first_ms, _STYLES["first token"]))
    total_ms = max([call["total_latency_ms"], *(row.end_ms for row in rows)])
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
    return grid


def _last_attempt(
    call: Mapping[str, Any], marks: Mapping[str, float], attempt: Mapping[str, Any]
) -> Iterator[Phase]:
    at_ms = attempt["start_ns"] / 1e6
    for name, column in _CONNECTING:
        if (duration_ms := call[column]) is not None:
            yield Phase(name, at_ms, at_ms + duration_ms)
            at_ms += duration_ms
    answered_ms = marks.get("upstream_start_ns")
    if answered_ms is None:
        yield Phase(f"{attempt['phase']} failed", at_ms, _end_ms(attempt), _FAILED_STYLE)
        return
    if answered_ms - at_ms > _NOTICEABLE_MS:
        yield Phase("on the way", at_ms, answered_ms)
    for name, first, last in _ANSWERING:
        if first in marks and last in marks:
            yield Phase(name, marks[first], marks[last], _STYLES.get(name, _CONNECT_STYLE))


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
