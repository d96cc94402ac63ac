"""An Anthropic prompt as the blocks that a cache sees: tools, system, then the messages block by block.

What the documentation says invalidates the messages only (tool_choice, thinking, images) stands in the
chain where the messages begin; what invalidates everything (the tools) at its start.
"""

from collections.abc import Iterator
from typing import Any

from lessllm.simulator.anthropic import requests as forms
from lessllm.simulator.cache import Block
from lessllm.simulator.openai.prompt import picture
from lessllm.simulator.provider import ApiError
from lessllm.simulator.wire import compact

TTL_5M_S, TTL_1H_S = 300.0, 3600.0
_MAX_MARKERS = 4


def blocks(body: forms.PromptRequest) -> tuple[Block, ...]:
    """The prompt. Raises ApiError if its cache_control marks are not as documented."""
    rendered = list(_blocks(body))
    if body.cache_control is not None:
        _mark_last(rendered, body.cache_control)
    _check_markers(rendered)
    return tuple(block for _, block in rendered)


def _blocks(body: forms.PromptRequest) -> Iterator[tuple[str, Block]]:
    """Each block with its place in the request, for error messages."""
    for i, tool in enumerate(body.tools or ()):
        content = compact(tool.model_dump(exclude={"cache_control"}, exclude_none=True))
        yield f"tools.{i}", _block(content, "tool", tool.cache_control)
    for i, block in enumerate(body.system or ()):
        yield f"system.{i}", _block(_content(block), "system", block.cache_control)
    prefix = _settings_of_messages(body)
    for i, message in enumerate(body.messages):
        for j, part in enumerate(message.content):
            header = prefix + f"<{message.role}>".encode() if j == 0 else prefix
            mark = getattr(part, "cache_control", None)
            yield f"messages.{i}.content.{j}", _block(header + _content(part), part.type, mark)
            prefix = b""


def _settings_of_messages(body: forms.PromptRequest) -> bytes:
    has_images = any(isinstance(part, forms.ImageBlock) for m in body.messages for part in m.content)
    settings: list[Any] = [s.model_dump(exclude_none=True) for s in (body.tool_choice, body.thinking) if s]
    return compact([*settings, has_images]) if settings or has_images else b""


def _block(content: bytes, kind: str, mark: forms.CacheControl | None) -> Block:
    return Block(content=content, kind=kind, marker_ttl_s=_ttl_s(mark))


def _ttl_s(mark: forms.CacheControl | None) -> float | None:
    if mark is None:
        return None
    return TTL_1H_S if mark.ttl == "1h" else TTL_5M_S


def _content(part: Any) -> bytes:
    if isinstance(part, forms.TextBlock):
        return part.text.encode("utf-8", "surrogatepass")
    if isinstance(part, forms.ImageBlock):
        return picture(str(part.source), None)
    return compact(part.model_dump(exclude={"cache_control"}, exclude_none=True))


def _mark_last(rendered: list[tuple[str, Block]], mark: forms.CacheControl) -> None:
    """Automatic caching: the last block that can carry a mark gets one."""
    for i in range(len(rendered) - 1, -1, -1):
        place, block = rendered[i]
        if block.kind not in {"thinking", "redacted_thinking"}:
            if block.marker_ttl_s is None:
                marked = Block(content=block.content, kind=block.kind, marker_ttl_s=_ttl_s(mark))
                rendered[i] = (place, marked)
            return


def _check_markers(rendered: list[tuple[str, Block]]) -> None:
    marked = [(place, block) for place, block in rendered if block.marker_ttl_s is not None]
    if len(marked) > _MAX_MARKERS:
        raise ApiError(400, f"A maximum of 4 blocks with cache_control may be provided. Found {len(marked)}.")
    shortest_s = TTL_1H_S
    for place, block in marked:
        ttl_s = block.marker_ttl_s or 0
        if ttl_s > shortest_s:
            raise ApiError(
                400,
                f"{place}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' "
                "cache_control block. Note that blocks are processed in the following order: `tools`, "
                "`system`, `messages`.",
            )
        shortest_s = ttl_s
