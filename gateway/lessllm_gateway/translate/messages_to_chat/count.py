"""How many tokens a request has, estimated: for `count_tokens`, and for what a stream says at its begin.

OpenAI-format providers can't be asked. A token is five letters or spaces, or two other ASCII characters, or
four bytes of another script; every message and tool has four more; an image has 1,600, a document 3,000 for
each 100 KB. Against o200k and a Claude tokenizer that is within 15 % for prose, code and JSON, up to a third
too low for logs, and twice too high for Cyrillic in o200k: docs/formats.md has the table.
"""

import string
from typing import Any

import msgspec

from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import fields, objects, text

TOKENS_PER_ENTRY = 4
IMAGE_TOKENS = 1600
BASE64_BYTES_PER_TOKEN = 45
_WORDY = (string.ascii_letters + " ").encode()
_ASCII = bytes(range(128))
_COUNTED = frozenset(("text", "thinking", "name", "input", "title", "context", "source", "content"))
_encoder = msgspec.json.Encoder()


def estimated_tokens(request: Json) -> int:
    """The prompt's tokens: system, messages and tools."""
    tools = objects(request.get("tools"))
    total = _tokens(request.get("system")) + _tokens(tools) + (len(tools) + 1) * TOKENS_PER_ENTRY
    for message in objects(request.get("messages")):
        content = message.get("content")
        blocks = objects(content)
        total += sum(map(_block, blocks)) if blocks else _tokens(content)
        total += TOKENS_PER_ENTRY
    return round(total)


def _block(block: Json) -> float:
    kind = text(block.get("type"))
    if kind == "image":
        return IMAGE_TOKENS
    if kind == "document" and fields(block.get("source")).get("type") == "base64":
        return len(text(fields(block["source"]).get("data"))) / BASE64_BYTES_PER_TOKEN
    if kind == "tool_result" and (inner := objects(block.get("content"))):
        return TOKENS_PER_ENTRY + sum(map(_block, inner))
    extra = TOKENS_PER_ENTRY if kind in {"tool_use", "tool_result"} else 0
    return extra + sum(_tokens(value) for name, value in block.items() if name in _COUNTED)


def _tokens(value: Any) -> float:
    """Of text, or of anything else as JSON."""
    if not value:
        return 0
    data = value.encode() if isinstance(value, str) else _encoder.encode(value)
    ascii_bytes = len(data) - len(data.translate(None, _ASCII))
    other_ascii = ascii_bytes - (len(data) - len(data.translate(None, _WORDY)))
    return (ascii_bytes - other_ascii) / 5 + other_ascii / 2 + (len(data) - ascii_bytes) / 4
