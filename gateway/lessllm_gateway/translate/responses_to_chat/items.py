"""The output items of a response in the making, each with the events by which a stream tells of it.

Events are told as dictionaries, in the order that the API documents: added, then parts and deltas, then done.
The number that every event has is the stream's to add.
"""

from collections.abc import Callable
from typing import Any

from lessllm_gateway.translate.responses_to_chat import custom
from lessllm_gateway.translate.translation import Json

Tell = Callable[[Json], object]


class Text:
    """A part of a message or of reasoning, that grows by deltas."""

    def __init__(self, tell: Tell, kind: str, places: Json) -> None:
        self.kind = kind  # output_text, refusal, reasoning_text, summary_text
        self._tell = tell
        self._field, self._event, self._part_event = _TEXTS[kind]
        self._places = places  # item_id, output_index, and the part's index in the item
        self._pieces: list[str] = []
        self._annotations: list[Any] = []
        self._logprobs: list[Any] = []
        tell({"type": f"{self._part_event}.added", **places, "part": self.whole()})

    def whole(self) -> Json:
        """The part, as far as it came."""
        part: Json = {"type": self.kind, self._field: "".join(self._pieces)}
        if self.kind == "output_text":
            part |= {"annotations": [*self._annotations], "logprobs": [*self._logprobs]}
        return part

    def add(self, text: str, logprobs: list[Any]) -> None:
        """More of it."""
        self._pieces.append(text)
        self._logprobs += logprobs
        event = {"type": f"{self._event}.delta", **self._places, "delta": text}
        self._tell(event | ({"logprobs": logprobs} if self.kind == "output_text" else {}))

    def annotate(self, annotation: Json) -> None:
        """A source of it."""
        index = len(self._annotations)
        self._annotations.append(annotation)
        places = {**self._places, "annotation_index": index}
        self._tell({"type": f"{self._event}.annotation.added", **places, "annotation": annotation})

    def close(self) -> None:
        """That was all."""
        part = self.whole()
        event = {"type": f"{self._event}.done", **self._places, self._field: part[self._field]}
        self._tell(event | ({"logprobs": part["logprobs"]} if self.kind == "output_text" else {}))
        self._tell({"type": f"{self._part_event}.done", **self._places, "part": part})


class Item:
    """What all items have in common."""

    def __init__(self, tell: Tell, item_id: str, output_index: int) -> None:
        self.item_id = item_id
        self.status = "in_progress"
        self._tell = tell
        self._output_index = output_index
        self._place = {"item_id": item_id, "output_index": output_index}

    def whole(self) -> Json:
        """The item, as far as it came."""
        raise NotImplementedError

    def close(self, status: str) -> None:
        """That was all: completed, or incomplete."""
        self.status = status
        self._tell_item("done")

    def _tell_item(self, what: str) -> None:
        event = f"response.output_item.{what}"
        self._tell({"type": event, "output_index": self._output_index, "item": self.whole()})


class Message(Item):
    """What the model says: texts and refusals."""

    def __init__(self, tell: Tell, item_id: str, output_index: int) -> None:
        super().__init__(tell, item_id, output_index)
        self._parts: list[Text] = []
        self._tell_item("added")

    def whole(self) -> Json:
        content = [part.whole() for part in self._parts]
        fields = {"status": self.status, "role": "assistant", "content": content}
        return {"id": self.item_id, "type": "message", **fields}

    def part(self, kind: str) -> Text:
        """The part under way, of that kind."""
        if not self._parts or self._parts[-1].kind != kind:
            if self._parts:
                self._parts[-1].close()
            self._parts.append(Text(self._tell, kind, {**self._place, "content_index": len(self._parts)}))
        return self._parts[-1]

    def close(self, status: str) -> None:
        for part in self._parts[-1:]:
            part.close()
        super().close(status)


class Reasoning(Item):
    """What the model thought: as a summary if one was asked for, else as it is; and what it wants back."""

    def __init__(self, tell: Tell, item_id: str, output_index: int, *, as_summary: bool) -> None:
        super().__init__(tell, item_id, output_index)
        self.encrypted_content: str | None = None
        self._as_summary = as_summary
        self._text: Text | None = None
        self._tell_item("added")

    def whole(self) -> Json:
        texts = [] if self._text is None else [self._text.whole()]
        item: Json = {"id": self.item_id, "type": "reasoning", "summary": texts if self._as_summary else []}
        if not self._as_summary:
            item["content"] = texts
        return {**item, "encrypted_content": self.encrypted_content}

    def add(self, text: str) -> None:
        """More of it."""
        if self._text is None:
            kind, index = ("summary_text", "summary_index") if self._as_summary else _AS_IT_IS
            self._text = Text(self._tell, kind, {**self._place, index: 0})
        self._text.add(text, [])

    def close(self, status: str) -> None:
        if self._text is not None:
            self._text.close()
        super().close(status)


class Call(Item):
    """A call of a function. It is told of once its name is known."""

    def __init__(self, tell: Tell, item_id: str, output_index: int, call_id: str) -> None:
        super().__init__(tell, item_id, output_index)
        self.call_id = call_id
        self._name = ""
        self._pieces: list[str] = []
        self._told: int | None = None  # how many of the pieces

    def whole(self) -> Json:
        said = {"arguments": "" if self._told is None else "".join(self._pieces)}
        head = {"id": self.item_id, "type": "function_call", "status": self.status}
        return {**head, "call_id": self.call_id, "name": self._name, **said}

    def add(self, name: str, text: str) -> None:
        """Its name, or more of its arguments."""
        self._name = self._name or name
        if text:
            self._pieces.append(text)
        if self._name:
            self._tell_pieces()

    def close(self, status: str) -> None:
        self._tell_pieces()
        said = {"name": self._name, "arguments": "".join(self._pieces)}
        self._tell({"type": "response.function_call_arguments.done", **self._place, **said})
        super().close(status)

    def _tell_pieces(self) -> None:
        if self._told is None:
            self._tell_item("added")
            self._told = 0
        for text in self._pieces[self._told :]:
            self._tell({"type": "response.function_call_arguments.delta", **self._place, "delta": text})
        self._told = len(self._pieces)


class CustomCall(Call):
    """A call of a custom tool. What is said to it is told when all is there: it comes within JSON."""

    def whole(self) -> Json:
        said = {"input": "" if self._told is None else custom.said("".join(self._pieces))}
        head = {"id": self.item_id, "type": "custom_tool_call", "status": self.status}
        return {**head, "call_id": self.call_id, "name": self._name, **said}

    def add(self, name: str, text: str) -> None:
        self._name = self._name or name
        self._pieces.append(text)

    def close(self, status: str) -> None:
        self._tell_item("added")
        self._told = len(self._pieces)
        said = self.whole()["input"]
        self._tell({"type": "response.custom_tool_call_input.delta", **self._place, "delta": said})
        self._tell({"type": "response.custom_tool_call_input.done", **self._place, "input": said})
        Item.close(self, status)


_TEXTS = {  # a part's field, the events of its text, those of the part
    "output_text": ("text", "response.output_text", "response.content_part"),
    "refusal": ("refusal", "response.refusal", "response.content_part"),
    "reasoning_text": ("text", "response.reasoning_text", "response.content_part"),
    "summary_text": ("text", "response.reasoning_summary_text", "response.reasoning_summary_part"),
}
_AS_IT_IS = ("reasoning_text", "content_index")
