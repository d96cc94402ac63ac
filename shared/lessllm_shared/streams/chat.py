"""Chat completions: deltas of messages, of text, refusal, reasoning, tool calls, audio and whatever else."""

from typing import Any

from lessllm_shared.streams.chunks import ChunkReader
from lessllm_shared.streams.reader import Brings

_CONTENT = ("content", "refusal")
_REASONING = ("reasoning_content", "reasoning")
_SPEECH = ("data", "transcript")


class ChatReader(ChunkReader):
    """Gathers a `chat.completion`."""

    def answer(self) -> dict[str, Any] | None:
        """The chat completion, as far as it came."""
        answer = super().answer()
        if answer is not None:
            answer["object"] = "chat.completion"
        return answer

    def brings(self, choice: dict[str, Any]) -> Brings:
        """Content before reasoning, if one chunk has both."""
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return Brings.NOTHING
        if any(_is_content(delta.get(key)) for key in _CONTENT) or _calls(delta) or _speaks(delta):
            return Brings.CONTENT
        if any(delta.get(key) for key in _REASONING) or _thinks(delta.get("content")):
            return Brings.REASONING
        return Brings.NOTHING

    def whole_choice(self, choice: dict[str, Any]) -> dict[str, Any]:
        """`message` instead of `delta`; content null where tool calls came without text."""
        delta = choice.pop("delta", None)
        message = {"role": "assistant", "content": None, **(delta if isinstance(delta, dict) else {})}
        if isinstance(calls := message.get("tool_calls"), list):
            message["tool_calls"] = [_without_index(call) for call in calls]
        if isinstance(message["content"], list):
            message["content"] = _joined_parts(message["content"])
        if not message["content"] and any(
            message.get(key) for key in ("tool_calls", "function_call", "audio")
        ):
            message["content"] = None
        if "refusal" in message:  # OpenAI's own: its plain messages have both fields, its streams this one
            message.setdefault("annotations", [])
        return {"index": choice.pop("index", 0), "message": message, **choice}


def _is_content(value: Any) -> bool:
    return _has_part(value, "text") if isinstance(value, list) else bool(value)


def _thinks(content: Any) -> bool:
    return isinstance(content, list) and _has_part(content, "thinking")


def _has_part(parts: list[Any], kind: str) -> bool:
    return any(isinstance(part, dict) and part.get("type") == kind and part.get(kind) for part in parts)


def _calls(delta: dict[str, Any]) -> bool:
    calls = delta.get("tool_calls")
    functions = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    # A custom tool has `custom.input` where a function has `function.arguments`.
    bodies = [delta.get("function_call"), *(call.get("function") or call.get("custom") for call in functions)]
    return any(isinstance(body, dict) and (body.get("arguments") or body.get("input")) for body in bodies)


def _speaks(delta: dict[str, Any]) -> bool:
    audio = delta.get("audio")
    return isinstance(audio, dict) and any(audio.get(key) for key in _SPEECH)


def _without_index(call: Any) -> Any:
    return {key: value for key, value in call.items() if key != "index"} if isinstance(call, dict) else call


def _joined_parts(parts: list[Any]) -> list[Any]:
    """Content in typed parts (Mistral): neighbours of one type become one part."""
    joined: list[Any] = []
    for part in parts:
        last = joined[-1] if joined else None
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("text", "thinking") and isinstance(last, dict) and last.get("type") == kind:
            joined[-1] = {**last, kind: _join(last.get(kind), part.get(kind))}
        else:
            joined.append(part)
    return joined


def _join(one: Any, other: Any) -> Any:
    if isinstance(one, str) and isinstance(other, str):
        return one + other
    if isinstance(one, list) and isinstance(other, list):
        return _joined_parts(one + other)
    return other
