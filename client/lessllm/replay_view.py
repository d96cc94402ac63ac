"""A recorded call and the same one sent again, side by side: how they ended, figures, and what was said.

Both come whole, as the collector gives them; what is NULL in both is left out.
"""

from collections.abc import Callable, Iterator
from typing import Any

from lessllm_shared import figures
from lessllm_shared.answer_text import answer_text
from rich.console import RenderableType
from rich.text import Text

from lessllm import side_by_side, tables
from lessllm.call_view import Call

_TITLES = ("recorded", "replay")
_LONGEST_ANSWER = 3000  # characters


def parts(recorded: Call, replay: Call, width: int, *, full: bool) -> Iterator[RenderableType]:
    """`full`: answers are not cut."""
    for title, call in zip(_TITLES, (recorded, replay), strict=True):
        yield Text(f"{title:<8}  {call['request_id']}  {figures.moment(call['timestamp'])}", "bold")
    yield Text("")
    yield _comparison(recorded, replay, width)
    for title, call in zip(_TITLES, (recorded, replay), strict=True):
        if call["error_code"] or call["error_message"]:
            yield Text(f"\n{title}: {figures.printable(error(call))}", "red")
    yield Text("\nAnswer\n", "bold")
    yield _answers(recorded, replay, width, full=full)


def error(call: Call) -> str:
    """What went wrong with it."""
    return (
        ": ".join(part for part in (call["error_code"], call["error_message"]) if part) or call["end_reason"]
    )


def _comparison(recorded: Call, replay: Call, width: int) -> RenderableType:
    rows = [(name, write(recorded), write(replay), "") for name, write in _WORDS.items()]
    for name, (column, write_figure) in _FIGURES.items():
        before, after = recorded[column], replay[column]
        rows.append((name, write_figure(before), write_figure(after), _change(before, after)))
    shown = [row for row in rows if {row[1], row[2]} != {figures.NULL}]
    columns = [tables.Column(title) for title in ("", *_TITLES)]
    return tables.of_text([*columns, tables.Column("change", is_number=True)], shown, width)


def _change(before: float | None, after: float | None) -> str:
    if before is None or after is None or before == 0:
        return ""
    if after >= 2 * before:
        return f"{after / before:.1f} times"
    return f"{after / before - 1:+.0%}" if after != before else "="


def _answers(recorded: Call, replay: Call, width: int, *, full: bool) -> RenderableType:
    before, after = (answer_text(call["raw_response"]) for call in (recorded, replay))
    if before is not None and before == after:
        lines = [figures.printable(line) for line in _shown(before, full=full).splitlines()]
        return Text("\n".join(["(the same, to the letter)", *lines]))
    return side_by_side.draw(_TITLES, (_shown(before, full=full), _shown(after, full=full)), width)


def _shown(answer: str | None, *, full: bool) -> str:
    if answer is None:
        return "(none)"
    if full or len(answer) <= _LONGEST_ANSWER:
        return answer
    more = len(answer) - _LONGEST_ANSWER
    return f"{answer[:_LONGEST_ANSWER]}…\n({more:,} characters more: --full shows them)"


def _model(call: Call) -> str:
    return _listed([call["model"], call["response_model"]], " → ")


def _asked(call: Call) -> str:
    formats = _listed([call["api_format"], call["upstream_format"]], " → ")
    return f"{formats}, {'streaming' if call['streaming'] else 'not streaming'}"


def _end(call: Call) -> str:
    status = f", status {call['status_code']}" if call["status_code"] else ""
    return f"{call['end_reason']}{status}"


def _listed(names: list[str | None], separator: str = ", ") -> str:
    return figures.printable(separator.join(dict.fromkeys(name for name in names if name)) or figures.NULL)


_WORDS: dict[str, Callable[[Call], str]] = {
    "model": _model,
    "provider": lambda call: _listed([call["provider"]]),
    "asked": _asked,
    "end": _end,
    "finished by": lambda call: _listed([call["finish_reason"]]),
}
_FIGURES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "TTFT": ("estimated_ttft_ms", figures.milliseconds),
    "TPOT": ("estimated_tpot_ms", figures.milliseconds),
    "total": ("total_latency_ms", figures.milliseconds),
    "network": ("network_ms", figures.milliseconds),
    "compute": ("compute_ms", figures.milliseconds),
    "tokens in": ("actual_prompt_tokens", figures.count),
    "tokens out": ("actual_completion_tokens", figures.count),
    "cached": ("actual_cache_hit_rate", figures.percent),
    "cost": ("estimated_cost_usd", figures.money),
}
