"""Bytes into tokens without a tokenizer: linear between what is known, else by what a token took so far."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

FIRST_RATIO = 0.25  # tokens a byte
_WEIGHT = 0.2  # of the newest call
_MAX_MODELS = 10_000  # clients choose model names

Anchor = tuple[int, float]  # so many bytes are so many tokens


class Ratios:
    """Tokens a byte of each provider's model: moving averages.

    Of what follows a cached prefix apart: that is what has to be guessed, and it is of another kind, such as
    questions after tools.
    """

    def __init__(self) -> None:
        self.known: dict[tuple[str, str, bool], float] = {}

    def get(self, provider: str, model: str, *, rest: bool = False) -> float:
        """Of whole prompts or of the `rest`. Before there was any call: the usual one."""
        whole = self.known.get((provider, model, False), FIRST_RATIO)
        return self.known.get((provider, model, True), whole) if rest else whole

    def learn(self, provider: str, model: str, size_bytes: int, tokens: float, *, rest: bool = False) -> None:
        """So many bytes had so many tokens."""
        if size_bytes > 0 and tokens > 0:
            if len(self.known) >= _MAX_MODELS:
                self.known.clear()
            ratio = tokens / size_bytes
            before = self.known.get((provider, model, rest), ratio)
            self.known[provider, model, rest] = before + _WEIGHT * (ratio - before)


def ascending(anchors: Sequence[Anchor]) -> list[Anchor]:
    """From nothing on, without those that others contradict: the last ones are the surest."""
    kept: list[Anchor] = []
    for size_bytes, tokens in reversed(anchors):
        if size_bytes > 0 and (not kept or (size_bytes < kept[-1][0] and tokens <= kept[-1][1])):
            kept.append((size_bytes, tokens))
    return [(0, 0.0), *reversed(kept)]


def interpolate(anchors: Sequence[Anchor], offsets: Sequence[int]) -> list[float]:
    """Tokens at ascending `offsets`, by ascending anchors from (0, 0) on; beyond the last: as many."""
    found: list[float] = []
    for (before, low), (after, high) in pairwise(anchors):
        end = bisect_right(offsets, after)
        width, height = after - before, high - low
        found += [low + height * (offset - before) / width for offset in offsets[len(found) : end]]
    return found + [float(anchors[-1][1])] * (len(offsets) - len(found))
