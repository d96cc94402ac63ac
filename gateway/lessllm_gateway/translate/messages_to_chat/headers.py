"""OpenAI's rate limits and request id, under the names that Anthropic's clients know them by.

OpenAI says in how long a limit is reset ("6m0s"), Anthropic at what time.
"""

import re
from datetime import UTC, datetime, timedelta

from lessllm_gateway.credentials import RawHeaders

_RATE_LIMIT = re.compile(rb"x-ratelimit-(limit|remaining|reset)-(requests|tokens)")
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")


def anthropic_headers(raw: RawHeaders, now: datetime) -> RawHeaders:
    """The same headers, those renamed that have a counterpart."""
    return [header for name, value in raw for header in _renamed(name, value, now)]


def _renamed(name: bytes, value: bytes, now: datetime) -> RawHeaders:
    if name == b"x-request-id":
        return [(b"request-id", value)]
    found = _RATE_LIMIT.fullmatch(name)
    if found is None:
        return [(name, value)]
    if found[1] == b"reset":
        time = _time(value.decode("latin-1").strip(), now)
        if time is None:
            return []
        value = time.encode()
    return [(b"anthropic-ratelimit-%b-%b" % (found[2], found[1]), value)]


def _time(duration: str, now: datetime) -> str | None:
    found = _DURATION.fullmatch(duration)
    if found is None or not duration:
        return None
    try:
        days, hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
        wait = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)
        return (now + wait).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return None
