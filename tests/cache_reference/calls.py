"""A call as a provider sees it, and a cache's entry. Times are seconds on one clock."""

from dataclasses import dataclass
from typing import Any, Protocol

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A request body, whose it is, when it was, and the assistant's message that answers it."""

    body: Json
    answer: Json
    start_s: float
    first_byte_s: float
    end_s: float
    key: str = "a"
    fails: bool = False


class Provider(Protocol):
    """What a provider's cache does with calls, given in the order in which they start."""

    def usage(self, call: Call) -> Json:
        """What the answer reports, and what the cache keeps of the call."""


@dataclass(slots=True)
class Entry:
    """A prefix in a cache: readable from one time on, until another."""

    available_s: float
    expires_s: float

    def readable(self, now_s: float) -> bool:
        return self.available_s <= now_s < self.expires_s


def keep(entries: dict[int, Entry], prefix: int, now_s: float, written: Entry) -> None:
    """Writes an entry, or makes the one that is there live longer."""
    old = entries.get(prefix)
    if old is None or old.expires_s <= now_s:
        entries[prefix] = written
    else:
        old.available_s = min(old.available_s, written.available_s)
        old.expires_s = max(old.expires_s, written.expires_s)
