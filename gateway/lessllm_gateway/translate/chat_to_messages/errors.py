"""Anthropic's errors as OpenAI's clients know them.

Status and type stay, but for 529, which OpenAI does not have: it says 503 when it is overloaded. `code` is
OpenAI's where there is one that clients match on.
"""

import re

import msgspec
from lessllm_shared import tolerant_json

from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import fields, text

MAX_MESSAGE_CHARS = 1000  # of an answer that is no error of Anthropic's, such as a proxy's page

_CODES = {
    "authentication_error": "invalid_api_key",
    "billing_error": "insufficient_quota",
    "rate_limit_error": "rate_limit_exceeded",
}
_CODES_BY_MESSAGE = (
    (re.compile(r"prompt is too long|exceed\w* (?:the )?(?:model's )?context"), "context_length_exceeded"),
    (re.compile(r"credit balance is too low"), "insufficient_quota"),
    (re.compile(r"^model: "), "model_not_found"),
)
_encoder = msgspec.json.Encoder()


def error(status: int, body: bytes) -> tuple[int, bytes]:
    """Status and body of an OpenAI error for an Anthropic one."""
    try:
        detail = fields(fields(tolerant_json.loads(body)).get("error"))
    except ValueError:
        detail = {}
    if not detail:
        detail = {"message": body[:MAX_MESSAGE_CHARS].decode("utf-8", "replace")}
    return 503 if status == 529 else status, error_body(detail)


def error_body(detail: Json) -> bytes:
    """OpenAI's error for the `error` object of an Anthropic one."""
    kind, message = text(detail.get("type")) or "api_error", text(detail.get("message"))
    found = (code for pattern, code in _CODES_BY_MESSAGE if pattern.search(message))
    code = next(found, _CODES.get(kind, kind))
    return _encoder.encode({"error": {"message": message, "type": kind, "param": None, "code": code}})
