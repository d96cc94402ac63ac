"""A prompt as a chain of hashes: one pass of sha256, sampled on its way and where segments end.

So exactly it is known what two prompts share: to 64 bytes at first, to 2 KB in long prompts. With smaller
steps fewer prompts would fill the index, and more be lost by that than gained.
Equal hashes mean equal prompts up to there. 8 bytes of each are kept: among 250,000 entries two different
prefixes are taken for one once in 10**8 times.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lessllm_collector.cache.segments import Segment

DIGEST_BYTES = 8
_STEPS = ((4096, 64), (8192, 256), (32768, 1024))  # until there, a sample every so many bytes
_SPARSE_BYTES, _STEP_BYTES = 32768, 2048  # from there on


@dataclass(slots=True)
class Chain:
    """Points in a prompt: how many bytes there are until there, and their hash."""

    offsets: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)  # for each segment, the point at its end
    _hash: Any = field(default_factory=hashlib.sha256)

    @property
    def total_bytes(self) -> int:
        """Of the whole prompt."""
        return self.offsets[-1] if self.offsets else 0

    def salt(self, data: bytes) -> None:
        """What follows is hashed apart, though no part of the prompt."""
        self._hash.update(data)

    def extend(self, segments: Iterable[Segment], *, sampled: bool) -> None:
        """The prompt goes on with these. Without samples there are only points where segments end."""
        running, offset, offsets = self._hash, self.total_bytes, self.offsets
        following = _following(offset)
        for segment in segments:
            data = memoryview(segment.data)
            end, start = offset + len(data), offset
            while sampled and following < end:
                running.update(data[offset - start : following - start])
                offsets.append(following)
                self.digests.append(running.copy().digest()[:DIGEST_BYTES])
                offset = following
                following += _STEP_BYTES if offset >= _SPARSE_BYTES else _following(offset) - offset
            running.update(data[offset - start :])
            offsets.append(end)
            self.digests.append(running.copy().digest()[:DIGEST_BYTES])
            self.ends.append(len(offsets) - 1)
            offset = end
            if following <= end:
                following = _following(end)


def _following(offset: int) -> int:
    """Where the next sample is."""
    step = next((step for until, step in _STEPS if offset < until), _STEP_BYTES)
    return offset - offset % step + step
