"""A chat call to a provider that speaks Anthropic, without a network: requests up, documented events down."""

import json
from typing import Any

import pytest
from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.chat_to_messages import ChatToMessages
from lessllm_gateway.translate.translation import Wanted

MODEL = "claude-sonnet-4-6"
NOW_UNIX_S = 1_790_000_000.0
HELLO = [{"role": "user", "content": "Hello"}]
USAGE = {
    "input_tokens": 7,
    "cache_read_input_tokens": 2,
    "cache_creation_input_tokens": 1,
    "output_tokens": 1,
}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
SCHEMA = {**PARAMETERS, "additionalProperties": False}
FORMAT = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA, "strict": True}}


def call(
    chat: Any, *, drops=False, model=MODEL, streaming=False, usage=True
) -> tuple[ChatToMessages, Any, Wanted]:
    """The translation of a call that was asked, what is sent upstream, and what was wanted."""
    wanted = Wanted(model, streaming=streaming, includes_usage=usage, drops=drops)
    translation = ChatToMessages(wanted, unix_clock=lambda: NOW_UNIX_S)
    body = chat if isinstance(chat, bytes) else json.dumps(chat).encode()
    return translation, json.loads(translation.request(body)), wanted


def sent(messages: Any = HELLO, *, model=MODEL, drops=False, **fields) -> Any:
    """What is sent upstream for a chat request."""
    return call({"model": "m", "messages": messages, **fields}, model=model, drops=drops)[1]


def left_out(messages: Any = HELLO, *, model=MODEL, drops=True, **fields) -> tuple[Any, str]:
    """What is sent upstream where fields may be dropped, and their names."""
    _, request, wanted = call({"model": "m", "messages": messages, **fields}, model=model, drops=drops)
    return request, wanted.dropped_header().decode()


def refusal(messages: Any = HELLO, *, model=MODEL, **fields) -> str:
    """The message with which a chat request is refused."""
    with pytest.raises(Rejection) as caught:
        sent(messages, model=model, **fields)
    assert caught.value.status == 400
    return caught.value.message


def turns(*messages: Any, **fields) -> list[Any]:
    return sent(list(messages), **fields)["messages"]


def content(*messages: Any, **fields) -> list[Any]:
    """The blocks of the one turn that the messages make."""
    (turn,) = turns(*messages, **fields)
    return turn["content"]


def text(said: str, **fields) -> dict[str, Any]:
    return {"type": "text", "text": said, **fields}


def calling(*calls: tuple[str, str, str], **fields) -> dict[str, Any]:
    """An assistant's message with tool calls: ids, names and arguments."""
    tool_calls = [
        {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}
        for identifier, name, arguments in calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": tool_calls, **fields}


def result(identifier: str, said: Any = "21 °C", **fields) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": identifier, "content": said, **fields}


def start(**fields) -> dict[str, Any]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": []}
    return {"type": "message_start", "message": {**message, "stop_reason": None, "usage": USAGE, **fields}}


def opened(index: int, kind: str, **fields) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}}


def delta(index: int, kind: str, **fields) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def closed(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def said(index: int, *pieces: str) -> list[dict[str, Any]]:
    """The events of a text block."""
    deltas = [delta(index, "text_delta", text=piece) for piece in pieces]
    return [opened(index, "text", text=""), *deltas, closed(index)]


def called(index: int, identifier: str, name: str, *pieces: str) -> list[dict[str, Any]]:
    """The events of a tool_use block; as documented, its first delta is empty."""
    deltas = [delta(index, "input_json_delta", partial_json=piece) for piece in ("", *pieces)]
    return [opened(index, "tool_use", id=identifier, name=name, input={}), *deltas, closed(index)]


def thought(index: int, signature: str, *pieces: str) -> list[dict[str, Any]]:
    """The events of a thinking block."""
    deltas = [delta(index, "thinking_delta", thinking=piece) for piece in pieces]
    signed = delta(index, "signature_delta", signature=signature)
    return [opened(index, "thinking", thinking="", signature=""), *deltas, signed, closed(index)]


def ended(stop_reason: str = "end_turn", usage: Any = None, **fields) -> list[dict[str, Any]]:
    used = {"output_tokens": 15} if usage is None else usage
    change = {"stop_reason": stop_reason, "stop_sequence": None, **fields}
    return [{"type": "message_delta", "delta": change, "usage": used}, {"type": "message_stop"}]


def wire(*events: Any) -> bytes:
    """Events as Anthropic sends them."""
    return b"".join(
        event
        if isinstance(event, bytes)
        else b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())
        for event in events
    )


def streamed(stream: bytes, chat: Any = None, **wanted) -> bytes:
    """The chat stream for an Anthropic one, fed at once."""
    asked = chat or {"model": "m", "messages": HELLO, "stream": True}
    transform = call(asked, streaming=True, **wanted)[0].stream()
    return transform.feed(stream) + transform.finish()


def chunks(stream: bytes) -> list[Any]:
    """The data of a chat stream: objects, and the terminator as it is."""
    data = [event.removeprefix("data: ") for event in stream.decode().split("\n\n") if event]
    return [text if text == "[DONE]" else json.loads(text) for text in data]


def deltas(stream: bytes) -> list[Any]:
    """What the chunks bring between the first, which says whose turn it is, and the last, which says why."""
    first, *rest = [c["choices"][0] for c in chunks(stream) if c != "[DONE]" and c.get("choices")]
    assert first["delta"] == {"role": "assistant", "content": "", "refusal": None}
    return [choice["delta"] for choice in rest if choice["finish_reason"] is None]


def answered(blocks: Any, stop_reason: str = "end_turn", chat: Any = None, **fields) -> Any:
    """The chat completion for a message with these blocks."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": blocks}
    asked = chat or {"model": "m", "messages": HELLO}
    model = fields.pop("asked_model", MODEL)
    translation = call(asked, model=model)[0]
    used = {**USAGE, "output_tokens": 15}
    return translation.answer({**message, "stop_reason": stop_reason, "usage": used, **fields})
