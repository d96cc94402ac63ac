"""Streams of OpenAI-style chunks: `data: {…, "choices": [{"index": 0, …}]}` up to `data: [DONE]`.

What chat and completions have in common: choices are merged by index; of the fields around them the last
non-empty value holds (Azure's first chunk has an empty id and model, but prompt_filter_results); padding
(`obfuscation`) is dropped; an error comes as a chunk of its own.
"""

from typing import Any

from lessllm_shared.sse import Event
from lessllm_shared.streams.merge import merge, merged
from lessllm_shared.streams.reader import Brings, json_object

# Of a choice, what comes in pieces; anything else comes whole, and the last value holds.
_IN_PIECES = frozenset({"delta", "text", "logprobs"})


class ChunkReader:
    """Gathers chunks. A format says what a choice brings, and how it looks without streaming."""

    def __init__(self) -> None:
        self.finished = False
        self.error: dict[str, Any] | None = None
        self.unknown_events = 0
        self._top: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}

    def add(self, event: Event) -> Brings:
        """Take one event in."""
        if not event.data:
            return Brings.NOTHING
        if event.data.startswith(b"[DONE]"):
            self.finished = True
            return Brings.NOTHING
        chunk = json_object(event)
        if chunk is None:
            self.unknown_events += 1
            return Brings.NOTHING
        if chunk.get("error") or chunk.get("object") == "error" or event.name == "error":
            self.error = chunk
            if "choices" not in chunk:
                return Brings.NOTHING
        return self._add_chunk(chunk)

    def answer(self) -> dict[str, Any] | None:
        """The completion, as far as it came."""
        if not self._top:
            return None
        choices = [self.whole_choice(merged(self._choices[index])) for index in sorted(self._choices)]
        answer = {**self._top, "choices": choices}
        if not answer.get("usage"):
            _lift_usage(answer)
        return answer

    def brings(self, choice: dict[str, Any]) -> Brings:
        """What a choice of a chunk brings."""
        raise NotImplementedError

    def whole_choice(self, choice: dict[str, Any]) -> dict[str, Any]:
        """A merged choice as it is without streaming."""
        raise NotImplementedError

    def _add_chunk(self, chunk: dict[str, Any]) -> Brings:
        top = self._top
        for key, value in chunk.items():
            if key == "choices":
                top.setdefault(key, None)  # keeps its place
            elif key != "obfuscation" and (value or key not in top):
                top[key] = value
        choices = chunk.get("choices")
        brings = Brings.NOTHING
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._add_choice(choice)
                brings = max(brings, self.brings(choice))
        return brings

    def _add_choice(self, choice: dict[str, Any]) -> None:
        index = choice.get("index")
        known = self._choices.setdefault(index if isinstance(index, int) else 0, {})
        pieces = {}
        for key, value in choice.items():
            if key in _IN_PIECES:
                pieces[key] = value
            elif value is not None or key not in known:
                known[key] = value
        merge(known, pieces)


def _lift_usage(answer: dict[str, Any]) -> None:
    # Kimi puts a stream's usage into a choice, Groq under its own name; without streaming it is at the top.
    for choice in answer["choices"]:
        if usage := choice.pop("usage", None):
            answer["usage"] = usage
    groq = answer.get("x_groq")
    if isinstance(groq, dict) and groq.get("usage"):
        answer["x_groq"] = {key: value for key, value in groq.items() if key != "usage"}
        answer["usage"] = groq["usage"]
