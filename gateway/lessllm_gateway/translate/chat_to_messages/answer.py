"""A message into a chat completion, and its usage and its error."""

import time

import msgspec
from lessllm_shared import tolerant_json

from lessllm_gateway.translate.translation import Json

FINISH_REASONS = {
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
                "finish_reason": FINISH_REASONS.get(message.get("stop_reason") or "", "stop"),
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
