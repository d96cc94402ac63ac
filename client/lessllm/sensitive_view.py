"""Sensitive data in requests for people: GET /sensitive in, a summary and two tables out. Never a text."""

from collections.abc import Iterator, Mapping
from typing import Any

from lessllm_shared import figures
from rich.console import RenderableType
from rich.text import Text

from lessllm import tables
from lessllm.call_view import short_id

Part = RenderableType | str
Report = Mapping[str, Any]

_BY_KIND = ("kind", "findings", "calls", "last")
_FOUND = ("kind", "findings", "calls", "user", "model", "provider", "policy", "last", "latest call")
_NUMBERS = frozenset(("findings", "calls"))


def view(report: Report, days: int, width: int) -> Iterator[Part]:
    """One part after the other."""
    yield Text(_summary(report, days), style="bold")
    if not report["found"]:
        return
    for heading, titles, rows in (
        ("What was found", _BY_KIND, report["by_kind"]),
        ("Who sent it where, the latest first", _FOUND, report["found"]),
    ):
        columns = [tables.Column(title, title in _NUMBERS) for title in titles]
        cells = [[_CELLS[title](row) for title in titles] for row in rows]
        yield Text(f"\n{heading}\n", style="bold")
        yield tables.of_text(columns, cells, width)


def _summary(report: Report, days: int) -> str:
    period = "day" if days == 1 else f"{days} days"
    if not report["calls"]:
        return f"no calls in the last {period}"
    unread = report["calls"] - report["looked_at"]
    looked_at = figures.calls(report["looked_at"])
    parts = [f"The last {period}: sensitive data in {report['with_findings']:,} of {looked_at} looked at"]
    if unread:
        parts.append(f"{figures.calls(unread)} not looked at")
    if report["blocked"]:
        parts.append(f"{figures.calls(report['blocked'])} blocked")
    return ", ".join(parts)


def _text(name: str) -> Any:
    return lambda row: figures.printable(row[name] or figures.NULL)


_CELLS = {
    "kind": _text("kind"),
    "findings": lambda row: figures.count(row["findings"]),
    "calls": lambda row: figures.count(row["calls"]),
    "user": _text("user_id"),
    "model": _text("model"),
    "provider": _text("provider"),
    "policy": _text("policy"),
    "last": lambda row: figures.moment(row["last_call"]),
    "latest call": lambda row: short_id({"request_id": row["request_ids"][0]}),
}
