"""Where a call's time went: a recorded call in, the phases of its time out.

Times are ms since t0, the moment at which the gateway had the request's headers. Tries that failed are one
phase each, with the reason apart; the others are those of the last try. What nobody could see (how an HTTP/2
connection was opened, say) is what it is: time on the way, without a finer name.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

Kind = Literal["gateway", "connect", "wait", "receive", "pause", "failed"]

_CONNECTING = {  # by how an attempt calls it
    "pool": "pool_wait_ms",
    "dns": "dns_ms",
    "connect": "tcp_connect_ms",
    "proxy_handshake": "proxy_handshake_ms",
    "tls": "tls_ms",
}
_NAMES = {"pool": "pool wait", "proxy_handshake": "proxy", "wait": "server wait"}  # others as they are called
_NOTICEABLE_MS = 1.0  # shorter gaps between phases are scheduling, and shorter waits none
_ANSWERING: Sequence[tuple[str, str, Kind]] = (
    ("send", "request_send_ms", "connect"),
    ("server wait", "server_wait_ms", "wait"),
    ("receive", "receive_ms", "receive"),
)


@dataclass(frozen=True)
class Phase:
    """A part of a call's time. `number` is that of a try which failed."""

    what: str
    start_ms: float
    end_ms: float
    kind: Kind
    number: int | None = None

    @property
    def name(self) -> str:
        """In words."""
        numbered = self.what if self.number is None else f"{self.what} {self.number}"
        return f"{numbered} failed" if self.kind == "failed" else numbered

    @property
    def duration_ms(self) -> float:
        return self.end_ms - self.start_ms


def phases(call: Mapping[str, Any]) -> list[Phase]:
    """In order of time. What did not happen, or is not known, is left out."""
    marks = {name: value / 1e6 for name, value in _parsed(call["clock_marks"], {}).items() if _is_mark(value)}
    tries = attempts(call)
    found = []
    if (received_ms := call["request_receive_ms"]) is not None:
        found.append(Phase("request in", 0.0, received_ms, "gateway"))
    found += _failed_attempts(tries)
    if tries:
        found += _last_attempt(call, marks, tries[-1])
    if found and (call["total_latency_ms"] or 0) - found[-1].end_ms > _NOTICEABLE_MS:
        found.append(Phase("to client", found[-1].end_ms, call["total_latency_ms"], "gateway"))
    return found


def attempts(call: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Each try, in order."""
    found: Sequence[Mapping[str, Any]] = _parsed(call["attempts"], [])
    return found


def reasons(call: Mapping[str, Any]) -> list[str]:
    """Why each try before the last failed."""
    found = []
    for number, attempt in enumerate(attempts(call)[:-1], start=1):
        facts = (attempt.get("upstream_model"), _name(attempt), attempt.get("error_code"))
        found.append(f"try {number} ({', '.join(filter(None, facts))}): {attempt.get('error_message')}")
    return found


def _failed_attempts(tries: Sequence[Mapping[str, Any]]) -> Iterator[Phase]:
    for number, (attempt, following) in enumerate(pairwise(tries), start=1):
        end_ms, next_ms = _end_ms(attempt), following["start_ns"] / 1e6
        yield Phase("try", attempt["start_ns"] / 1e6, end_ms, "failed", number)
        if next_ms - end_ms > _NOTICEABLE_MS:
            yield Phase("pause", end_ms, next_ms, "pause")


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
            yield Phase(_NAMES.get(phase, phase), at_ms, at_ms + duration_ms, "connect")
        at_ms += duration_ms
    if start_ms is None:
        yield Phase(_name(attempt), at_ms, _end_ms(attempt), "failed")
        return
    if start_ms - at_ms > _NOTICEABLE_MS:
        yield Phase("on the way", at_ms, start_ms, "connect")
    for what, column, kind in _ANSWERING:
        if (duration_ms := call[column]) is not None:
            yield Phase(what, start_ms, start_ms + duration_ms, kind)
            start_ms += duration_ms


def _name(attempt: Mapping[str, Any]) -> str:
    """How far it came. The record leaves out where it begins."""
    phase: str = attempt.get("phase", "pool")
    return _NAMES.get(phase, phase)


def _end_ms(attempt: Mapping[str, Any]) -> float:
    return float(attempt.get("end_ns") or attempt["start_ns"]) / 1e6


def _is_mark(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _parsed(value: Any, otherwise: Any) -> Any:
    """JSON columns come as text or as what they hold."""
    if value is None:
        return otherwise
    return json.loads(value) if isinstance(value, str) else value
