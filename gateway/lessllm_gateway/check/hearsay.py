"""What strangers say, made fit to be shown to a person: printable, short, and without our secrets. Pure.

Text or bytes that came over the network enter, a line for a terminal leaves. No bytes make it raise.
"""

import re
from collections.abc import Iterable
from typing import Any

from lessllm_shared import tolerant_json

MAX_COMPLAINT_CHARS = 200
_SHORTEST_RUN = 6  # a run of a secret this long is cut out too: providers repeat keys in part

_WEB_PAGE = re.compile(rb"\s*<(!doctype html|html)\b", re.IGNORECASE)


def printable(text: str, longest: int) -> str:
    """On one line, and cut."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def is_web_page(content_type: str, body: bytes) -> bool:
    """Whether this is for browsers: a login page, a filter's, a proxy's; no API answers so."""
    return "html" in content_type.lower() or _WEB_PAGE.match(body) is not None


def complaint(body: bytes, secrets: Iterable[str]) -> str:
    """What an answer with an error says, without the secrets; "" if that is nothing."""
    try:
        text = _message(tolerant_json.loads(body))
    except ValueError:
        text = body.decode("utf-8", "replace")
    for secret in secrets:
        text = _without(secret, text)
    return printable(text, MAX_COMPLAINT_CHARS)


def _message(answer: Any) -> str:
    """As OpenAI, Anthropic, Google and FastAPI put it; else the whole answer."""
    inner = answer[0] if isinstance(answer, list) and answer else answer
    for name in ("error", "message", "detail"):
        if isinstance(inner, dict) and inner.get(name):
            inner = inner[name]
    return inner if isinstance(inner, str) else tolerant_json.dumps(answer)


def _without(secret: str, text: str) -> str:
    """Every longest run that is in the secret too becomes one character."""
    shortest = min(_SHORTEST_RUN, len(secret))
    kept, at = [], 0
    while at < len(text):
        end = at + shortest
        if not shortest or text[at:end] not in secret or end > len(text):
            kept.append(text[at])
            at += 1
            continue
        while end < len(text) and text[at : end + 1] in secret:
            end += 1
        kept.append("…")
        at = end
    return "".join(kept)
