"""The stream of a message, and what it shares with the plain answer.

After https://platform.claude.com/docs/en/build-with-claude/streaming. message_start carries the input's
usage and a placeholder for the output's; message_delta the final, cumulative figures.
"""

import json
from collections.abc import Iterator
from typing import Any

from lessllm_shared.sse import format_event

from lessllm.simulator.answers import Answer, Part
from lessllm.simulator.anthropic.prompt import TTL_1H_S, TTL_5M_S
from lessllm.simulator.exchange import Beat, Exchange
from lessllm.simulator.text import dice
from lessllm.simulator.wire import compact

_PLACEHOLDER_TOKENS = 1
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
}


def beats(exchange: Exchange) -> Iterator[Beat]:
    """The whole stream."""
    start = message(exchange)
    start["usage"] = {**_input_usage(exchange), "output_tokens": _PLACEHOLDER_TOKENS, **_TIER}
    yield _event("message_start", message=start)
    for index, part in enumerate(_shown(exchange)):
        yield _event("content_block_start", index=index, content_block=_opening(exchange, index, part))
        if index == 0:
            yield _event("ping")
        yield from _deltas(exchange, index, part)
        yield _event("content_block_stop", index=index)
    usage = _input_usage(exchange)
    del usage["cache_creation"]  # the split by time to live is in message_start only
    delta = ending(exchange.answer)
    yield _event("message_delta", delta=delta, usage={**usage, **_output_usage(exchange)})
    yield _event("message_stop")


def message(exchange: Exchange) -> dict[str, Any]:
    """A message without content, as message_start holds it."""
    return {
        "id": f"msg_01{exchange.token[:22]}",
        "type": "message",
        "role": "assistant",
        "model": exchange.call.model.snapshot,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": {**_input_usage(exchange), **_output_usage(exchange), **_TIER},
    }


def content(exchange: Exchange) -> list[dict[str, Any]]:
    """The finished blocks."""
    return [_opening(exchange, i, part) | _filling(exchange, part) for i, part in enumerate(_shown(exchange))]


def ending(answer: Answer) -> dict[str, Any]:
    """Why the answer ended."""
    refused = {"type": "refusal", "category": None, "explanation": None}
    return {
        "stop_reason": _STOP_REASONS[answer.finish],
        "stop_sequence": answer.stop_sequence,
        "stop_details": refused if answer.finish == "refusal" else None,
    }


_TIER = {"service_tier": "standard"}


def _shown(exchange: Exchange) -> list[Part]:
    """A refusal has no text of its own: only the stop reason tells."""
    return [part for part in exchange.answer.parts if part.kind != "refusal"]


def _opening(exchange: Exchange, index: int, part: Part) -> dict[str, Any]:
    if part.kind == "tool_call":
        identifier = f"toolu_01{exchange.token[:20]}{index:02d}"
        return {"type": "tool_use", "id": identifier, "name": part.name, "input": {}}
    if part.kind == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}
    return {"type": "text", "text": ""}


def _filling(exchange: Exchange, part: Part) -> dict[str, Any]:
    if part.kind == "tool_call":
        return {"input": _arguments(part)}
    if part.kind == "thinking":
        thought = "" if _omits_thinking(exchange) else part.content
        return {"thinking": thought, "signature": _signature(part)}
    return {"text": part.content}


def _arguments(part: Part) -> Any:
    try:
        return json.loads(part.content)
    except ValueError:  # cut by max_tokens
        return {}


def _deltas(exchange: Exchange, index: int, part: Part) -> Iterator[Beat]:
    kind, field = _DELTAS[part.kind]
    waiting = 0
    if part.kind == "tool_call":  # the documented streams begin with an empty delta
        yield _delta(index, 0, type=kind, partial_json="")
    if part.kind == "thinking" and _omits_thinking(exchange):
        waiting = len(part.pieces)
    else:
        for step in part.steps(exchange.call.model.entry.tokens_per_event):
            yield _delta(index, len(step), **{"type": kind, field: "".join(step)})
    if part.kind == "thinking":
        yield _delta(index, waiting, type="signature_delta", signature=_signature(part))


def _omits_thinking(exchange: Exchange) -> bool:
    thinking = exchange.call.body.thinking
    return thinking is not None and thinking.display == "omitted"


def _signature(part: Part) -> str:
    return f"{dice('signature', part.content).getrandbits(256):064x}"


def _input_usage(exchange: Exchange) -> dict[str, Any]:
    """input_tokens is what was neither read from the cache nor written to it."""
    cache = exchange.cache
    return {
        "input_tokens": cache.prompt_tokens - cache.read_tokens - cache.written_tokens,
        "cache_creation_input_tokens": cache.written_tokens,
        "cache_read_input_tokens": cache.read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": cache.written.get(TTL_5M_S, 0),
            "ephemeral_1h_input_tokens": cache.written.get(TTL_1H_S, 0),
        },
    }


def _output_usage(exchange: Exchange) -> dict[str, Any]:
    thinking_tokens = exchange.answer.reasoning_tokens
    details = {"output_tokens_details": {"thinking_tokens": thinking_tokens}} if thinking_tokens else {}
    return {"output_tokens": exchange.output_tokens, **details}


def _delta(index: int, after_tokens: int, **delta: Any) -> Beat:
    return _event("content_block_delta", after_tokens, index=index, delta=delta)


def _event(name: str, after_tokens: int = 0, **fields: Any) -> Beat:
    return Beat(format_event(compact({"type": name, **fields}), name), after_tokens)


_DELTAS = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool_call": ("input_json_delta", "partial_json"),
}
