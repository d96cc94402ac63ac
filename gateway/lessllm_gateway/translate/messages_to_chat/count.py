"""How many tokens a request has, estimated: for `count_tokens`, and for what a stream says at its begin.

OpenAI-format providers can't be asked. Every four bytes of text are a token, and every message and tool
has four more; an image has 1,600, a document 3,000 for each 100 KB.
"""

from typing import Any

import msgspec

from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import fields, objects, text

BYTES_PER_TOKEN = 4
TOKENS_PER_ENTRY = 4
IMAGE_TOKENS = 1600
BASE64_BYTES_PER_TOKEN = 45
_COUNTED = ("text", "thinking", "name", "input", "title", "context", "source", "content")
_encoder = msgspec.json.Encoder()


def estimated_tokens(request: Json) -> int:
    """The prompt's tokens: system, messages and tools."""
    size = _bytes(request.get("system")) + _bytes(request.get("tools"))
    entries = len(objects(request.get("tools"))) + 1
    more = 0
    for message in objects(request.get("messages")):
        entries += 1
        content = message.get("content")
        for block in objects(content) or [{"type": "text", "text": content}]:
            block_bytes, block_tokens = _block(block)
            size, more = size + block_bytes, more + block_tokens
    return -(-size // BYTES_PER_TOKEN) + entries * TOKENS_PER_ENTRY + more


def _block(block: Json) -> tuple[int, int]:
    """Bytes of text, and tokens of what is none."""
    kind = text(block.get("type"))
    if kind == "image":
        return 0, IMAGE_TOKENS
    if kind == "document" and fields(block.get("source")).get("type") == "base64":
        return 0, len(text(fields(block["source"]).get("data"))) // BASE64_BYTES_PER_TOKEN
    if kind == "tool_result" and (inner := objects(block.get("content"))):
        counts = [_block(item) for item in inner]
        return sum(size for size, _ in counts), TOKENS_PER_ENTRY + sum(tokens for _, tokens in counts)
    size = sum(_bytes(block.get(name)) for name in _COUNTED)
    return size, TOKENS_PER_ENTRY if kind in {"tool_use", "tool_result"} else 0


def _bytes(value: Any) -> int:
    if value is None:
        return 0
    return len(value.encode()) if isinstance(value, str) else len(_encoder.encode(value))
