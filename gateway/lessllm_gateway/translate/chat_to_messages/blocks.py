"""A content block of a message on its way into a chat answer: what its start, its deltas and its end bring.

Each gives a chat `delta`, empty where there is nothing to say. A whole block, as a plain answer has it, is a
start and an end without deltas between: so plain answers and streams can't differ.

Chat completions have no place for thinking. By a common convention it goes beside `content`: its text as
`reasoning_content`, and the blocks with their signatures as `thinking_blocks`, which a client sends back with
the message. Where a block stood among text and calls is noted in it, since Anthropic wants it there again.
"""

from dataclasses import dataclass
from typing import Protocol

from lessllm_shared import tolerant_json

from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import text


@dataclass(slots=True)
class Said:
    """What came before, in one answer."""

    text_chars: int = 0
    calls: int = 0
    thoughts: int = 0


class Block(Protocol):
    """Made of a content block's start."""

    def __init__(self, start: Json, said: Said) -> None: ...

    def opening(self) -> Json:
        """What the start brings."""
        ...

    def growth(self, delta: Json) -> Json:
        """What a delta brings."""
        ...

    def closing(self) -> Json:
        """What the end brings."""
        ...


class _Silent:
    """Without counterpart, such as what a tool on Anthropic's side does."""

    def __init__(self, start: Json, said: Said) -> None:
        self._start = start
        self._said = said

    def opening(self) -> Json:
        return {}

    def growth(self, delta: Json) -> Json:
        del delta
        return {}

    def closing(self) -> Json:
        return {}


class _Text(_Silent):
    def opening(self) -> Json:
        return self._brings(text(self._start.get("text")))

    def growth(self, delta: Json) -> Json:
        return self._brings(text(delta.get("text")))

    def _brings(self, piece: str) -> Json:
        self._said.text_chars += len(piece)
        return {"content": piece} if piece else {}


class _Thinking(_Silent):
    def __init__(self, start: Json, said: Said) -> None:
        super().__init__(start, said)
        self._index = said.thoughts
        said.thoughts += 1

    def opening(self) -> Json:
        place = {"text_before": self._said.text_chars, "calls_before": self._said.calls}
        entry = {"index": self._index, "type": self._start["type"], **self._content()}
        entry |= {name: before for name, before in place.items() if before}
        return {**_reasoning(entry.get("thinking", "")), "thinking_blocks": [entry]}

    def growth(self, delta: Json) -> Json:
        known = {name: text(delta.get(name)) for name in ("thinking", "signature")}
        pieces = {name: piece for name, piece in known.items() if piece}
        if not pieces:
            return {}
        entry = {"index": self._index, **pieces}
        return {**_reasoning(pieces.get("thinking", "")), "thinking_blocks": [entry]}

    def _content(self) -> Json:
        signature = text(self._start.get("signature"))
        content = {"thinking": text(self._start.get("thinking"))}
        return content | ({"signature": signature} if signature else {})


class _RedactedThinking(_Thinking):
    def _content(self) -> Json:
        return {"data": text(self._start.get("data"))}


def _reasoning(thinking: str) -> Json:
    return {"reasoning_content": thinking} if thinking else {}


class _Input(_Silent):
    """A tool's input: JSON in pieces."""

    def __init__(self, start: Json, said: Said) -> None:
        super().__init__(start, said)
        self._has_grown = False

    def growth(self, delta: Json) -> Json:
        piece = text(delta.get("partial_json"))
        self._has_grown = self._has_grown or bool(piece)
        return self._brings(piece) if piece else {}

    def closing(self) -> Json:
        """A plain answer's input; `{}` for a call without any, whose stream brings nothing."""
        if self._has_grown:
            return {}
        given = self._start.get("input") or {}
        return self._brings(given if isinstance(given, str) else tolerant_json.dumps(given))

    def _brings(self, piece: str) -> Json:
        raise NotImplementedError


class _Call(_Input):
    def __init__(self, start: Json, said: Said) -> None:
        super().__init__(start, said)
        self._index = said.calls
        said.calls += 1

    def opening(self) -> Json:
        function = {"name": text(self._start.get("name")), "arguments": ""}
        identifier = text(self._start.get("id"))
        call = {"index": self._index, "id": identifier, "type": "function", "function": function}
        return {"tool_calls": [call]}

    def _brings(self, piece: str) -> Json:
        return {"tool_calls": [{"index": self._index, "function": {"arguments": piece}}]}


class _Answer(_Input):
    """The call of a tool that stands for `response_format`: its input is the answer."""

    def _brings(self, piece: str) -> Json:
        self._said.text_chars += len(piece)
        return {"content": piece}


def block(start: Json, said: Said, answer_tool: str | None) -> Block:
    """The block that starts so. `answer_tool`: the tool that stands for `response_format`."""
    kind = start.get("type")
    if kind == "tool_use" and answer_tool is not None and start.get("name") == answer_tool:
        return _Answer(start, said)
    return _BLOCKS.get(text(kind), _Silent)(start, said)


_BLOCKS: dict[str, type[Block]] = {
    "text": _Text,
    "thinking": _Thinking,
    "redacted_thinking": _RedactedThinking,
    "tool_use": _Call,
}
