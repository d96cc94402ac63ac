"""A response as an object and as a stream of events, each with its sequence number.

After https://developers.openai.com/api/reference/resources/responses/streaming-events. A stream opens and
closes every output item and every part of it, repeats each part whole in its `done` event, and ends with
the complete response: there is no [DONE].
"""

from collections.abc import Iterator
from typing import Any

from lessllm_shared.sse import format_event

from lessllm.simulator.answers import Part
from lessllm.simulator.exchange import Beat, Exchange
from lessllm.simulator.openai.chat_stream import padding
from lessllm.simulator.openai.responses_requests import ResponsesRequest
from lessllm.simulator.provider import ApiError
from lessllm.simulator.text import dice
from lessllm.simulator.wire import compact


def finished(exchange: Exchange) -> dict[str, Any]:
    """The response when all is said."""
    cut = exchange.answer.finish == "length"
    output = [_item(exchange, index, part) for index, part in enumerate(_parts(exchange))]
    return _skeleton(exchange) | {
        "status": "incomplete" if cut else "completed",
        "completed_at": None if cut else exchange.created_unix_s,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": output,
        "usage": _usage(exchange),
    }


def beats(exchange: Exchange) -> Iterator[Beat]:
    """The whole stream."""
    events = _Events(exchange)
    yield events.make("response.created", response=_skeleton(exchange))
    yield events.make("response.in_progress", response=_skeleton(exchange))
    for index, part in enumerate(_parts(exchange)):
        item = _item(exchange, index, part)
        yield events.make("response.output_item.added", output_index=index, item=_opened(item))
        yield from _FILL[part.kind](events, exchange, index, part)
        yield events.make("response.output_item.done", output_index=index, item=item)
    response = finished(exchange)
    yield events.make(f"response.{response['status']}", response=response)


def stream_error(error: ApiError, request_id: str, position: int) -> bytes:
    """An error in the middle of a stream."""
    del request_id
    event = {"type": "error", "sequence_number": position, "code": error.code or error.kind}
    return format_event(compact({**event, "message": error.message, "param": error.param}), "error")


class _Events:
    """Numbers and pads the events of one stream."""

    def __init__(self, exchange: Exchange) -> None:
        options = exchange.call.body.stream_options
        self._padded = options is None or options.include_obfuscation is not False
        self._dice = exchange.dice
        self._next = 0

    def make(self, kind: str, after_tokens: int = 0, **fields: Any) -> Beat:
        """An event."""
        event = {"type": kind, "sequence_number": self._next, **fields}
        self._next += 1
        if self._padded and kind.endswith(".delta"):
            event["obfuscation"] = padding(self._dice)
        return Beat(format_event(compact(event), kind), after_tokens)


def _parts(exchange: Exchange) -> list[Part]:
    """The answer's parts; thinking that is not shown still is an item, of no text."""
    hidden = exchange.answer.hidden_reasoning_tokens
    return ([Part("thinking", [])] if hidden else []) + exchange.answer.parts


