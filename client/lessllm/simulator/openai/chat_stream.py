"""The stream of a chat completion, and what it shares with the plain answer.

The role comes first, in a chunk without content; then content, in chunks of one or more tokens; then a
chunk with the finish reason; then usage, in a chunk without choices, if the request asked for it; then
[DONE]. Chunks are padded (`obfuscation`) unless the request declines.
"""

import random
import string
from collections.abc import Iterator
from typing import Any

from lessllm_shared.sse import format_event

from lessllm.simulator.answers import Answer, Part
from lessllm.simulator.exchange import Beat, Exchange
from lessllm.simulator.text import dice
from lessllm.simulator.wire import compact

DONE = Beat(b"data: [DONE]\n\n")


def beats(exchange: Exchange, usage: dict[str, Any]) -> Iterator[Beat]:
    """The whole stream."""
    chunks = _Chunks(exchange)
    for index, answer in enumerate(exchange.answers):
        silent = answer.finish in {"tool_calls", "refusal"}
        opening = {"role": "assistant", "content": None if silent else "", "refusal": None}
        yield chunks.choice(index, opening)
    for index, answer in enumerate(exchange.answers):
        yield from _content(chunks, index, answer, exchange)
        yield chunks.choice(index, {}, finish=finish_reason(answer))
    if chunks.with_usage:
        yield chunks.usage(usage)
    yield DONE


def envelope(exchange: Exchange, kind: str) -> dict[str, Any]:
    """The fields that a completion and its chunks share."""
    return {
        "id": f"chatcmpl-{exchange.token}",
        "object": kind,
        "created": exchange.created_unix_s,
        "model": exchange.call.model.snapshot,
        "service_tier": "default",
        "system_fingerprint": f"fp_{dice(exchange.call.model.id).getrandbits(40):010x}",
    }


def finish_reason(answer: Answer) -> str:
    """OpenAI has no words of its own for a stop sequence or a refusal."""
    return answer.finish if answer.finish in {"length", "tool_calls"} else "stop"


def tool_call(token: str, index: int, name: str, arguments: str) -> dict[str, Any]:
    """A tool call as a message holds it."""
    function = {"name": name, "arguments": arguments}
    return {"id": f"call_{token}{index}", "type": "function", "function": function}


def padding(rng: random.Random) -> str:
    """Random characters that hide how long a delta is."""
    return "".join(rng.choices(string.ascii_letters + string.digits, k=rng.randint(2, 16)))


def _content(chunks: "_Chunks", index: int, answer: Answer, exchange: Exchange) -> Iterator[Beat]:
    waiting = answer.hidden_reasoning_tokens  # nothing is seen while the model thinks
    call = -1
    for part in answer.parts:
        if part.kind == "tool_call":
            call += 1
            opened = {"index": call, **tool_call(f"{exchange.token}{index}", call, part.name, "")}
            yield chunks.choice(index, {"tool_calls": [opened]}, after_tokens=waiting)
            waiting = 0
        for step in part.steps(exchange.call.model.entry.tokens_per_event):
            delta = _delta(part, "".join(step), call)
            yield chunks.choice(index, delta, after_tokens=waiting + len(step))
            waiting = 0


def _delta(part: Part, content: str, call: int) -> dict[str, Any]:
    if part.kind == "tool_call":
        return {"tool_calls": [{"index": call, "function": {"arguments": content}}]}
    return {"refusal" if part.kind == "refusal" else "content": content}


class _Chunks:
    """Makes the chunks of one stream."""

    def __init__(self, exchange: Exchange) -> None:
        options = exchange.call.body.stream_options
        self.with_usage = options is not None and options.include_usage is True
        self._padded = options is None or options.include_obfuscation is not False
        self._envelope = envelope(exchange, "chat.completion.chunk")
        self._dice = exchange.dice

    def choice(
        self,
        index: int,
        delta: dict[str, Any],
        *,
        finish: str | None = None,
        after_tokens: int = 0,
    ) -> Beat:
        """A chunk of one choice."""
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if self.with_usage else {}
        return self._beat({**self._envelope, "choices": [choice], **usage}, after_tokens)

    def usage(self, usage: dict[str, Any]) -> Beat:
        """The chunk without choices."""
        return self._beat({**self._envelope, "choices": [], "usage": usage}, 0)

    def _beat(self, chunk: dict[str, Any], after_tokens: int) -> Beat:
        if self._padded:
            chunk["obfuscation"] = padding(self._dice)
        return Beat(format_event(compact(chunk)), after_tokens)
