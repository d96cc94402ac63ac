"""One recorded call for people: what it was, how it ended, what it cost, its timeline, request and answer.

The call comes whole, as the collector gives it. What is NULL there is left out here.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lessllm_shared import figures
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lessllm import timeline

Call = Mapping[str, Any]

_SHOWN_LINES = 40
_LONGEST_STRING = 400


def short_id(call: Call) -> str:
    """The last part of a UUIDv7: 48 random bits, enough to tell calls apart and short enough to read."""
    return str(call["request_id"]).rpartition("-")[2]


def view(call: Call, width: int, *, full: bool) -> Iterator[RenderableType]:
    """`full`: bodies are not cut."""
    title = f"{call['request_id']}  {figures.moment(call['timestamp'])}"
    yield Text(title, style="bold")
    yield Text("")
    yield _facts(call)
    yield _heading("Timeline")
    yield timeline.draw(call, width)
    yield _heading("Request")
    yield Text(_body(call["raw_request"], call["request_body_bytes"], full=full))
    yield _heading("Answer")
    yield Text(_body(call["raw_response"], call["response_body_bytes"], full=full))


def _facts(call: Call) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, write in _FACTS.items():
        if text := write(call):
            style = "red" if name == "error" else ""
            grid.add_row(name, Text(figures.printable(text), style))
    return grid


def _model(call: Call) -> str:
    names = [call["model"], call["upstream_model"], call["response_model"]]
    return " → ".join(dict.fromkeys(name for name in names if name))


def _provider(call: Call) -> str:
    if call["provider"] is None:
        return ""
    way = "" if call["route"] in (None, "direct") else f" through {call['route']}"
    return f"{call['provider']}, {call['upstream_url']}{way}"


def _asked(call: Call) -> str:
    formats = [call["api_format"], call["upstream_format"]]
    spoken = " → ".join(dict.fromkeys(name for name in formats if name))
    streaming = "streaming" if call["streaming"] else "not streaming"
    return _listed(f"{call['method']} {call['endpoint']}", spoken, streaming)


def _who(call: Call) -> str:
    session = call["session_id"] and f"session {call['session_id']}"
    return _listed(call["user_id"], session, call["client_ip"])


def _end(call: Call) -> str:
    status = call["status_code"] and f"status {call['status_code']}"
    finish = call["finish_reason"] and f"finished by {call['finish_reason']}"
    return _listed(call["end_reason"], status, finish)


def _error(call: Call) -> str:
    return ": ".join(part for part in (call["error_code"], call["error_message"]) if part)


def _tokens(call: Call) -> str:
    """1,412 in (1,209 read from cache, 180 written to it), 96 out (64 reasoning)."""
    cached = _listed(
        _counted(call, "actual_cached_tokens", "read from cache"),
        _counted(call, "actual_cache_write_tokens", "written to it"),
    )
    reasoning = _counted(call, "actual_reasoning_tokens", "reasoning")
    return _listed(
        _counted(call, "actual_prompt_tokens", "in") + (f" ({cached})" if cached else ""),
        _counted(call, "actual_completion_tokens", "out") + (f" ({reasoning})" if reasoning else ""),
    )


def _counted(call: Call, column: str, words: str) -> str:
    return f"{figures.count(call[column])} {words}" if call[column] else ""


def _cost(call: Call) -> str:
    if call["estimated_cost_usd"] is None:
        return f"unknown: {call['price_source']}" if call["price_source"] else ""
    saved = call["cache_savings_usd"]
    return _listed(
        f"{figures.money(call['estimated_cost_usd'])} ({call['cost_basis']} usage, {call['price_source']})",
        saved and f"caching saved {figures.money(saved)}",
    )


def _cache(call: Call) -> str:
    return _listed(
        _written(call, "actual_cache_hit_rate", figures.percent, "of the prompt came from cache"),
        _written(call, "estimated_cache_hit_rate", figures.percent, "was predicted"),
    )


def _speed(call: Call) -> str:
    return _listed(
        _written(call, "estimated_ttft_ms", figures.milliseconds, "to the first token"),
        _written(call, "estimated_tpot_ms", figures.milliseconds, "a token"),
        _written(call, "output_tokens_per_s", figures.cell, "tokens/s over all"),
    )


def _written(call: Call, column: str, write: Callable[[float], str], words: str) -> str:
    return f"{write(call[column])} {words}" if call[column] is not None else ""


def _listed(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _body(body: Any, size_bytes: int | None, *, full: bool) -> str:
    """The collector gives JSON as it is, else text, else bytes as base64."""
    if body is None:
        return f"({figures.size(size_bytes)}, not kept or not text)" if size_bytes else "(none)"
    if isinstance(body, str):
        lines = body.splitlines()
    else:
        lines = json.dumps(body if full else _shortened(body), indent=2, ensure_ascii=False).splitlines()
    shown = [figures.printable(line) for line in (lines if full else lines[:_SHOWN_LINES])]
    if len(shown) < len(lines):
        shown.append(f"… {len(lines) - len(shown):,} more lines: --full shows them")
    return "\n".join(shown)


def _shortened(value: Any) -> Any:
    """The same JSON, its long texts cut."""
    if isinstance(value, dict):
        return {name: _shortened(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if isinstance(value, str) and len(value) > _LONGEST_STRING:
        return f"{value[:_LONGEST_STRING]}… ({len(value) - _LONGEST_STRING:,} characters more)"
    return value


def _heading(text: str) -> RenderableType:
    return Text(f"\n{text}\n", style="bold")


def _sensitive(call: Call) -> str:
    found = call.get("sensitive_findings") or {}
    kinds = json.loads(found) if isinstance(found, str) else found
    return ", ".join(f"{number} {kind}" for kind, number in kinds.items())


_FACTS = {
    "model": _model,
    "provider": _provider,
    "asked": _asked,
    "who": _who,
    "end": _end,
    "error": _error,
    "tokens": _tokens,
    "cost": _cost,
    "cache": _cache,
    "speed": _speed,
    "sensitive": _sensitive,
}
