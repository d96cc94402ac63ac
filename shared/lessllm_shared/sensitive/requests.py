"""A request's body: what sensitive data it holds, and the same body without it.

JSON stays JSON, and every byte that is not part of a finding stays as it is.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from threading import Lock
from typing import Any

from lessllm_shared.sensitive.finding import Finding, find
from lessllm_shared.sensitive.json_strings import (
    STRING,
    Unescaped,
    is_encoded,
    is_json,
    is_object,
    places,
    unescaped,
)
from lessllm_shared.sensitive.kinds import UNCHECKED
from lessllm_shared.sensitive.looks import Looks
from lessllm_shared.tolerant_json import loads

_LONG_CHARS = 256  # worth to be remembered; base64 is told by that many
_MAX_REMEMBERED = 20_000  # about 3 MB
_ROUNDS = 4  # of redacting one string: what is left may look like something anew
_BETWEEN = b"\x00"  # no finding goes across it

Counts = Mapping[str, int]


class Seen:
    """What long texts hold, by hash: conversations send all of theirs again each time."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, int], Counts] = {}
        self._lock = Lock()  # a gateway looks through large requests in threads

    def counts(self, text: bytes) -> Counts | None:
        """Of a text that was looked at before."""
        return self._counts.get((hash(text), len(text)))

    def remember(self, text: bytes, counts: Counts) -> None:
        """It was looked at."""
        if len(text) < _LONG_CHARS:
            return
        with self._lock:
            if len(self._counts) >= _MAX_REMEMBERED:
                del self._counts[next(iter(self._counts))]
            self._counts[hash(text), len(text)] = counts


def count(body: bytes, seen: Seen, parse: Callable[[bytes], Any] = loads) -> dict[str, int] | None:
    """How many of each kind. None: it is no JSON, so it was not looked at."""
    if not is_object(body):
        return None
    try:
        return _counted(_values(parse(body)), seen)
    except (ValueError, RecursionError):  # cut, or nested too deeply
        return _counted(_strings(body), seen)


def _values(document: Any) -> Iterator[bytes]:
    """All strings of a document, keys too."""
    waiting = [document]
    short = []
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if len(value) < _LONG_CHARS:
                short.append(value)
            else:
                yield value.encode()
        elif isinstance(value, dict):
            waiting += value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    yield "\x00".join(short).encode()


def _strings(body: bytes) -> Iterator[bytes]:
    """The same of a document that can't be taken apart, or may say something twice."""
    return (unescaped(match[1]) for match in STRING.finditer(body))


def _counted(texts: Iterable[bytes], seen: Seen) -> dict[str, int]:
    total: Counter[str] = Counter()
    unseen = []
    for text in texts:
        counts = seen.counts(text)
        if counts is not None:
            total.update(counts)
        elif not is_encoded(text):
            unseen.append(text)
    found = find(_BETWEEN.join(unseen), Looks())
    total.update(finding.kind for finding in found)
    if total[UNCHECKED] == 0:
        starts = [0, *accumulate(len(text) + len(_BETWEEN) for text in unseen)]
        own: list[Counter[str]] = [Counter() for _ in unseen]
        for finding in found:
            own[bisect_right(starts, finding.start) - 1][finding.kind] += 1
        for text, counts in zip(unseen, own, strict=True):
            seen.remember(text, counts)
    return dict(+total)


@dataclass
class Redacted:
    """`body` without what was to be taken out. None: it can't be read, so it can't be told what to take."""

    body: bytes | None
    counts: dict[str, int] = field(default_factory=dict)  # of all kinds
    taken: Counter[tuple[str, str]] = field(default_factory=Counter)  # kind and path, of what was


def redact(body: bytes, kinds: Collection[str], seen: Seen) -> Redacted:
    """Findings of these kinds become [kind]."""
    if not body:
        return Redacted(body)
    if not is_object(body) or not is_json(body):
        return Redacted(None)
    counts = _counted(_strings(body), seen)
    redacted = Redacted(body, counts)
    if not counts.keys().isdisjoint(kinds):
        redacted.body = b"".join(_without(body, kinds, redacted.taken))
    return redacted


def _without(body: bytes, kinds: Collection[str], taken: Counter[tuple[str, str]]) -> Iterator[bytes]:
    last = 0
    looks = Looks()
    for path, start, end in places(body):
        raw = body[start:end]
        if is_encoded(raw) or not (found := _wanted(unescaped(raw), kinds, looks)):
            continue
        taken.update((finding.kind, path) for finding in found)
        yield body[last:start]
        for _ in range(_ROUNDS):
            raw = _replaced(raw, found)
            if not (found := _wanted(unescaped(raw), kinds, looks)):
                break
        else:
            raw = b"[%b]" % found[0].kind.encode()
        yield raw
        last = end
    yield body[last:]


def _wanted(text: bytes, kinds: Collection[str], looks: Looks) -> list[Finding]:
    return [finding for finding in find(text, looks) if finding.kind in kinds]


def _replaced(raw: bytes, found: Iterable[Finding]) -> bytes:
    said = Unescaped(raw)
    parts: list[bytes] = []
    last = 0
    for kind, start, end in found:
        raw_start, raw_end = said.raw(start, end)
        parts += (raw[last:raw_start], b"[%b]" % kind.encode())
        last = raw_end
    return b"".join((*parts, raw[last:]))
