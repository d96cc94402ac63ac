"""The documented form of POST /v1/responses, and its input as the blocks that a cache sees."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from lessllm.simulator.cache import Block
from lessllm.simulator.openai import requests as forms
from lessllm.simulator.openai.prompt import CACHE_TTL_S, picture
from lessllm.simulator.provider import Open, Strict
from lessllm.simulator.wire import compact

Item = dict[str, Any]  # an input or output item, validated
_INSTRUCTING = {"system", "developer"}
_DEFAULT_TTL_S = 1800.0


class _Part(Open):
    prompt_cache_breakpoint: forms.CacheBreakpoint | None = None


class TextPart(_Part):
    type: Literal["input_text", "output_text"]
    text: str


class OtherPart(_Part):
    type: Literal["input_image", "input_file", "input_audio", "refusal", "summary_text", "reasoning_text"]


def _as_parts(content: Any) -> Any:
    return [{"type": "input_text", "text": content}] if isinstance(content, str) else content


Parts = Annotated[
    list[Annotated[TextPart | OtherPart, Field(discriminator="type")]], BeforeValidator(_as_parts)
]


class MessageItem(Open):
    type: Literal["message"]
    role: Literal["user", "assistant", "system", "developer"]
    content: Parts


class FunctionCallItem(Open):
    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str


class FunctionCallOutputItem(Open):
    type: Literal["function_call_output"]
    call_id: str
    output: str | list[dict[str, Any]]


class OtherItem(Open):
    type: Literal["reasoning", "item_reference", "custom_tool_call", "custom_tool_call_output", "compaction"]


InputItem = Annotated[
    MessageItem | FunctionCallItem | FunctionCallOutputItem | OtherItem, Field(discriminator="type")
]


def _as_items(value: Any) -> Any:
    """A text is a user's message; an item with a role but without a type is a message."""
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list):
        return value
    return [
        {"type": "message", **item} if isinstance(item, dict) and "role" in item else item for item in value
    ]


class FunctionTool(Open):
    type: Literal["function"]
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Reasoning(Open):
    effort: forms.Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class TextConfig(Open):
    format: dict[str, Any] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class StreamOptions(Strict):
    include_obfuscation: bool | None = None


class ResponsesRequest(Strict):
    model: str
    input: Annotated[list[InputItem], BeforeValidator(_as_items)] = Field(default_factory=list)
    instructions: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_output_tokens: Annotated[int, Field(ge=16)] | None = None
    temperature: forms.Temperature | None = None
    top_p: forms.TopP | None = None
    tools: list[FunctionTool] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    text: TextConfig | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: forms.CacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    service_tier: forms.ServiceTier | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    include: list[str] | None = None
    truncation: Literal["auto", "disabled"] | None = None


def blocks(instructions: str | None, items: Sequence[Item]) -> Iterator[Block]:
    """The prompt behind the tools. Only what the model sees counts: no ids, no status, no annotations."""
    if instructions:
        content = [{"type": "input_text", "text": instructions}]
        items = [{"type": "message", "role": "developer", "content": content}, *items]
    for i, item in enumerate(items):
        following = items[i + 1] if i + 1 < len(items) else {}
        may_break = _may_break(items, i, following)
        if item["type"] != "message":
            yield Block(content=_call(item), kind=item["type"], eligible=may_break)
            continue
        header = f"<|{item['role']}|>".encode()
        for j, part in enumerate(item["content"]):
            last = j == len(item["content"]) - 1
            yield Block(
                content=header + _part(part),
                kind=item["role"],
                marker_ttl_s=_marker_ttl_s(part),
                eligible=last and may_break,
            )
            header = b""


def _marker_ttl_s(part: Item) -> float | None:
    mark = part.get("prompt_cache_breakpoint")
    return None if mark is None else CACHE_TTL_S[mark.get("ttl")] or _DEFAULT_TTL_S


def _part(part: Item) -> bytes:
    if "text" in part:
        return str(part["text"]).encode("utf-8", "surrogatepass")
    if part["type"] == "input_image":
        return picture(str(part.get("image_url") or part.get("file_id")), part.get("detail"))
    return compact({name: value for name, value in part.items() if name != "prompt_cache_breakpoint"})


def _call(item: Item) -> bytes:
    seen = {name: item[name] for name in ("type", "call_id", "name", "arguments", "output") if name in item}
    return compact(seen)


def _may_break(items: Sequence[Item], i: int, following: Item) -> bool:
    """A user's message, the last of a group of results, or the end of the initial instructions."""
    item = items[i]
    if item["type"] == "function_call_output":
        return following.get("type") != "function_call_output"
    if item.get("role") in _INSTRUCTING:
        initial = all(earlier.get("role") in _INSTRUCTING for earlier in items[:i])
        return initial and following.get("role") not in _INSTRUCTING
    return item.get("role") == "user"
