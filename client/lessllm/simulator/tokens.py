"""Approximate tokens. Prompts count four bytes a token; answers are made of the pieces that `pieces` cuts.

Real tokenizers differ by model and can't be had offline. Four bytes a token is what English prose comes to
with most of them; it keeps counts monotone, additive and free for prompts of megabytes.
"""

import re

BYTES_PER_TOKEN = 4

_PIECE = re.compile(r"\s*(?:\w{1,8}|[^\w\s])|\s+")


def count_bytes(size: int) -> int:
    """Tokens of a prompt of `size` bytes."""
    return -(-size // BYTES_PER_TOKEN)


def count(text: str) -> int:
    """Tokens of a prompt's text."""
    return count_bytes(len(text.encode("utf-8", "surrogatepass")))


def pieces(text: str) -> list[str]:
    """The tokens of an answer. Joined, they are `text`."""
    return _PIECE.findall(text)
