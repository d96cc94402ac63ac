"""Gemini's `:streamGenerateContent?alt=sse`: each event is an answer in itself, with the next parts.

There is no terminator: the answer is whole when every candidate has its `finishReason`, or when the
prompt was blocked. Neighbouring text parts of one kind (thought or not) are one part without streaming,
and a signature that comes after its text belongs to it.
"""

from typing import Any

from lessllm_shared.sse import Event
from lessllm_shared.streams.reader import Brings, json_object

_PLAIN = frozenset({"text", "thought"})
_GENERATED = ("functionCall", "executableCode", "inlineData")


class _Candidate:
    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self._content: dict[str, Any] = {}
        self._parts: list[tuple[dict[str, Any], list[str]]] = []  # a part's fields, the pieces of its text

    def add(self, candidate: dict[str, Any]) -> Brings:
        self.fields.update({k: v for k, v in candidate.items() if k != "content" and v is not None})
        content = candidate.get("content")
        if not isinstance(content, dict):
            return Brings.NOTHING
        self._content.update({k: v for k, v in content.items() if k != "parts"})
        parts = content.get("parts")
        found = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
        for part in found:
            self._add_part(part)
        return max(map(_brings, found), default=Brings.NOTHING)

    def whole(self) -> dict[str, Any]:
        parts = [{**fields, "text": "".join(pieces)} if pieces else fields for fields, pieces in self._parts]
        return {"content": {"parts": parts, **self._content}, **self.fields}

    def _add_part(self, part: dict[str, Any]) -> None:
        text = part.get("text")
        if not isinstance(text, str):
            self._parts.append((part, []))
            return
        if self._parts and part.keys() <= _PLAIN | {"thoughtSignature"}:
            fields, pieces = self._parts[-1]
            if (
                pieces
                and fields.keys() <= _PLAIN
                and bool(fields.get("thought")) == bool(part.get("thought"))
            ):
                fields.update(part)
                pieces.append(text)
                return
        self._parts.append((part, [text]))


def _brings(part: dict[str, Any]) -> Brings:
    if part.get("text"):
        return Brings.REASONING if part.get("thought") else Brings.CONTENT
    return Brings.CONTENT if any(part.get(key) for key in _GENERATED) else Brings.NOTHING


class GeminiReader:
    """Gathers a `GenerateContentResponse`."""

    def __init__(self) -> None:
        self.error: dict[str, Any] | None = None
        self.unknown_events = 0
        self.finished = False
        self._top: dict[str, Any] = {}
        self._candidates: dict[int, _Candidate] = {}

    def add(self, event: Event) -> Brings:
        """Take one event in."""
        if not event.data:
            return Brings.NOTHING
        data = json_object(event)
        if data is None:
            self.unknown_events += 1
            return Brings.NOTHING
        if data.get("error"):
            self.error = data
            return Brings.NOTHING
        self._top.update({k: v for k, v in data.items() if k != "candidates" and v is not None})
        brings = Brings.NOTHING
        candidates = data.get("candidates")
        for candidate in candidates if isinstance(candidates, list) else ():
            if isinstance(candidate, dict):
                index = candidate.get("index")
                known = self._candidates.setdefault(index if isinstance(index, int) else 0, _Candidate())
                brings = max(brings, known.add(candidate))
        self.finished = self._is_finished()
        return brings

    def answer(self) -> dict[str, Any] | None:
        """The response, as far as it came."""
        if not self._top and not self._candidates:
            return None
        if not self._candidates:  # a blocked prompt
            return dict(self._top)
        candidates = [self._candidates[index].whole() for index in sorted(self._candidates)]
        return {"candidates": candidates, **self._top}

    def _is_finished(self) -> bool:
        feedback = self._top.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            return True
        known = self._candidates.values()
        return bool(known) and all(candidate.fields.get("finishReason") for candidate in known)
