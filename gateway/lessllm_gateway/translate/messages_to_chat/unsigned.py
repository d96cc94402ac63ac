"""A messages request on its way to Anthropic, less the thinking that another provider's model has written.

Anthropic refuses a thinking block that it has not signed, and with it every further request of a session that
was somewhere else once. Such blocks are known by our signature; without one, the bytes stay as they are.
"""

import re
from typing import Any

import msgspec
from lessllm_shared import tolerant_json

from lessllm_gateway.translate.carried import MARK
from lessllm_gateway.translate.values import fields, text

_OURS = re.compile(rb'"signature"\s*:\s*"%b' % MARK.encode())


def without_unsigned(body: bytes) -> bytes:
    """The request. What can't be read is Anthropic's to judge."""
    if _OURS.search(body) is None:
        return body
    try:
        request = tolerant_json.loads(body)
        messages = [kept for message in request["messages"] if (kept := _signed(message))]
        return msgspec.json.encode({**request, "messages": messages})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return body


def _signed(message: Any) -> Any:
    """The message; None if nothing is left of it."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    kept = [block for block in content if not text(fields(block).get("signature")).startswith(MARK)]
    return {**message, "content": kept} if kept or not content else None
