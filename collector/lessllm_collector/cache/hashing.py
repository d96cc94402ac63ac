"""A prompt as a chain of hashes: one pass of sha256, sampled on its way and where segments end.

So exactly it is known what two prompts share: to 64 bytes at first, to 2 KB in long prompts. With smaller
steps fewer prompts would fill the index, and more be lost by that than gained.
Equal hashes mean equal prompts up to there. 8 bytes of each are kept: among 250,000 entries two different
prefixes are taken for one once in 10**8 times.
"""

import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lessllm_collector.cache.segments import Segment

DIGEST_BYTES = 8
_STEPS = ((4096, 64), (8192, 256), (32768, 1024), (sys.maxsize, 2048))  # until there, a sample every so many


def samples(shortest_bytes: int = 0, finest_bytes: int = 1) -> Iterator[int]:
    """After how many bytes there is one, if shorter prefixes or smaller differences don't matter."""
    begin = 0
    for until, step in _STEPS:
        wide = max(step, finest_bytes)
        yield from range(max(begin, shortest_bytes) + wide, until + 1, wide)
        begin = until


@dataclass(slots=True)
class Chain:
    """Points in a prompt: how many bytes there are until there, and their hash.

    They are where segments end, and at `samples`.
    """

    samples: Iterator[int] = field(default_factory=lambda: iter(()))
    offsets: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)  # for each segment, the point at its end
    _hash: Any = field(default_factory=hashlib.sha256)
    _following: int = 0  # sample

    @property
    def total_bytes(self) -> int:
        """Of the whole prompt."""
        return self.offsets[-1] if self.offsets else 0

    def salt(self, data: bytes) -> None:
        """What follows is hashed apart, though no part of the prompt."""
        self._hash.update(data)

    def extend(self, segments: Iterable[Segment]) -> None:
        """The prompt goes on with these."""
        update, digest = self._hash.update, self._hash.digest  # of all so far: it goes on after that
        add_offset, add_digest = self.offsets.append, self.digests.append
        offset, following, samples = self.total_bytes, self._following, self.samples
        for segment in segments:
            data = memoryview(segment.data)
            start, end = offset, offset + len(data)
            while following <= offset:
                following = next(samples, sys.maxsize)
            while following < end:
                update(data[offset - start : following - start])
                add_offset(following)
                add_digest(digest()[:DIGEST_BYTES])
                offset, following = following, next(samples, sys.maxsize)
            update(data[offset - start :])
            add_offset(end)
            add_digest(digest()[:DIGEST_BYTES])
            self.ends.append(len(self.offsets) - 1)
            offset = end
        self._following = following
