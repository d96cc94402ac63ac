"""A chat request into a messages request."""

from typing import Any

import msgspec
from lessllm_shared import tolerant_json

from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.translation import Json, Wanted

DEFAULT_MAX_TOKENS = 4096  # Anthropic wants a limit, OpenAI does not; every Claude model allows this one
_SAME = ("temperature", "top_p")
_HANDLED = frozenset(
    (
        *_SAME,
        "model",
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "stop",
        "stream",
        "stream_options",
        "user",
    )
)
_NO_COUNTERPART = "has no counterpart in the Anthropic messages format"
_encoder = msgspec.json.Encoder()


def request(body: bytes, wanted: Wanted) -> bytes:
    """The messages request for a chat request. Raises Rejection for what has no counterpart."""
    chat: Json = tolerant_json.loads(body)
    for name, value in chat.items():
        if name not in _HANDLED and value is not None:
            wanted.drop(name, _NO_COUNTERPART)
    if chat.get("n") not in {None, 1}:
        wanted.drop("n", _NO_COUNTERPART)
    system, messages = _turns(chat.get("messages"))
    limit = chat.get("max_completion_tokens") or chat.get("max_tokens") or DEFAULT_MAX_TOKENS
    result: Json = {
        "model": wanted.model,
        "max_tokens": limit,
        "messages": messages,
        "stream": wanted.streaming,
    }
    result |= {name: chat[name] for name in _SAME if chat.get(name) is not None}
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
