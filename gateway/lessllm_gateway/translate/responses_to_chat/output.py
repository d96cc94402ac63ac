"""What a model says in the chat format, into output items: a whole message, or one delta after the other.

An item is done when one of another kind begins, tool calls when all is said: their deltas may come mixed.
"""

from typing import Any

from lessllm_shared.streams.merge import merge, merged

from lessllm_gateway.translate.carried import FIELDS, pack
from lessllm_gateway.translate.responses_to_chat.items import Call, CustomCall, Item, Message, Reasoning, Tell
from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import fields, objects, text

MAX_ITEMS = 1000  # of one answer, and an upstream that never ends takes no more memory than these


class Output:
    """The items of one response. `name` is what their ids are made of."""

    def __init__(
        self, tell: Tell, name: str, model: str | None, custom: frozenset[str], *, as_summary: bool
    ) -> None:
        self._tell = tell
        self._name = name
        self._model = model
        self._custom = custom  # names of tools that take text
        self._as_summary = as_summary
        self._items: list[Item] = []
        self._open: Message | Reasoning | None = None
        self._calls: list[Call] = []
        self._by_index: dict[int, tuple[str, Call]] = {}  # the last of that index, with the id it came with
        self._kept: Json = {}  # what the next reasoning item that is done carries: of the message,
        self._kept_calls: dict[str, Json] = {}  # and of its calls

    def items(self) -> list[Json]:
        """As far as they came."""
        return [item.whole() for item in self._items]

    def take(self, delta: Json, logprobs: list[Any]) -> None:
        """A delta, or a whole message. Raises ValueError for more than an answer can be."""
        merge(self._kept, {name: value for name in FIELDS if (value := delta.get(name))})
        said, thought = _content(delta.get("content"))
        if thought := thought or text(delta.get("reasoning_content")) or text(delta.get("reasoning")):
            self._reasoning().add(thought)
        if said:
            self._message().part("output_text").add(said, logprobs)
        if refusal := text(delta.get("refusal")):
            self._message().part("refusal").add(refusal, [])
        for annotation in objects(delta.get("annotations")):
            if citation := fields(annotation.get("url_citation")):
                self._message().part("output_text").annotate({"type": "url_citation", **citation})
        for call in objects(delta.get("tool_calls")):
            self._take_call(call)
        if function := fields(delta.get("function_call")):  # as before there were tool calls
            self._take_call({"index": 0, "function": function})

    def close(self, *, cut_off: bool) -> None:
        """All is said, or what the limit allowed."""
        final = self._items[-1] if self._items else None
        last = "incomplete" if cut_off else "completed"
        for call in self._calls:
            call.close(last if call is final else "completed")
        self._switch(last)
        if self._kept or self._kept_calls:
            self._reasoning()
            self._switch()

    def _take_call(self, delta: Json) -> None:
        function = fields(delta.get("function"))
        name = text(function.get("name"))
        call = self._call(delta, name)
        call.add(name, text(function.get("arguments")))
        if isinstance(extra := delta.get("extra_content"), dict):
            merge(self._kept_calls.setdefault(call.call_id, {}), {"extra_content": extra})

    def _call(self, delta: Json, name: str) -> Call:
        """The call that a delta belongs to. Another id is another call: some number all of them 0."""
        call_id, index = text(delta.get("id")), delta.get("index")
        if isinstance(index, int) and index in self._by_index:
            known_id, known = self._by_index[index]
            if not call_id or not known_id or call_id == known_id:
                return known
        self._begin()
        kind, prefix = (CustomCall, "ctc") if name in self._custom else (Call, "fc")
        item_id, place = self._next(prefix)
        call = kind(self._tell, item_id, place, call_id or f"call_{self._name}_{place}")
        self._items.append(call)
        self._calls.append(call)
        if isinstance(index, int):
            self._by_index[index] = (call_id, call)
        return call

    def _message(self) -> Message:
        if not isinstance(self._open, Message):
            self._begin()
            self._open = Message(self._tell, *self._next("msg"))
            self._items.append(self._open)
        return self._open

    def _reasoning(self) -> Reasoning:
        if not isinstance(self._open, Reasoning):
            self._switch()
            self._open = Reasoning(self._tell, *self._next("rs"), as_summary=self._as_summary)
            self._items.append(self._open)
        return self._open

    def _next(self, prefix: str) -> tuple[str, int]:
        """Id and place of the next item."""
        place = len(self._items)
        if place == MAX_ITEMS:
            raise ValueError(f"of more than {MAX_ITEMS} items")
        return f"{prefix}_{self._name}_{place}", place

    def _begin(self) -> None:
        """An item that is no reasoning. What was thought without a word of it comes before."""
        if self._kept:
            self._reasoning()
        self._switch()

    def _switch(self, status: str = "completed") -> None:
        """What is open is done."""
        item, self._open = self._open, None
        if isinstance(item, Reasoning) and (self._kept or self._kept_calls):
            calls = {call_id: merged(extra) for call_id, extra in self._kept_calls.items()}
            item.encrypted_content = pack(self._model, merged(self._kept), calls)
            self._kept, self._kept_calls = {}, {}
        if item is not None:
            item.close(status)


def _content(content: Any) -> tuple[str, str]:
    """Text, and thinking beside it: Mistral's content is a list of parts while the model thinks."""
    if not isinstance(content, list):
        return text(content), ""
    parts = objects(content)
    said = "".join(text(part.get("text")) for part in parts if part.get("type") == "text")
    thoughts = (objects(part.get("thinking")) for part in parts if part.get("type") == "thinking")
    return said, "".join(text(piece.get("text")) for thought in thoughts for piece in thought)
