"""What a prompt is made of, for caching: pieces in the order in which the model sees them, in canonical form.

Canonical is compact JSON with the order of keys kept, since providers see that order but no white space.
Cache marks are taken out (they are no part of the prompt), media are replaced by their sha256: what stays
equal is equal to the provider. A text by itself and a list of that one text are the same prompt.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec

MARKS = ("cache_control", "prompt_cache_breakpoint")

_encode = msgspec.json.Encoder().encode


class Mark(msgspec.Struct, frozen=True, gc=False):
    """A request to cache what ends here. `ttl` as the request says it, such as "1h"."""

    ttl: str | None = None
    automatic: bool = False  # asked for the whole request, not at this place


class Segment(msgspec.Struct, gc=False):  # a dataclass takes five times as long to be made
    """A piece of a prompt: a tool, a system text, a block of a message."""

    kind: (
        str  # tools, format, system, user, assistant, thinking, tool_use, tool_result, image, document, audio
    )
    data: bytes
    path: str  # where it is in the request: messages[3].content[0]
    mark: Mark | None = None
    eligible: bool = False  # ends a user's turn, a group of tool results or the initial system messages


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request as far as caches see it."""

    segments: tuple[Segment, ...]
    settings: Mapping[str, str]  # what may separate caches though the text is equal: JSON by name
    whole: bool = True  # nothing of it is kept by the provider (previous_response_id, cachedContent)


@dataclass
class Builder:
    """Collects segments."""

    segments: list[Segment] = field(default_factory=list)
    _turns: list[tuple[str, int]] = field(default_factory=list)  # roles, and how many segments until there

    def add(self, kind: str, value: Any, path: str, head: bytes = b"") -> None:
        """A segment of JSON; `head` is what its message says of itself."""
        mark = None
        if isinstance(value, list) or (isinstance(value, dict) and not value.keys().isdisjoint(_SPECIAL)):
            mark, value = _mark(value), _cleaned(value)
        self.segments.append(Segment(kind, head + _encode(value), path, mark))

    def add_all(self, kind: str, values: Any, path: str) -> None:
        """A segment for each in a list, or for what is there instead of one."""
        if isinstance(values, list):
            for index, value in enumerate(values):
                self.add(kind, value, f"{path}[{index}]")
        elif values:
            self.add(kind, values, path)

    def add_message(self, role: str, head: Any, path: str, *places: tuple[str, Any]) -> None:
        """A message: what is in its `places` (name and content: a text, blocks or one block), in order.

        `head` is the rest of it.
        """
        first, rest = len(self.segments), _encode(head)
        for name, content in places:
            place = f"{path}.{name}" if path else name
            if isinstance(content, list):
                for index, block in enumerate(content):
                    self._add_block(role, block, f"{place}[{index}]", rest)
                    rest = b""
            elif content is not None:
                self._add_block(role, content, place, rest)
                rest = b""
        if len(self.segments) == first:
            self.segments.append(Segment(role, rest, path))
        self.end_turn(role)

    def _add_block(self, role: str, block: Any, path: str, head: bytes) -> None:
        value = {"type": "text", "text": block} if isinstance(block, str) else block
        self.add(kind_of(value, role), value, path, head)

    def end_turn(self, role: str) -> None:
        """What was added since the last one is a message of that role."""
        self._turns.append((role, len(self.segments)))

    def prompt(self, settings: Mapping[str, str], *, automatic: Any = None, whole: bool = True) -> Prompt:
        """All that was added. `automatic` is a mark for the whole request."""
        self._find_eligible()
        if isinstance(automatic, dict):
            self._mark_last(automatic)
        if self._shows_images():
            settings = {**settings, "images": "true"}
        return Prompt(tuple(self.segments), settings, whole)

    def _find_eligible(self) -> None:
        is_initial = True
        for (role, end), (following, _) in pairwise([*self._turns, ("", 0)]):
            is_initial = is_initial and role == "system"
            if role == "user" or (role != following and (role == "tool_result" or is_initial)):
                self.segments[end - 1].eligible = True

    def _mark_last(self, mark: dict[str, Any]) -> None:
        places = reversed(range(len(self.segments)))
        place = next((index for index in places if _can_be_marked(self.segments[index])), None)
        if place is not None and self.segments[place].mark is None:
            self.segments[place].mark = Mark(_ttl(mark), automatic=True)

    def _shows_images(self) -> bool:
        kinds = {segment.kind for segment in self.segments}
        return "image" in kinds or (
            "tool_result" in kinds
            and any(
                segment.kind == "tool_result" and b'"type":"image"' in segment.data
                for segment in self.segments
            )
        )


def kind_of(block: Any, role: str) -> str:
    """What a block of a message is: by its type, else by who said it."""
    if not isinstance(block, dict):
        return role
    named = block.get("type")
    if isinstance(named, str):
        return _KINDS.get(named, role)
    return next((_KINDS[key] for key in block if key in _KINDS), role)  # Gemini's parts have no type


def _mark(value: Any) -> Mark | None:
    if isinstance(value, dict) and not value.keys().isdisjoint(_MARKING):
        for name in MARKS:
            if isinstance(mark := value.get(name), dict):
                return Mark(_ttl(mark))
        if isinstance(content := value.get("content"), list):  # of a tool's result
            return next((mark for part in reversed(content) if (mark := _mark(part))), None)
    return None


def _ttl(mark: dict[str, Any]) -> str | None:
    ttl = mark.get("ttl")
    return ttl if isinstance(ttl, str) else None


def _cleaned(value: Any) -> Any:
    """Without marks, and without media's bytes."""
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if not isinstance(value, dict) or value.keys().isdisjoint(_SPECIAL):
        return value
    is_text = value.get("type") == "text"
    return {
        key: _cleaned_field(key, item, is_text=is_text) for key, item in value.items() if key not in MARKS
    }


def _cleaned_field(key: str, item: Any, *, is_text: bool) -> Any:
    if isinstance(item, str):
        is_media = item.startswith("data:") if key in _URLS else key in _BYTES and not is_text
        return f"sha256:{hashlib.sha256(item.encode()).hexdigest()}" if is_media else item
    return _cleaned(item) if key in _WITHIN else item


def _can_be_marked(segment: Segment) -> bool:
    return segment.kind != "thinking" and not segment.data.endswith(b'"text":""}')


_URLS = frozenset(("url", "image_url", "file_url"))
_BYTES = frozenset(("data", "file_data"))
# Where blocks, and what they hold, may be: not what a tool was called with.
_WITHIN = frozenset(("content", "source", "image_url", "file", "input_audio", "inlineData", "inline_data"))
_MARKING = frozenset((*MARKS, "content"))
_SPECIAL = frozenset((*MARKS, *_URLS, *_BYTES, *_WITHIN))  # where there is anything to clean
_KINDS = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "document": "document",
    "file": "document",
    "input_file": "document",
    "input_audio": "audio",
    "thinking": "thinking",
    "redacted_thinking": "thinking",
    "reasoning": "thinking",
    "tool_use": "tool_use",
    "server_tool_use": "tool_use",
    "mcp_tool_use": "tool_use",
    "function": "tool_use",  # in tool_calls
    "custom": "tool_use",
    "function_call": "tool_use",
    "custom_tool_call": "tool_use",
    "tool_result": "tool_result",
    "web_search_tool_result": "tool_result",
    "mcp_tool_result": "tool_result",
    "function_call_output": "tool_result",
    "custom_tool_call_output": "tool_result",
    "inlineData": "image",
    "inline_data": "image",
    "fileData": "document",
    "file_data": "document",
    "functionCall": "tool_use",
    "functionResponse": "tool_result",
}
