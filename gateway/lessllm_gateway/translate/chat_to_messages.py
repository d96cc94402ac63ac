"""OpenAI chat completions, asked of a provider that speaks Anthropic messages: text, system, streaming.

What can't be kept is refused by name rather than dropped in silence.
"""

import time
from typing import Any

import msgspec
from lessllm_shared import tolerant_json
from lessllm_shared.sse import EventParser, format_event

from lessllm_gateway.errors import Rejection

DEFAULT_MAX_TOKENS = 4096  # Anthropic wants a limit, OpenAI does not; every Claude model allows this one
HEADERS = ((b"anthropic-version", b"2023-06-01"),)  # Anthropic refuses requests without
_SAME = ("temperature", "top_p", "stream")
_HANDLED = frozenset(
    (
        *_SAME,
        "model",
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "user",
        "stream_options",
        "n",
    )
)
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "refusal": "content_filter",
}
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "overloaded_error": 529,
}
_encoder = msgspec.json.Encoder()

Json = dict[str, Any]


def request(body: bytes, model: str | None, *, streaming: bool) -> bytes:
    """The messages request for a chat request. Raises Rejection for what has no counterpart."""
    chat: Json = tolerant_json.loads(body)
    for name, value in chat.items():
        if name not in _HANDLED and value is not None:
            raise _unsupported(name)
    if chat.get("n") not in {None, 1}:
        raise _unsupported("n")
    system, messages = _turns(chat.get("messages"))
    limit = chat.get("max_completion_tokens") or chat.get("max_tokens") or DEFAULT_MAX_TOKENS
    result: Json = {"model": model, "max_tokens": limit, "messages": messages, "stream": streaming}
    result |= {name: chat[name] for name in ("temperature", "top_p") if chat.get(name) is not None}
    if system:
        result["system"] = "\n\n".join(system)
    if stop := chat.get("stop"):
        result["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if isinstance(user := chat.get("user"), str):
        result["metadata"] = {"user_id": user}
    return _encoder.encode(result)


def _turns(messages: Any) -> tuple[list[str], list[Json]]:
    if not isinstance(messages, list) or not messages:
        raise Rejection(400, "invalid_request", "messages: must be a list with at least one message")
    system: list[str] = []
    turns: list[Json] = []
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise Rejection(400, "invalid_request", f"messages[{index}]: must be an object")
        role, text = message.get("role"), _text(message.get("content"), f"messages[{index}].content")
        if role in {"system", "developer"}:
            system.append(text)
        elif role not in {"user", "assistant"} or message.get("tool_calls"):
            raise _unsupported(f"messages[{index}] of role {role!r} with tools")
        elif turns and turns[-1]["role"] == role:
            turns[-1]["content"] += "\n\n" + text  # Anthropic wants the roles to alternate
        else:
            turns.append({"role": role, "content": text})
    return system, turns


def _text(content: Any, where: str) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(p, dict) and p.get("type") == "text" for p in content):
        return "".join(str(part.get("text", "")) for part in content)
    raise _unsupported(f"{where} that is not text")


def _unsupported(what: str) -> Rejection:
    return Rejection(
        400, "unsupported_parameter", f"{what}: can't be translated to the Anthropic messages format"
    )


def answer(message: Json, model: str | None) -> Json:
    """The chat completion for an Anthropic message."""
    blocks = message.get("content") or []
    text = "".join(b.get("text", "") for b in blocks if b.get("type") == "text")
    thinking = "".join(b.get("thinking", "") for b in blocks if b.get("type") == "thinking")
    said: Json = {"role": "assistant", "content": text, "refusal": None}
    if thinking:
        said["reasoning_content"] = thinking
    return {
        "id": message.get("id"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": message.get("model") or model,
        "choices": [
            {
                "index": 0,
                "message": said,
                "logprobs": None,
                "finish_reason": _FINISH_REASONS.get(message.get("stop_reason") or "", "stop"),
            }
        ],
        "usage": usage(message.get("usage") or {}),
    }


def usage(reported: Json) -> Json:
    """OpenAI's usage: its prompt tokens include what was read from and written to the cache."""
    read = reported.get("cache_read_input_tokens") or 0
    written = reported.get("cache_creation_input_tokens") or 0
    prompt = (reported.get("input_tokens") or 0) + read + written
    completion = reported.get("output_tokens") or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
    }


def error(status: int, body: bytes) -> tuple[int, bytes]:
    """Status and body of an OpenAI error for an Anthropic one."""
    try:
        detail = tolerant_json.loads(body)["error"]
        kind, text = str(detail["type"]), str(detail["message"])
    except (ValueError, KeyError, TypeError):
        kind, text = "api_error", body[:1000].decode("utf-8", "replace")
    status = _STATUS.get(kind, 502 if status < 400 else status)
    return status, _encoder.encode({"error": {"message": text, "type": kind, "param": None, "code": kind}})


class AnswerStream:
    """An Anthropic event stream into a chat one. A transform."""

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
        end = self._chunk({}, _FINISH_REASONS.get(self._stop_reason, "stop"))
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
