"""Suggestions as the collector gives them (GET /suggestions) → text for people, dollars first.

The difference between two texts is marked by colour, and without colours by brackets.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lessllm_shared import figures
from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from lessllm.call_view import short_id

Suggestion = Mapping[str, Any]

_INDENT = 2
_WIDEST = 100
_SIDES = {"before": "red", "after": "green"}


def parts(answer: Mapping[str, Any], width: int, *, colours: bool) -> Iterator[RenderableType]:
    """All of them, under a line that says what they come to."""
    yield Text(_summary(answer), style="bold")
    for number, suggestion in enumerate(answer["suggestions"], 1):
        yield Text("")
        yield from view(suggestion, number, width, colours=colours)
    left = answer["found"] - len(answer["suggestions"])
    if left > 0:
        yield Text(f"\nand {left:,} more", style="dim")
    yield Text(f"\n{_looked_at(answer)}", style="dim")


def view(suggestion: Suggestion, number: int, width: int, *, colours: bool) -> Iterator[RenderableType]:
    """One of them."""
    width = min(width, _WIDEST)
    yield _wrapped(f"{number}. {_money(suggestion)}", width, "bold")
    yield _indented(suggestion["title"], width)
    yield _indented(_where(suggestion), width, "dim")
    yield from _difference(suggestion["evidence"], width, colours=colours)
    yield Text("")
    yield _indented(suggestion["change"], width)
    if suggestion["snippet"]:
        yield Text("")
        lines = textwrap.dedent(suggestion["snippet"]).splitlines()
        yield Padding(Text("\n".join(map(figures.printable, lines)), style="cyan"), (0, 0, 0, 2 * _INDENT))


def nothing(answer: Mapping[str, Any], days: int) -> str:
    """What to say when there is none."""
    if not answer["calls"]:
        return (
            f"no calls with known tokens in the last {_days(days)}: there is nothing to judge yet"
            "\nlessllm calls lists what is recorded"
        )
    return f"nothing to change: no loss worth telling in the last {_days(days)}\n{_looked_at(answer)}"


def _summary(answer: Mapping[str, Any]) -> str:
    return (
        f"{figures.money(answer['loss_usd'])} could have been saved,"
        f" {figures.money(answer['projected_30_days_usd'])} in 30 days"
    )


def _looked_at(answer: Mapping[str, Any]) -> str:
    of = f"{answer['looked_at']:,} of {answer['calls']:,} calls looked at"
    newest = ", the newest" if answer["cut"] else ""
    return f"{of}{newest}. 30 days: {answer['projection']}."


def _money(suggestion: Suggestion) -> str:
    if suggestion["loss_usd"] is None:
        return f"{suggestion['tokens']:,} tokens (no price is known)"
    lost, projected = (
        figures.money(suggestion["loss_usd"]),
        figures.money(suggestion["projected_30_days_usd"]),
    )
    return f"{lost} lost, {projected} in 30 days"


def _where(suggestion: Suggestion) -> str:
    calls, ids = figures.calls(suggestion["calls"]), suggestion["evidence"]["request_ids"]
    latest = short_id({"request_id": ids[0]})
    model = f"{suggestion['provider']}, {suggestion['model']}"
    return f"{model}: {calls}, {suggestion['tokens']:,} tokens; the latest is {latest}"


def _difference(evidence: Mapping[str, Any], width: int, *, colours: bool) -> Iterator[RenderableType]:
    shown = {side: evidence[side] for side in _SIDES if evidence[side] is not None}
    if not shown:
        return
    yield Text("")
    yield _indented(f"where prompts part: {evidence['path']}", width, "dim")
    for side, excerpt in shown.items():
        text = _marked(excerpt, _SIDES[side], colours=colours)
        for line in _lines(text, width - 2 * _INDENT - 2):
            yield Text("    ") + Text("│ ", style="dim") + line
        yield Text("    ") + Text(f"└ {short_id(excerpt)}", style="dim")


def _marked(excerpt: Mapping[str, Any], colour: str, *, colours: bool) -> Text:
    text, start, end = excerpt["text"], excerpt["start"], excerpt["end"]
    before, different, after = map(figures.printable, (text[:start], text[start:end], text[end:]))
    if not colours:
        different = f"[{different}]"
    return Text.assemble("…", before, (different, f"bold reverse {colour}"), after, "…")


def _lines(text: Text, width: int) -> Sequence[Text]:
    return [text[start : start + width] for start in range(0, len(text), max(1, width))]


def _indented(text: str, width: int, style: str = "") -> Text:
    return _wrapped(text, width, style, " " * _INDENT)


def _wrapped(text: str, width: int, style: str, indent: str = "") -> Text:
    printable = figures.printable(text)
    return Text(textwrap.fill(printable, width, initial_indent=indent, subsequent_indent=indent), style=style)


def _days(days: int) -> str:
    return "day" if days == 1 else f"{days} days"
