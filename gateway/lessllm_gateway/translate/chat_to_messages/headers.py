"""Anthropic's rate limits and request id, under the names that OpenAI's clients know them by.

Anthropic says at what time a limit is reset, OpenAI in how long. What has no name there (limits of input and
output tokens apart) stays as it is; `retry-after` is the same in both.
"""

import math
from datetime import datetime

from lessllm_gateway.credentials import RawHeaders

_RENAMED = {
    f"anthropic-ratelimit-{counted}-{said}".encode(): f"x-ratelimit-{said}-{counted}".encode()
    for counted in ("requests", "tokens")
    for said in ("limit", "remaining", "reset")
} | {b"request-id": b"x-request-id"}


def answer_headers(raw: RawHeaders, now_unix_s: float) -> RawHeaders:
    """The same headers, those renamed that have a counterpart. Names are in lower case."""
    renamed = []
    for name, value in raw:
        known = _RENAMED.get(name, name)
        if known is name or not known.startswith(b"x-ratelimit-reset-"):
            renamed.append((known, value))
        elif (left_s := _left_s(value, now_unix_s)) is not None:
            renamed.append((known, b"%ds" % left_s))
    return renamed


def _left_s(reset: bytes, now_unix_s: float) -> int | None:
    try:
        at_unix_s = datetime.fromisoformat(reset.decode()).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0, math.ceil(at_unix_s - now_unix_s))
