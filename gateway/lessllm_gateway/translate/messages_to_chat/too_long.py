"""Prompts and limits beyond the context, in Anthropic's words: agents know them, and act upon them.

"prompt is too long": they shorten the conversation. "input length and `max_tokens` exceed context limit":
they ask again for fewer tokens. The provider's own message follows.
"""

import re

_BEYOND = re.compile(
    r"context.{0,20}(length|window|size)|maximum.{0,20}(context|prompt)|prompt is too long|too many tokens"
    r"|exceeds? .{0,40}(context|token limit|maximum number of tokens)",
    re.IGNORECASE | re.DOTALL,
)
_LIMIT = (re.compile(r"context length is (\d+) tokens"),)
_ASKED = (re.compile(r"(\d+) in the completion"), re.compile(r"tokens' is too large: (\d+)"))
_PROMPT = (
    re.compile(r"\((\d+) in the messages"),
    re.compile(r"has (\d+) input tokens"),
    re.compile(r"resulted in (\d+) tokens"),
    re.compile(r"requested (\d+) tokens"),
)


def too_long(message: str, *, certain: bool) -> str | None:
    """The message in these words; None if it is about something else. `certain`: the error's code says so."""
    if message.startswith("prompt is too long"):
        return message
    if not certain and _BEYOND.search(message) is None:
        return None
    limit, prompt, asked = (_number(patterns, message) for patterns in (_LIMIT, _PROMPT, _ASKED))
    if limit is None or prompt is None:
        return f"prompt is too long: {message}"
    if asked is not None and prompt < limit:
        sizes = f"{prompt} + {asked} > {limit}, decrease input length or `max_tokens` and try again"
        return f"input length and `max_tokens` exceed context limit: {sizes}; {message}"
    return f"prompt is too long: {prompt} tokens > {limit} maximum; {message}"


def _number(patterns: tuple[re.Pattern[str], ...], message: str) -> int | None:
    return next((int(found[1]) for pattern in patterns if (found := pattern.search(message))), None)
