"""A messages call that a provider of chat completions answers, and what the anthropic SDK makes of it.

A request or an upstream's answer enters; what the other side gets leaves. No sockets: the SDK's transport
is a function.
"""

import asyncio
import json
from typing import Any

import anthropic
import httpx2
from lessllm_gateway.translate.messages_to_chat import MessagesToChat
from lessllm_gateway.translate.translation import Wanted
from lessllm_shared.providers import PRESETS, ChatTraits
from lessllm_shared.sse import EventParser

ASKED = {"model": "claude-opus-4-8", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}


def translation(
    model: str = "gpt-4o", provider: str = "openai", *, drops: bool = False, streaming: bool = True
) -> MessagesToChat:
    """For a provider of our presets; any other is one that we know nothing of."""
    preset = PRESETS.get(provider)
    traits = preset.chat if preset else ChatTraits()
    options = preset.stream_options if preset else True
    wanted = Wanted(model, streaming, False, drops, traits, options)
    it = MessagesToChat(wanted)
    it.wanted = wanted
    return it


def sent(
    asked: dict[str, Any], model: str = "gpt-4o", provider: str = "openai", **how: Any
) -> dict[str, Any]:
    """What the provider gets for these fields."""
    body: dict[str, Any] = json.loads(
        translation(model, provider, **how).request(json.dumps({**ASKED, **asked}).encode())
    )
    return body


def dropped(asked: dict[str, Any], model: str = "gpt-4o", provider: str = "openai") -> list[str]:
    """What is left out of these fields, where that is allowed."""
    it = translation(model, provider, drops=True)
    it.request(json.dumps({**ASKED, **asked}).encode())
    return list(it.wanted.dropped)


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chat chunk."""
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-2024-08-06"}
    return {**head, "choices": [choice], **more}


def call(index: int | None, arguments: str | None = None, **more: Any) -> dict[str, Any]:
    """A delta with a piece of a tool call: `id` and `name` as they come."""
    function = {
        key: value
        for key, value in (("name", more.pop("name", None)), ("arguments", arguments))
        if value is not None
    }
    entry = {**({} if index is None else {"index": index}), **more, "function": function}
    return {"tool_calls": [entry]}


def usage(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    """The last chunk."""
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return chunk() | {"choices": [], "usage": {**counts, **more}}


def stream(*chunks: dict[str, Any], done: bool = True) -> bytes:
    """A chat stream."""
    data = b"".join(b"data: %b\n\n" % json.dumps(item).encode() for item in chunks)
    return data + (b"data: [DONE]\n\n" if done else b"")


def translated(data: bytes, it: MessagesToChat | None = None, step: int | None = None) -> bytes:
    """The client's stream for an upstream's, fed in pieces of `step` bytes."""
    transform = (it or asked_translation()).stream()
    step = step or len(data) or 1
    fed = b"".join(transform.feed(data[i : i + step]) for i in range(0, len(data), step))
    return fed + transform.finish()


def asked_translation(asked: dict[str, Any] | None = None, **how: Any) -> MessagesToChat:
    """One that has seen its request."""
    it = translation(**how)
    it.request(json.dumps({**ASKED, **(asked or {})}).encode())
    return it


def events_of(data: bytes) -> list[dict[str, Any]]:
    """The events in a client's stream; each has the name that its type says."""
    parser = EventParser()
    events = [*parser.feed(data), *parser.flush()]
    values = [json.loads(event.data) for event in events]
    assert [event.name for event in events] == [value["type"] for value in values]
    return values


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """The order of events, in short: `start 0 text`, `delta 0 text_delta`, `stop 0`."""
    said = []
    for event in events:
        words = [event["type"].removeprefix("content_block_")]
        words += [str(event["index"])] if "index" in event else []
        words += [(event.get("content_block") or event.get("delta") or {}).get("type") or ""]
        said.append(" ".join(word for word in words if word))
    return said


def assert_order(events: list[dict[str, Any]]) -> None:
    """As Anthropic documents it: one block after the other, each begun, filled and ended."""
    events = [event for event in events if event["type"] != "ping"]
    assert events[0]["type"] == "message_start"
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    index, is_open = -1, False
    for event in events[1:-2]:
        if event["type"] == "content_block_start":
            assert not is_open
            index, is_open = index + 1, True
        else:
            assert is_open
            is_open = event["type"] == "content_block_delta"
        assert event["index"] == index
    assert not is_open


def messages(data: bytes) -> list[anthropic.types.Message]:
    """The final messages that the SDK has of a stream: its helper and its raw events, sync and async."""
    return [_helped(data), _raw(data), *asyncio.run(_both(data))]


def final(data: bytes) -> anthropic.types.Message:
    """The one that all of them agree on."""
    first, *others = messages(data)
    assert all(other.model_dump() == first.model_dump() for other in others)
    return first


def parsed(answer: dict[str, Any]) -> anthropic.types.Message:
    """What the SDK makes of a plain answer; every field has the type that it is documented with."""
    with _client(json.dumps(answer).encode(), "application/json") as client:
        message = client.messages.create(**ASKED)
    anthropic.types.Message.model_validate(message.to_dict())
    return message


def _helped(data: bytes) -> anthropic.types.Message:
    with _client(data) as client, client.messages.stream(**ASKED) as events:
        message = events.get_final_message()
    anthropic.types.Message.model_validate(message.to_dict())
    return message


def _raw(data: bytes) -> Any:
    with _client(data) as client:
        return _accumulated(list(client.messages.create(**ASKED, stream=True)))


async def _both(data: bytes) -> tuple[Any, Any]:
    async with _async_client(data) as client:
        async with client.messages.stream(**ASKED) as events:
            helped = await events.get_final_message()
        raw = [event async for event in await client.messages.create(**ASKED, stream=True)]
        return helped, _accumulated(raw)


def _accumulated(events: list[Any]) -> Any:
    snapshot, buffers = None, {}
    for event in events:
        snapshot = anthropic.lib.streaming._messages.accumulate_event(
            event=event, current_snapshot=snapshot, json_bufs=buffers
        )
    return snapshot


def _client(data: bytes, content_type: str = "text/event-stream") -> anthropic.Anthropic:
    transport = httpx2.MockTransport(lambda _: _response(data, content_type))
    return anthropic.Anthropic(
        api_key="k", max_retries=0, http_client=httpx2.Client(transport=transport, trust_env=False)
    )


def _async_client(data: bytes) -> anthropic.AsyncAnthropic:
    transport = httpx2.MockTransport(lambda _: _response(data, "text/event-stream"))
    return anthropic.AsyncAnthropic(
        api_key="k", max_retries=0, http_client=httpx2.AsyncClient(transport=transport, trust_env=False)
    )


def _response(data: bytes, content_type: str) -> httpx2.Response:
    return httpx2.Response(200, content=data, headers={"content-type": content_type})
