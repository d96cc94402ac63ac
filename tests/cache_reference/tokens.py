"""A tokenizer of its own: text in, token ids out, four bytes each: a prompt's prefix is a prefix of bytes.

Words, numbers, white space and signs are tokens, as in the common ones: prose has five bytes a token, code
and JSON two or three, digits fewer. Whoever only sees bytes and totals has to estimate.
"""

import functools
import re
import zlib

WIDTH = 4  # bytes of an id
_PIECES = re.compile(r" ?[A-Za-z]{1,8}| ?[0-9]{1,3}|\s+|[^\sA-Za-z0-9]")


class _Ids(dict[str, bytes]):
    def __missing__(self, piece: str) -> bytes:
        self[piece] = found = zlib.crc32(piece.encode("utf-8", "replace")).to_bytes(WIDTH, "big")
        return found


_ids = _Ids()


@functools.lru_cache(maxsize=65_536)
def tokens_of(text: str) -> bytes:
    """The ids of the text's tokens."""
    return b"".join(map(_ids.__getitem__, _PIECES.findall(text)))


def special(name: str) -> bytes:
    """The id of a token that no text has: where a message begins, whose it is, where it ends."""
    return _ids[f"<|{name}|>"]


def count(ids: bytes) -> int:
    """How many tokens that is."""
    return len(ids) // WIDTH


def common(one: bytes, other: bytes) -> int:
    """How many tokens both begin with."""
    low, high = 0, min(len(one), len(other)) // WIDTH
    while low < high:
        middle = (low + high + 1) // 2
        if one[low * WIDTH : middle * WIDTH] == other[low * WIDTH : middle * WIDTH]:
            low = middle
        else:
            high = middle - 1
    return low


def chain(ids: bytes, unit: int, seed: object) -> list[int]:
    """A hash for each whole unit of that many tokens; it stands for the unit and all that is before it."""
    width, link, links = unit * WIDTH, hash(seed), []
    for end in range(width, len(ids) + 1, width):
        link = hash((link, ids[end - width : end]))
        links.append(link)
    return links
