"""Prompts as chains of hashes, and which earlier call began with the same ones.

Two calls share a prefix as far as their hashes are equal. If one shares a prefix with an earlier call, it
shares every shorter one: so the longest is found by bisection.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from lessllm_collector.cache.hashing import Chain, samples
from lessllm_collector.cache.segments import Segment

STEP_BYTES = 2048  # between points within a segment: about 500 tokens

_Caller = TypeVar("_Caller")


@dataclass(frozen=True, slots=True)
class Prefixes:
    """Points in a prompt: bytes until there, ascending, and the hash of all until there."""

    offsets: "array[int]"
    hashes: "array[int]"

    def salted(self, salt: int, begin: int) -> "Prefixes":
        """Other hashes for what goes beyond `begin`."""
        if not salt:
            return self
        pairs = zip(self.offsets, self.hashes, strict=True)
        return Prefixes(
            self.offsets, array("Q", (found ^ salt if offset > begin else found for offset, found in pairs))
        )


def prefixes_of(segments: Iterable[Segment]) -> Prefixes:
    """Where segments end, and in steps between."""
    chain = Chain(samples())
    chain.extend(segments)
    ends = set(chain.ends)
    kept = [at for at, offset in enumerate(chain.offsets) if at in ends or offset % STEP_BYTES == 0]
    return Prefixes(
        array("Q", (chain.offsets[at] for at in kept)),
        array("Q", (int.from_bytes(chain.digests[at], "little") for at in kept)),
    )


@dataclass(frozen=True, slots=True)
class Use(Generic[_Caller]):
    """The latest call that had a prefix. `warm_s`: from when on it could be read, while it was kept."""

    caller: _Caller
    used_s: float
    warm_s: float


@dataclass(frozen=True, slots=True)
class Match(Generic[_Caller]):
    """So many bytes are the same as those of an earlier call."""

    offset: int
    other: _Caller


class Earlier(Generic[_Caller]):
    """The prefixes of earlier calls, by what shares a cache."""

    def __init__(self) -> None:
        self._uses: dict[bytes, dict[int, Use[_Caller]]] = {}

    def longest(
        self, sharing: bytes, prefixes: Prefixes, now_s: float, ttl_s: float, *, readable: bool = True
    ) -> Match[_Caller] | None:
        """Used within `ttl_s`. `readable`: its writer had come far enough."""
        uses = self._uses.get(sharing)
        if not uses:
            return None

        def is_unknown(place: int) -> bool:
            use = uses.get(prefixes.hashes[place])
            return use is None or now_s - use.used_s > ttl_s or (readable and use.warm_s > now_s)

        known = bisect_left(range(len(prefixes.hashes)), True, key=is_unknown)  # so many from the first on
        if not known:
            return None
        return Match(prefixes.offsets[known - 1], uses[prefixes.hashes[known - 1]].caller)

    def add(
        self,
        sharing: bytes,
        prefixes: Prefixes,
        caller: _Caller,
        *,
        start_s: float,
        used_s: float,
        available_s: float,
        ttl_s: float,
    ) -> None:
        """A call had them."""
        uses = self._uses.setdefault(sharing, {})
        fresh = Use(caller, used_s, available_s)
        for found in prefixes.hashes:
            before = uses.get(found)
            if before is not None and start_s - before.used_s <= ttl_s and before.warm_s < available_s:
                uses[found] = Use(caller, used_s, before.warm_s)
            else:
                uses[found] = fresh
