"""OpenAI responses: the last event holds the whole object; until it comes, items and their parts.

`response.completed`, `.incomplete` and `.failed` end a stream and give the answer as it is without
streaming. Of a stream that was cut off, the object of `response.created` is filled with the output items
that came, whole ones from `output_item.done`, others as far as their deltas go.
"""

from typing import Any

from lessllm_shared.sse import Event
from lessllm_shared.streams.reader import Brings, json_object

_LAST = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_BEFORE = frozenset({"response.created", "response.queued", "response.in_progress"})

# A delta → what it brings, and where its text belongs: (list of the item, index's name, field) for a
# part of the item, ("", "", field) for the item itself, None where only the item's end tells.
_DELTAS: dict[str, tuple[Brings, tuple[str, str, str] | None]] = {
    "response.output_text.delta": (Brings.CONTENT, ("content", "content_index", "text")),
    "response.refusal.delta": (Brings.CONTENT, ("content", "content_index", "refusal")),
    "response.reasoning_text.delta": (Brings.REASONING, ("content", "content_index", "text")),
    "response.reasoning_summary_text.delta": (Brings.REASONING, ("summary", "summary_index", "text")),
    "response.function_call_arguments.delta": (Brings.CONTENT, ("", "", "arguments")),
    "response.mcp_call_arguments.delta": (Brings.CONTENT, ("", "", "arguments")),
    "response.custom_tool_call_input.delta": (Brings.CONTENT, ("", "", "input")),
    "response.code_interpreter_call_code.delta": (Brings.CONTENT, ("", "", "code")),
    "response.shell_call_command.delta": (Brings.CONTENT, None),
    "response.audio.delta": (Brings.CONTENT, None),
    "response.audio.transcript.delta": (Brings.CONTENT, None),
}
# A part's begin or end → where it belongs.
_PARTS = {
    "response.content_part": ("content", "content_index"),
    "response.reasoning_summary_part": ("summary", "summary_index"),
}
# The last word of events that bring nothing new: a whole text after its deltas, the progress of tools.
_QUIET = frozenset(
    {"accepted", "added", "compacting", "completed", "delta", "done", "failed", "generating"}
    | {"in_progress", "interpreting", "partial_image", "pending", "searching"}
)


class _Item:
    """An output item in the making."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._done = False
        self._parts: dict[tuple[str, int], dict[str, Any]] = {}
        self._texts: dict[tuple[str, int, str], list[str]] = {}

    def take(self, item: dict[str, Any], *, done: bool) -> None:
        self._fields = item
        self._done = done

    def take_part(self, where: str, index: int, part: dict[str, Any], *, done: bool) -> None:
        self._parts[where, index] = part
        if done:
            self._texts = {key: text for key, text in self._texts.items() if key[:2] != (where, index)}

    def grow(self, where: str, index: int, field: str, text: str) -> None:
        self._texts.setdefault((where, index, field), []).append(text)

    def whole(self) -> dict[str, Any]:
        if self._done:
            return self._fields
        item = dict(self._fields)
        parts = {key: dict(part) for key, part in self._parts.items()}
        for (where, index, field), pieces in self._texts.items():
            target = parts.setdefault((where, index), {}) if where else item
            known = target.get(field)
            target[field] = (known if isinstance(known, str) else "") + "".join(pieces)
        for where, index in sorted(parts):
            known = item.get(where)
            item[where] = [*(known if isinstance(known, list) else []), parts[where, index]]
        return item


class ResponsesReader:
    """Gathers a `response`."""

    def __init__(self) -> None:
        self.finished = False
        self.error: dict[str, Any] | None = None
        self.unknown_events = 0
        self._response: dict[str, Any] | None = None
        self._items: dict[int, _Item] = {}

    def add(self, event: Event) -> Brings:
        """Take one event in."""
        if not event.data or event.data.startswith(b"[DONE]"):
            return Brings.NOTHING
        data = json_object(event)
        if data is None:
            self.unknown_events += 1
            return Brings.NOTHING
        kind = str(data.get("type") or event.name)
        if kind in _DELTAS:
            return self._add_delta(kind, data)
        if kind in _LAST or kind in _BEFORE:
            self._add_response(kind, data)
        elif kind == "error" or (kind == "" and data.get("error")):
            self.error = data
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self._add_item(data, done=kind.endswith("done"))
        elif kind.rpartition(".")[0] in _PARTS:
            self._add_part(*_PARTS[kind.rpartition(".")[0]], data, done=kind.endswith("done"))
        elif kind.rpartition(".")[2] not in _QUIET and kind not in ("ping", "keepalive"):
            self.unknown_events += 1
        return Brings.NOTHING

    def answer(self) -> dict[str, Any] | None:
        """The response, as far as it came."""
        if self._response is None:
            return None
        if self._response.get("output") or not self._items:
            return self._response
        return {**self._response, "output": [self._items[index].whole() for index in sorted(self._items)]}

    def _add_response(self, kind: str, data: dict[str, Any]) -> None:
        response = data.get("response")
        if isinstance(response, dict):
            self._response = response
            if response.get("error"):
                self.error = data
        self.finished = self.finished or kind in _LAST

    def _add_item(self, data: dict[str, Any], *, done: bool) -> None:
        item = data.get("item")
        if isinstance(item, dict):
            self._item(data).take(item, done=done)

    def _add_part(self, where: str, index: str, data: dict[str, Any], *, done: bool) -> None:
        part = data.get("part")
        if isinstance(part, dict):
            self._item(data).take_part(where, _number(data, index), part, done=done)

    def _add_delta(self, kind: str, data: dict[str, Any]) -> Brings:
        brings, place = _DELTAS[kind]
        text = data.get("delta")
        if not isinstance(text, str) or not text:
            return Brings.NOTHING
        if place is not None:
            where, index, field = place
            self._item(data).grow(where, _number(data, index), field, text)
        return brings

    def _item(self, data: dict[str, Any]) -> _Item:
        return self._items.setdefault(_number(data, "output_index"), _Item())


def _number(data: dict[str, Any], key: str) -> int:
    value = data.get(key)
    return value if isinstance(value, int) else 0
