"""Texts that are the same but for dates, times, ids and numbers: a text's skeleton, and what varies in it.

A skeleton has one sign for all digits and the letters of hexadecimal numbers: as long as the text, so places
in one are places in the other, and hardly ever equal for different texts.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass

_KEPT_BYTES = 16 * 1024 * 1024
_BLOCK_BYTES = 64
_FEW_BLOCKS, _MOST_DIFFERING = 4, 0.1  # of a text's blocks: so many may differ, or this share
_AROUND = 48  # bytes to each side of a difference, to see what it is
_SIGNS = b"0123456789abcdefABCDEF"
_TABLE = bytes.maketrans(_SIGNS, b"0" * len(_SIGNS))
_KINDS = {
    "UUID": rb"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    "date": rb"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}",
    "time": rb"\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?",
    "timestamp": rb"(?<!\d)1\d{9}(?:\.\d+|\d{3}|\d{6}|\d{9})?(?!\d)",
    "hexadecimal id": rb"(?=\d*[a-fA-F])(?=[a-fA-F]*\d)[0-9a-fA-F]{6,}",
    "number": rb"\d+",
}
_LITERAL = re.compile(
    b"|".join(b"(?P<k%d>%b)" % (number, pattern) for number, pattern in enumerate(_KINDS.values()))
)


@dataclass(frozen=True, slots=True)
class Variation:
    """Where a text differs from an earlier one with the same skeleton, and what it is that does."""

    offset: int
    kind: str


def skeleton(text: bytes) -> bytes:
    """What stays of it when dates, times, ids and numbers change."""
    return text.translate(_TABLE)


class Texts:
    """Texts by skeleton, those that were used last, within so many bytes."""

    def __init__(self, most_bytes: int = _KEPT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._texts: OrderedDict[int, bytes] = OrderedDict()
        self._size_bytes = 0

    def compare(self, text: bytes, bones: bytes) -> Variation | None:
        """With the latest text of that skeleton, in whose place it is from now on."""
        key = hash(bones)
        before = self._texts.pop(key, b"")
        self._texts[key] = text
        self._size_bytes += len(text) - len(before)
        while self._size_bytes > self._most_bytes and len(self._texts) > 1:
            self._size_bytes -= len(self._texts.popitem(last=False)[1])
        if len(before) != len(text) or before == text or not _is_similar(before, text):
            return None
        return variation(before, text)


def _is_similar(before: bytes, after: bytes) -> bool:
    """Texts of nothing but numbers have equal skeletons, and nothing in common."""
    places = range(0, len(after), _BLOCK_BYTES)
    differing = sum(before[at : at + _BLOCK_BYTES] != after[at : at + _BLOCK_BYTES] for at in places)
    return differing <= max(_FEW_BLOCKS, _MOST_DIFFERING * len(places))


def variation(before: bytes, after: bytes) -> Variation | None:
    """The first difference, if it is a date or the like."""
    offset = common(before, after)
    for text in (before, after):
        begin = max(0, offset - _AROUND)
        for found in _LITERAL.finditer(text, begin, offset + _AROUND):
            if found.start() <= offset < found.end():
                return Variation(found.start(), [*_KINDS][int((found.lastgroup or "k0")[1:])])
    return None


def common(one: bytes, other: bytes) -> int:
    """How many bytes at the beginning are the same."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
