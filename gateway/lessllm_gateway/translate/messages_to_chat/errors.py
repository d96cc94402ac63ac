"""OpenAI's errors as Anthropic's, and those of servers that are nearly OpenAI's.

Anthropic's clients go by the HTTP status and the error's type. Quota that is used up is 429 with OpenAI,
which Anthropic's clients would try again for ever.
"""

from typing import Any

import msgspec
from lessllm_shared import tolerant_json

from lessllm_gateway.translate.messages_to_chat.too_long import too_long
from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import fields, text

MAX_MESSAGE_CHARS = 2000
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STATUS = {422: 400, 503: 529, 498: 529}  # what Anthropic says for it; Groq's 498: no capacity
_QUOTA = frozenset(("insufficient_quota", "billing_hard_limit_reached", "insufficient_balance"))
# Of errors within a stream, which has no status.
_STATUS_OF_KINDS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "tokens": 429,
    "requests": 429,
    "overloaded_error": 529,
    "engine_overloaded": 529,
    "insufficient_system_resource": 529,
    "timeout": 504,
}
_encoder = msgspec.json.Encoder()


def error_answer(status: int, body: bytes) -> tuple[int, bytes]:
    """Status and body of Anthropic's error for an upstream's."""
    try:
        error = tolerant_json.loads(body)
    except ValueError:
        error = body[:MAX_MESSAGE_CHARS].decode("utf-8", "replace")
    status, answer = _described(status, error)
    return status, _encoder.encode(answer)


def error_in_stream(chunk: Json) -> Json:
    """Anthropic's error event for an error within a stream."""
    detail = _detail(chunk)
    code, kinds = detail.get("code"), (detail.get("type"), detail.get("code"), detail.get("status"))
    known = (_STATUS_OF_KINDS.get(kind) for kind in kinds if isinstance(kind, str))
    status = code if isinstance(code, int) and 400 <= code < 600 else next((s for s in known if s), 500)
    return _described(status, chunk)[1]


def cut_off() -> Json:
    """Anthropic's error event for a stream that ends before its end."""
    return _error("api_error", "the upstream's answer broke off")


def _described(status: int, error: Any) -> tuple[int, Json]:
    detail = _detail(error)
    said = text(detail.get("message")) or _written(detail.get("detail"))
    message = said[:MAX_MESSAGE_CHARS] or f"the upstream answered {status}"
    words = {word for key in ("code", "type") if isinstance(word := detail.get(key), str)}
    status = _STATUS.get(status, status) if status >= 400 else 502
    if status == 429 and words & _QUOTA:
        status = 402
    if status in {400, 413} and (known := too_long(message, certain="context_length_exceeded" in words)):
        status, message = 400, known
    return status, _error(
        _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error"), message
    )


def _detail(error: Any) -> Json:
    if isinstance(error, list) and error:  # Gemini's OpenAI-compatible endpoint wraps it
        error = error[0]
    if isinstance(error, str):
        return {"message": error}
    error = fields(error)
    inner = error.get("error", error)  # vLLM's is not wrapped
    if isinstance(inner, str):  # Ollama's
        return {**error, "message": inner}
    return fields(inner)


def _written(detail: Any) -> str:
    return detail if isinstance(detail, str) else tolerant_json.dumps(detail) if detail else ""


def _error(kind: str, message: str) -> Json:
    return {"type": "error", "error": {"type": kind, "message": message[:MAX_MESSAGE_CHARS]}}
