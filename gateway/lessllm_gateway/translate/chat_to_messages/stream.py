"""An Anthropic event stream into a chat one."""

import time

import msgspec
from lessllm_shared import tolerant_json
from lessllm_shared.sse import EventParser, format_event

from lessllm_gateway.translate.chat_to_messages.answer import FINISH_REASONS, error, usage
from lessllm_gateway.translate.translation import Json

_encoder = msgspec.json.Encoder()


class AnswerStream:
    """A transform."""

    def __init__(self, model: str | None, *, include_usage: bool) -> None:
        self._parser = EventParser()
        self._include_usage = include_usage
        self._usage: Json = {}
        self._stop_reason = ""
        self._head: Json = {
            "id": None,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }

    def feed(self, chunk: bytes) -> bytes:
        """The chat events for the events that this chunk completes."""
        return b"".join(self._event(event.data) for event in self._parser.feed(chunk))

    def finish(self) -> bytes:
        """What an event without its blank line still brings."""
        return b"".join(self._event(event.data) for event in self._parser.flush())

    def _event(self, data: bytes) -> bytes:
        try:
            event = tolerant_json.loads(data)
            handler = _EVENTS.get(str(event.get("type")))
            return handler(self, event) if handler else b""
        except (ValueError, TypeError, AttributeError):
            return b""  # not an event as Anthropic documents it: unknown ones are passed over

    def _start(self, event: Json) -> bytes:
        message = event.get("message") or {}
        self._head["id"] = message.get("id")
        self._head["model"] = message.get("model") or self._head["model"]
        self._usage = message.get("usage") or {}
        return self._chunk({"role": "assistant", "content": ""})

    def _delta(self, event: Json) -> bytes:
        delta = event.get("delta") or {}
        if text := delta.get("text"):
            return self._chunk({"content": text})
        if thinking := delta.get("thinking"):
            return self._chunk({"reasoning_content": thinking})
        return b""

    def _message_delta(self, event: Json) -> bytes:
        self._stop_reason = (event.get("delta") or {}).get("stop_reason") or self._stop_reason
        self._usage |= {
            name: value for name, value in (event.get("usage") or {}).items() if value is not None
        }
        return b""

    def _stop(self, event: Json) -> bytes:
        del event
        end = self._chunk({}, FINISH_REASONS.get(self._stop_reason, "stop"))
        if self._include_usage:
            chunk = {**self._head, "choices": [], "usage": usage(self._usage)}
            end += format_event(_encoder.encode(chunk))
        return end + format_event(b"[DONE]")

    def _error(self, event: Json) -> bytes:
        return format_event(error(200, _encoder.encode(event))[1])

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {**self._head, "choices": [choice]}
        if self._include_usage:
            chunk["usage"] = None
        return format_event(_encoder.encode(chunk))


_EVENTS = {
    "message_start": AnswerStream._start,  # noqa: SLF001
    "content_block_delta": AnswerStream._delta,  # noqa: SLF001
    "message_delta": AnswerStream._message_delta,  # noqa: SLF001
    "message_stop": AnswerStream._stop,  # noqa: SLF001
    "error": AnswerStream._error,  # noqa: SLF001
}
