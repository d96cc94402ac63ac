"""A request body in, its blocks of tokens out, in the order in which the model sees them.

Chat completions: tools, then each message's parts and tool calls. Anthropic's messages: tools, system, then
each message's content blocks. A message's first block begins with the token of its role, its last one ends
with the token of its end.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cache_reference.calls import Json
from cache_reference.tokens import special, tokens_of

_MARKS = ("cache_control", "prompt_cache_breakpoint")


@dataclass(frozen=True, slots=True)
class Block:
    """One block. `place` is tools, or a message's role; `ends_message` holds for a message's last."""

    place: str
    kind: str
    ids: bytes
    mark: Json | None = None
    ends_message: bool = False


def chat_blocks(body: Json) -> list[Block]:
    """Of a chat completion's request."""
    blocks = [Block("tools", "tool", tokens_of(_compact(tool))) for tool in body.get("tools", ())]
    for message in body["messages"]:
        blocks += message_blocks(message)
    return blocks


def message_blocks(message: Json) -> list[Block]:
    """Of one message, whatever the format."""
    role = message["role"]
    found = list(_contents(message))
    if not found:
        return []
    begin, end = special(role), special("end")
    last = len(found) - 1
    return [
        Block(
            role,
            kind,
            (begin if at == 0 else b"") + ids + (end if at == last else b""),
            mark,
            ends_message=at == last,
        )
        for at, (kind, ids, mark) in enumerate(found)
    ]


def anthropic_blocks(body: Json) -> list[Block]:
    """Of a request for a message. Its top-level cache_control marks the last block."""
    blocks = [
        Block("tools", "tool", tokens_of(_compact(tool)), tool.get("cache_control"))
        for tool in body.get("tools", ())
    ]
    if body.get("system"):
        blocks += message_blocks({"role": "system", "content": body["system"]})
    for message in body["messages"]:
        blocks += message_blocks(message)
    automatic = body.get("cache_control")
    if automatic is not None and blocks[-1].mark is None:
        last = blocks[-1]
        blocks[-1] = Block(last.place, last.kind, last.ids, automatic, last.ends_message)
    return blocks


def _contents(message: Json) -> Iterator[tuple[str, bytes, Json | None]]:
    content = message.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}] if content else []
    for part in content or ():
        mark = part.get("prompt_cache_breakpoint") or part.get("cache_control")
        yield part["type"], _tokens(part), mark
    for use in message.get("tool_calls") or ():
        yield "tool_use", tokens_of(_compact(use)), None


def _tokens(part: Json) -> bytes:
    if part["type"] == "text":
        return tokens_of(part["text"])
    return special(part["type"]) + tokens_of(_compact(part))


def _compact(value: Any) -> str:
    unmarked = {name: item for name, item in value.items() if name not in _MARKS}
    return json.dumps(unmarked, ensure_ascii=False, separators=(",", ":"))
