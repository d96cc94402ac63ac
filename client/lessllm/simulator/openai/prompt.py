"""An OpenAI prompt as the blocks that a cache sees: tools first, then the messages part by part.

A breakpoint mark is no part of the prompt and is left out. An image counts what the documentation says of
one at that detail, whatever its bytes.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from lessllm.simulator.cache import Block, CacheWishes
from lessllm.simulator.openai import requests as forms
from lessllm.simulator.tokens import BYTES_PER_TOKEN
from lessllm.simulator.wire import compact

CACHE_TTL_S = {"30m": 1800.0, "12h": 43200.0, "24h": 86400.0, "in_memory": None, None: None}
_LOW_DETAIL_TOKENS, _HIGH_DETAIL_TOKENS = 85, 765


def tool_blocks(tools: Sequence[Any] | None) -> Iterator[Block]:
    """The tools, as JSON in the order and with the key order given."""
    for tool in tools or ():
        yield Block(content=compact(tool.model_dump(by_alias=True, exclude_none=True)), kind="tool")


def message_blocks(messages: Sequence[Any]) -> Iterator[Block]:
    """The messages, one block for each content part."""
    for i, message in enumerate(messages):
        following = messages[i + 1].role if i + 1 < len(messages) else None
        parts = list(_rendered(message))
        for j, (content, marker_ttl_s) in enumerate(parts):
            last = j == len(parts) - 1
            yield Block(
                content=content,
                kind=message.role,
                marker_ttl_s=marker_ttl_s,
                eligible=last and _may_break(messages, i, following),
            )


def picture(reference: str, detail: str | None) -> bytes:
    """An image: its digest, as long as the image has tokens."""
    size = (_LOW_DETAIL_TOKENS if detail == "low" else _HIGH_DETAIL_TOKENS) * BYTES_PER_TOKEN
    digest = hashlib.sha256(reference.encode("utf-8", "surrogatepass")).hexdigest().encode()
    return (digest * (size // len(digest) + 1))[:size]


def wishes(options: forms.CacheOptions | None, retention: str | None) -> CacheWishes:
    """What the request says about caching as a whole."""
    ttl = options.ttl if options else None
    implicit = options is None or options.mode != "explicit"
    return CacheWishes(implicit=implicit, ttl_s=CACHE_TTL_S[ttl or retention])


def marker_ttl_s(part: Any, default_s: float = 1800.0) -> float | None:
    """The time to live of the entry that a content part asks for, if it does."""
    mark = part.prompt_cache_breakpoint
    return None if mark is None else CACHE_TTL_S[mark.ttl] or default_s


def _rendered(message: Any) -> Iterator[tuple[bytes, float | None]]:
    header = f"<|{message.role}|>".encode()
    for part in message.content or ():
        yield header + _part(part), marker_ttl_s(part)
        header = b""
    calls = getattr(message, "tool_calls", None) or ()
    for call in calls:
        yield header + compact(call.model_dump(exclude_none=True)), None
        header = b""
    if header:
        yield header, None


def _part(part: Any) -> bytes:
    if isinstance(part, forms.TextPart):
        return part.text.encode("utf-8", "surrogatepass")
    if isinstance(part, forms.ImagePart):
        return picture(str(part.image_url.get("url")), part.image_url.get("detail"))
    return compact(part.model_dump(exclude={"prompt_cache_breakpoint"}))


def _may_break(messages: Sequence[Any], i: int, following: str | None) -> bool:
    """A user's message, the last of a group of tool results, or the end of the initial instructions."""
    role = messages[i].role
    if role in {"system", "developer"}:
        initial = all(message.role in {"system", "developer"} for message in messages[:i])
        return initial and following not in {"system", "developer"}
    return role == "user" or (role == "tool" and following != "tool")
