"""Responses translated to chat, for tests: requests, chat answers in both forms, and the events that came."""

import json
from typing import Any

from lessllm_gateway.translate.responses_to_chat import ResponsesToChat
from lessllm_gateway.translate.translation import Wanted
from lessllm_shared.providers import ChatTraits
from lessllm_shared.sse import EventParser

MODEL = "some-model"


def wanted(*, streaming=True, drops=False, takes_stream_options=True, **traits) -> Wanted:
    chat = ChatTraits(**traits)
    return Wanted(MODEL, streaming, False, drops, chat, takes_stream_options)


def chat_request(body: dict[str, Any], it: Wanted | None = None) -> dict[str, Any]:
    """The chat request for a responses request."""
    asked = {"model": "alias", "input": "Hello", **body}
    chat: dict[str, Any] = json.loads(ResponsesToChat(it or wanted()).request(json.dumps(asked).encode()))
    return chat


def chat_messages(items: list[dict[str, Any]] | str, it: Wanted | None = None, **body: Any) -> list[Any]:
    """The messages for input items."""
    messages: list[Any] = chat_request({"input": items, **body}, it)["messages"]
    return messages


def translation(it: Wanted | None = None, **body: Any) -> ResponsesToChat:
    """A translation whose request went up."""
    made = ResponsesToChat(it or wanted())
    made.request(json.dumps({"model": "alias", "input": "Hello", **body}).encode())
    return made


def completion(message: dict[str, Any], finish_reason: Any = "stop", **fields: Any) -> dict[str, Any]:
    """A plain chat answer."""
    said = {"role": "assistant", "content": None, **message}
    choice = {"index": 0, "message": said, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "created": 1700000000, "model": "m-2026", "choices": [choice], **fields}


def answered(message: dict[str, Any], finish_reason: Any = "stop", *, it=None, asked=None, **fields):
    """The response for a chat message."""
    return translation(it, **(asked or {})).answer(completion(message, finish_reason, **fields))


def chunk(delta: dict[str, Any], finish_reason: Any = None, **fields: Any) -> bytes:
    """A chunk of a chat stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "m-2026"}
    return b"data: %b\n\n" % json.dumps({**head, "choices": [choice], **fields}).encode()


DONE = b"data: [DONE]\n\n"


def streamed(*chunks: bytes, it=None, asked=None) -> list[dict[str, Any]]:
    """The events for a chat stream, each checked for its name and number."""
    stream = translation(it, **(asked or {})).stream()
    return events(b"".join([*map(stream.feed, chunks), stream.finish()]))


def events(raw: bytes) -> list[dict[str, Any]]:
    """The events in a stream of bytes."""
    parser = EventParser()
    found = parser.feed(raw)
    assert parser.flush() == []
    data = [json.loads(event.data) for event in found]
    assert [event.name for event in found] == [event["type"] for event in data]
    assert [event["sequence_number"] for event in data] == list(range(len(data)))
    return data


def types(found: list[dict[str, Any]]) -> list[str]:
    """What the events are, without the word that they have in common."""
    return [event["type"].removeprefix("response.") for event in found]
