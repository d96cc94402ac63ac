"""What providers have in their caches, as far as calls tell: an entry for each prefix, found by its hash.

Bounded: two generations of half the entries each. What is used moves into the new one; when that is full,
the old one is forgotten, and with it what was not used for longest. Nothing is sorted, nothing else expires:
an entry that is too old still tells why a prompt misses.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

MAX_ENTRIES = 250_000
NEVER = 2**63 - 1


class Use(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a call does to prefixes that it writes or reads, or only has; or what several calls did."""

    begun_ns: int  # the first call; these are Unix times
    available_ns: int  # in the provider's cache. NEVER: prefixes were only seen, not written
    expires_ns: int
    ttl_ns: int
    longest_ns: int
    writer: str  # request_id

    def age_s(self, now_ns: int) -> float:
        """Since the last one."""
        return (now_ns - self.expires_ns + self.ttl_ns) / 1e9

    def joined(self, use: "Use") -> "Use":
        """Calls become known in any order: times that meet become one, else the later one holds."""
        begun_ns = min(self.begun_ns, use.begun_ns)
        if use.available_ns == NEVER or use.expires_ns < self.available_ns < NEVER:
            return replace(self, begun_ns=begun_ns)
        is_gone = (
            use.available_ns >= self.expires_ns or use.available_ns - self.available_ns >= use.longest_ns
        )
        if self.available_ns == NEVER or is_gone:
            return replace(use, begun_ns=begun_ns)
        first = use if use.available_ns < self.available_ns else self
        expires_ns, ttl_ns = max(self.expires_ns, use.expires_ns), max(self.ttl_ns, use.ttl_ns)
        return Use(begun_ns, first.available_ns, expires_ns, ttl_ns, use.longest_ns, first.writer)


_NONE = Use(NEVER, NEVER, NEVER, 0, NEVER, "")


class Entry(msgspec.Struct, array_like=True, gc=False):
    """A prefix that calls had."""

    tokens: float
    use: Use  # of all calls; one for all entries that the same calls used
    exact: bool = False  # the provider's count, not ours
    ends_prompt: bool = False  # some prompt was exactly this


class Index:
    """Entries by scope and hash."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._half = max_entries // 2
        self.new: dict[bytes, Entry] = {}
        self.old: dict[bytes, Entry] = {}

    def __len__(self) -> int:
        return len(self.new) + len(self.old)

    def get(self, key: bytes) -> Entry | None:
        """What is known of a prefix."""
        return self.new.get(key) or self.old.get(key)

    def put(self, keys: Sequence[bytes], tokens: Sequence[float], uses: Sequence[Use]) -> list[Entry]:
        """A call wrote, read or saw prefixes, of about so many tokens each. Returns their entries."""
        entries = []
        before = use_before = joined = _NONE
        for key, count, use in zip(keys, tokens, uses, strict=True):
            entry = self.new.get(key) or self._renewed(key)
            if entry is None:
                entry = self.new[key] = Entry(count, use)
            else:
                if not entry.exact:
                    entry.tokens = count
                if entry.use is not before or use is not use_before:  # else joined already: runs are long
                    before, use_before, joined = entry.use, use, entry.use.joined(use)
                entry.use = joined
            entries.append(entry)
        return entries

    def _renewed(self, key: bytes) -> Entry | None:
        """An old entry is a new one, if there is one. Afterwards there is room for another."""
        entry = self.old.pop(key, None)
        if len(self.new) >= self._half:
            self.old, self.new = self.new, {}
        if entry is not None:
            self.new[key] = entry
        return entry
