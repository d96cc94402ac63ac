"""Two requests in, the place where their prompts part out: both texts around it, the difference marked."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest

from lessllm_collector.cache.segments import Prompt, Segment
from lessllm_collector.suggestions.volatile import common

_SHOWN = 200  # characters
_BEFORE = 70  # of these, what both texts have in common
_SAME_AGAIN = 12  # characters: as many equal ones end a difference


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A part of a text. The difference is between `start` and `end`."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two prompts part."""

    path: str
    before: Excerpt
    after: Excerpt


def difference(before: Prompt, after: Prompt) -> Difference | None:
    """The first one. None: they are the same."""
    for one, other in zip_longest(before.segments, after.segments):
        if one is None or other is None or one.data != other.data:
            found: Segment = other or one
            return _of(found.path, one.data if one else b"", other.data if other else b"")
    return None


def settings_difference(names: str, before: Prompt, after: Prompt) -> Difference:
    """Of the settings with these names."""
    texts = [
        ", ".join(f"{name}: {prompt.settings.get(name, 'not set')}" for name in names.split(", "))[:_SHOWN]
        for prompt in (before, after)
    ]
    return _excerpts(names, *texts)


def _of(path: str, before: bytes, after: bytes) -> Difference:
    begin = max(0, common(before, after) - 2 * _BEFORE)
    texts = [text[begin : begin + 4 * _SHOWN].decode("utf-8", "ignore") for text in (before, after)]
    return _excerpts(path, *texts)


def _excerpts(path: str, before: str, after: str) -> Difference:
    start = next(
        (at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other),
        min(len(before), len(after)),
    )
    begin = max(0, start - _BEFORE)
    one, other = before[begin : begin + _SHOWN], after[begin : begin + _SHOWN]
    start -= begin
    same = SequenceMatcher(None, one, other, autojunk=False).find_longest_match(
        start, len(one), start, len(other)
    )
    ends = (same.a, same.b) if same.size >= _SAME_AGAIN else (len(one), len(other))
    while start and one[start - 1].isalnum():  # whole words and numbers
        start -= 1
    return Difference(
        path, Excerpt(one, start, _word_end(one, ends[0])), Excerpt(other, start, _word_end(other, ends[1]))
    )


def _word_end(text: str, end: int) -> int:
    while 0 < end < len(text) and text[end].isalnum() and text[end - 1].isalnum():
        end += 1
    return end
