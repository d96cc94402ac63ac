"""Prompt caches as the providers document them: what a request reads, and what it leaves behind.

`look_up` decides, when a request starts, how many of its prompt's tokens are read and which entries it
writes; `commit` stores these when the provider would: Anthropic once the answer begins, OpenAI when it is
complete. Until then nobody reads them, so parallel requests with the same new prefix all miss.

A prompt is a list of blocks in the order in which the model sees them. A cache never knows the text: an
entry is the hash of all blocks up to its end, of the key and of the model. Entries are bounded (LRU).
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from lessllm.simulator.models import CacheRules
from lessllm.simulator.tokens import BYTES_PER_TOKEN, count_bytes

MAX_ENTRIES = 200_000  # about 150 bytes each


@dataclass(frozen=True, kw_only=True)
class Block:
    """A part of the prompt."""

    content: bytes
    kind: str = "text"  # Anthropic counts a run of tool_use, or of tool_result, as one block
    marker_ttl_s: float | None = None  # the request asks for an entry that ends here, and lives so long
    eligible: bool = False  # OpenAI from gpt-5.6 may place its implicit breakpoint here


@dataclass(frozen=True, kw_only=True)
class CacheWishes:
    """What a request says about caching as a whole."""

    implicit: bool = True  # OpenAI from gpt-5.6: place a breakpoint that nobody asked for
    ttl_s: float | None = None  # overrides the rules' idle time


@dataclass(frozen=True, kw_only=True)
class CacheUse:
    """What the cache did for one request. `written` has the tokens by time to live, in seconds."""

    prompt_tokens: int
    read_tokens: int = 0
    written: dict[float, int] = field(default_factory=dict)
    entries: tuple[tuple[bytes, float], ...] = ()  # to be stored, each with its time to live
    started_s: float = 0.0

    @property
    def written_tokens(self) -> int:
        """All tokens written."""
        return sum(self.written.values())


@dataclass
class _Entry:
    created_s: float
    expires_s: float
    ttl_s: float


@dataclass(frozen=True)
class _Point:
    """A place in the prompt where an entry may end."""

    key: bytes
    offset_tokens: int


class PromptCache:
    """All caches of the simulated providers. `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float], max_entries: int = MAX_ENTRIES) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    def look_up(
        self, rules: CacheRules | None, scope: str, blocks: Sequence[Block], wishes: CacheWishes
    ) -> CacheUse:
        """What this prompt reads now, and would write. `scope` separates caches: key, model, settings."""
        size_bytes = sum(len(block.content) for block in blocks)
        if rules is None:
            return CacheUse(prompt_tokens=count_bytes(size_bytes), started_s=self._clock())
        find = {"prefix": self._prefix, "breakpoints": self._breakpoints, "markers": self._markers}[
            rules.kind
        ]
        return find(rules, hashlib.sha256(scope.encode()).digest(), blocks, wishes)

    def commit(self, use: CacheUse, rules: CacheRules | None) -> None:
        """Store what the request wrote. Times to live run from its start."""
        if rules is None:
            return
        for key, ttl_s in use.entries:
            known = self._alive(key)
            created_s = known.created_s if known else use.started_s
            expires_s = min(use.started_s + ttl_s, created_s + rules.max_ttl_s)
            self._entries[key] = _Entry(created_s, expires_s, ttl_s)
            self._entries.move_to_end(key)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def _prefix(
        self, rules: CacheRules, scope: bytes, blocks: Sequence[Block], wishes: CacheWishes
    ) -> CacheUse:
        """The longest known prefix, in whole steps; every step is stored, free of charge."""
        content = b"".join(block.content for block in blocks)
        points = _steps(content, scope, rules.step_tokens)
        eligible = [point for point in points if point.offset_tokens >= rules.minimum_tokens]
        hit = next((point for point in reversed(eligible) if self._alive(point.key)), None)
        ttl_s = wishes.ttl_s or rules.idle_ttl_s
        return CacheUse(
            prompt_tokens=count_bytes(len(content)),
            read_tokens=hit.offset_tokens if hit else 0,
            entries=tuple((point.key, ttl_s) for point in eligible),
            started_s=self._clock(),
        )

    def _breakpoints(
        self, rules: CacheRules, scope: bytes, blocks: Sequence[Block], wishes: CacheWishes
    ) -> CacheUse:
        """Hits only where some request wrote: at explicit breakpoints, and at the latest eligible message."""
        points = _block_ends(blocks, scope)
        eligible = [i for i, block in enumerate(blocks) if block.eligible]
        explicit = [i for i, block in enumerate(blocks) if block.marker_ttl_s is not None]
        candidates = sorted({*eligible, *explicit})[-rules.max_lookups :]
        hit = self._longest_hit(rules, (points[i] for i in candidates))
        wishes_ttl_s = wishes.ttl_s or rules.idle_ttl_s
        wanted = {i: blocks[i].marker_ttl_s or wishes_ttl_s for i in explicit[-rules.max_writes :]}
        if wishes.implicit and eligible:
            wanted = {i: wanted[i] for i in explicit[-(rules.max_writes - 1) :]}
            wanted.setdefault(eligible[-1], wishes_ttl_s)
        return self._use(rules, points, hit, wanted)

    def _markers(
        self, rules: CacheRules, scope: bytes, blocks: Sequence[Block], wishes: CacheWishes
    ) -> CacheUse:
        """From each marker some blocks back, for entries that markers of earlier requests wrote."""
        del wishes
        points = _block_ends(blocks, scope)
        wanted = {i: block.marker_ttl_s for i, block in enumerate(blocks) if block.marker_ttl_s is not None}
        reachable = {j for i in wanted for j in _looking_back(blocks, i, rules.look_back_blocks)}
        hit = self._longest_hit(rules, (points[i] for i in sorted(reachable)))
        return self._use(rules, points, hit, wanted)

    def _use(
        self, rules: CacheRules, points: list[_Point], hit: _Point | None, wanted: dict[int, float]
    ) -> CacheUse:
        """Tokens beyond the hit are written, each stretch with the time to live of the marker at its end."""
        entries = [(hit.key, self._entries[hit.key].ttl_s)] if hit else []  # reading refreshes
        written: dict[float, int] = {}
        reached = read_tokens = hit.offset_tokens if hit else 0
        for i, ttl_s in sorted(wanted.items()):
            point = points[i]
            if point.offset_tokens < rules.minimum_tokens:
                continue
            if point != hit:
                entries.append((point.key, ttl_s))
            if point.offset_tokens > reached:
                written[ttl_s] = written.get(ttl_s, 0) + point.offset_tokens - reached
                reached = point.offset_tokens
        return CacheUse(
            prompt_tokens=points[-1].offset_tokens if points else 0,
            read_tokens=read_tokens,
            written=written,
            entries=tuple(entries),
            started_s=self._clock(),
        )

    def _longest_hit(self, rules: CacheRules, points: Iterable[_Point]) -> _Point | None:
        alive = (p for p in points if p.offset_tokens >= rules.minimum_tokens and self._alive(p.key))
        return max(alive, key=lambda point: point.offset_tokens, default=None)

    def _alive(self, key: bytes) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is not None and entry.expires_s <= self._clock():
            del self._entries[key]
            return None
        return entry


def _steps(content: bytes, scope: bytes, step_tokens: int) -> list[_Point]:
    step_bytes = step_tokens * BYTES_PER_TOKEN
    running = hashlib.sha256(scope)
    points = []
    for end in range(step_bytes, len(content) + 1, step_bytes):
        running.update(content[end - step_bytes : end])
        points.append(_Point(running.copy().digest()[:16], end // BYTES_PER_TOKEN))
    return points


def _block_ends(blocks: Sequence[Block], scope: bytes) -> list[_Point]:
    running = hashlib.sha256(scope)
    size_bytes = 0
    points = []
    for block in blocks:
        running.update(b"%d:" % len(block.content) + block.content)
        size_bytes += len(block.content)
        points.append(_Point(running.copy().digest()[:16], count_bytes(size_bytes)))
    return points


def _looking_back(blocks: Sequence[Block], start: int, limit: int) -> list[int]:
    """The blocks from `start` backwards that a marker there checks; it counts itself."""
    reached = []
    seen = 0
    for i in range(start, -1, -1):
        same_run = (
            i < start
            and blocks[i].kind in {"tool_use", "tool_result"}
            and blocks[i].kind == blocks[i + 1].kind
        )
        seen += not same_run
        if seen > limit:
            break
        reached.append(i)
    return reached
