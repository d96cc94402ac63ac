"""What providers have in their caches, as far as calls tell: an entry for each prefix, found by its hash.

Bounded: two generations of half the entries each. What is used moves into the new one; when that is full,
the old one is forgotten, and with it what was not used for longest. Nothing is sorted, nothing else expires:
an entry that is too old still tells why a prompt misses.
"""

from dataclasses import dataclass

import msgspec

MAX_ENTRIES = 250_000
NEVER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Use:
    """What a call does to prefixes that it writes or reads, or only has: then they are NEVER available."""

    begun_ns: int  # these are Unix times
    available_ns: int
    expires_ns: int
    ttl_ns: int
    longest_ns: int
    writer: str


class Entry(msgspec.Struct, array_like=True, gc=False):
    """A prefix that calls had, and since when and until when it is in the provider's cache."""

    tokens: float
    exact: bool  # the provider's count, not ours
    ends_prompt: bool  # some prompt was exactly this
    begun_ns: int  # of the first call that had it
    available_ns: int  # NEVER: it was seen, and not written
    expires_ns: int
    ttl_ns: int
    writer: str  # request_id

    def age_s(self, now_ns: int) -> float:
        """Since it was last used."""
        return (now_ns - self.expires_ns + self.ttl_ns) / 1e9

    def take(self, use: Use) -> None:
        """Calls become known in any order: times that meet become one, else the later one holds."""
        self.begun_ns = min(self.begun_ns, use.begun_ns)
        if use.available_ns == NEVER or use.expires_ns < self.available_ns < NEVER:
            return
        is_gone = (
            use.available_ns >= self.expires_ns or use.available_ns - self.available_ns >= use.longest_ns
        )
        if self.available_ns == NEVER or is_gone:
            self.available_ns, self.expires_ns, self.ttl_ns = use.available_ns, use.expires_ns, use.ttl_ns
            self.writer = use.writer
            return
        if use.available_ns < self.available_ns:
            self.available_ns, self.writer = use.available_ns, use.writer
        self.expires_ns = max(self.expires_ns, use.expires_ns)
        self.ttl_ns = max(self.ttl_ns, use.ttl_ns)


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

    def put(
        self, key: bytes, tokens: float, use: Use, *, exact: bool = False, ends_prompt: bool = False
    ) -> None:
        """A prefix of so many tokens was written, read or seen."""
        entry = self.new.get(key)
        if entry is None:
            entry = self.old.pop(key, None)
            if len(self.new) >= self._half:
                self.old, self.new = self.new, {}
            if entry is None:
                self.new[key] = Entry(
                    *(tokens, exact, ends_prompt, use.begun_ns),
                    *(use.available_ns, use.expires_ns, use.ttl_ns, use.writer),
                )
                return
            self.new[key] = entry
        if ends_prompt:
            entry.ends_prompt = True
        if exact or not entry.exact:
            entry.tokens, entry.exact = tokens, exact
        entry.take(use)