def _item(exchange: Exchange, index: int, part: Part) -> dict[str, Any]:
    token = f"{exchange.token}{index:02d}"
    if part.kind == "thinking":
        summary = [{"type": "summary_text", "text": _summary(part)}] if part.pieces else []
        sealed = f"{dice('reasoning', part.content).getrandbits(256):064x}"
        return {"id": f"rs_{token}", "type": "reasoning", "summary": summary, "encrypted_content": sealed}
    status = "incomplete" if exchange.answer.finish == "length" else "completed"
    if part.kind == "tool_call":
        return {
            "id": f"fc_{token}",
            "type": "function_call",
            "status": status,
            "arguments": part.content,
            "call_id": f"call_{token}",
            "name": part.name,
        }
    content = [_content(part)]
    return {
        "id": f"msg_{token}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def _opened(item: dict[str, Any]) -> dict[str, Any]:
    """An item before anything was said."""
    return item | _EMPTY[item["type"]]


def _content(part: Part) -> dict[str, Any]:
    if part.kind == "refusal":
        return {"type": "refusal", "refusal": part.content}
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": part.content}


def _summary(part: Part) -> str:
    """A summary of thinking is shorter than what is billed."""
    return "".join(part.pieces[: (len(part.pieces) + 1) // 2])


def _fill_reasoning(events: _Events, exchange: Exchange, index: int, part: Part) -> Iterator[Beat]:
    if not part.pieces:  # unseen, but it takes its time
        return
    place = {"item_id": _item(exchange, index, part)["id"], "output_index": index, "summary_index": 0}
    name = "response.reasoning_summary"
    empty = {"type": "summary_text", "text": ""}
    yield events.make(f"{name}_part.added", **place, part=empty)
    shown = part.pieces[: (len(part.pieces) + 1) // 2]
    for step in Part("thinking", shown).steps(exchange.call.model.entry.tokens_per_event):
        yield events.make(f"{name}_text.delta", 2 * len(step), **place, delta="".join(step))
    yield events.make(f"{name}_text.done", **place, text=_summary(part))
    yield events.make(f"{name}_part.done", **place, part={**empty, "text": _summary(part)})


def _fill_message(events: _Events, exchange: Exchange, index: int, part: Part) -> Iterator[Beat]:
    content = _content(part)
    field = "refusal" if part.kind == "refusal" else "text"
    whole: dict[str, Any] = {field: part.content}
    name = f"response.{content['type']}"
    logprobs: dict[str, Any] = {} if part.kind == "refusal" else {"logprobs": []}
    place = {"item_id": _item(exchange, index, part)["id"], "output_index": index, "content_index": 0}
    yield events.make("response.content_part.added", **place, part={**content, field: ""})
    waiting = exchange.answer.hidden_reasoning_tokens
    for step in part.steps(exchange.call.model.entry.tokens_per_event):
        yield events.make(f"{name}.delta", waiting + len(step), **place, delta="".join(step), **logprobs)
        waiting = 0
    yield events.make(f"{name}.done", **place, **whole, **logprobs)
    yield events.make("response.content_part.done", **place, part=content)


def _fill_function_call(events: _Events, exchange: Exchange, index: int, part: Part) -> Iterator[Beat]:
    place = {"item_id": _item(exchange, index, part)["id"], "output_index": index}
    name = "response.function_call_arguments"
    waiting = exchange.answer.hidden_reasoning_tokens if part is exchange.answer.parts[0] else 0
    for step in part.steps(exchange.call.model.entry.tokens_per_event):
        yield events.make(f"{name}.delta", waiting + len(step), **place, delta="".join(step))
        waiting = 0
    yield events.make(f"{name}.done", **place, arguments=part.content)


def _usage(exchange: Exchange) -> dict[str, Any]:
    cache = exchange.cache
    details: dict[str, Any] = {
        "cached_tokens": cache.read_tokens,
        "cache_write_tokens": cache.written_tokens,
    }
    rules = exchange.call.model.cache
    if rules is not None and rules.kind == "breakpoints":
        short = sum(tokens for ttl_s, tokens in cache.written.items() if ttl_s <= rules.idle_ttl_s)
        details["cache_write_tokens_details"] = {
            "ttl_30m_tokens": short,
            "ttl_12h_tokens": cache.written_tokens - short,
        }
    return {
        "input_tokens": cache.prompt_tokens,
        "input_tokens_details": details,
        "output_tokens": exchange.output_tokens,
        "output_tokens_details": {"reasoning_tokens": exchange.answer.reasoning_tokens},
        "total_tokens": cache.prompt_tokens + exchange.output_tokens,
    }


def _skeleton(exchange: Exchange) -> dict[str, Any]:
    """The response before anything was said: mostly the request's own settings."""
    body: ResponsesRequest = exchange.call.body
    reasoning = body.reasoning
    reasons = exchange.call.model.entry.reasoning_tokens > 0
    response: dict[str, Any] = {
        "id": f"resp_{exchange.token}",
        "object": "response",
        "created_at": exchange.created_unix_s,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "model": exchange.call.model.snapshot,
        "output": [],
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id,
        "prompt_cache_key": body.prompt_cache_key,
        "prompt_cache_retention": body.prompt_cache_retention,
        "reasoning": {
            "effort": (reasoning and reasoning.effort) or ("medium" if reasons else None),
            "summary": reasoning and reasoning.summary,
        },
        "safety_identifier": body.safety_identifier,
        "service_tier": "default",
        "store": body.store is not False,
        "temperature": 1.0 if body.temperature is None else body.temperature,
        "text": _text_config(body),
        "tool_choice": body.tool_choice or "auto",
        "tools": [tool.model_dump(exclude_none=True) for tool in body.tools or ()],
        "top_p": 1.0 if body.top_p is None else body.top_p,
        "truncation": body.truncation or "disabled",
        "usage": None,
        "user": body.user,
        "metadata": body.metadata or {},
    }
    options = body.prompt_cache_options
    if options is not None:
        response["prompt_cache_options"] = {"mode": options.mode or "implicit", "ttl": options.ttl or "30m"}
    return response


def _text_config(body: ResponsesRequest) -> dict[str, Any]:
    form = (body.text.format if body.text else None) or {"type": "text"}
    return {"format": form, "verbosity": (body.text.verbosity if body.text else None) or "medium"}


_EMPTY: dict[str, dict[str, Any]] = {
    "reasoning": {"summary": []},
    "function_call": {"arguments": "", "status": "in_progress"},
    "message": {"content": [], "status": "in_progress"},
}
_FILL = {
    "thinking": _fill_reasoning,
    "text": _fill_message,
    "refusal": _fill_message,
    "tool_call": _fill_function_call,
}
