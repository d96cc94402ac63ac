"""Traces in, each compared with the calls before it: how far it was the same as one of them, in which form.

A call is compared with those that shared its cache, and with those that would have if a setting, a key, the
order of tools or a date had been the same. All within the time for which its provider keeps prompts.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lessllm_collector.suggestions.prefixes import Earlier, Match, Prefixes
from lessllm_collector.suggestions.traces import Part, Trace

LONG_S = 3600.0  # the longest time to live that can be asked for, where there is a choice
_LEAST_PARTS = 2

Shared = Match[Trace] | None


@dataclass(slots=True)
class Comparison:
    """A call and what it shared with earlier ones. Matches are readable ones, but for `begun`."""

    trace: Trace
    own: Shared  # in its scope: what its provider can have read
    begun: Shared  # the same, were it read as soon as its writer had begun
    bones: Shared  # but for dates, ids and numbers
    ordered: Shared  # but for the order of tools and keys
    settings: Shared  # but for settings
    keys: Shared  # but for the key
    short: Shared  # own, were all kept for the shortest time that can be asked for
    long: Shared  # own, were all kept for the longest
    kin: Trace | None  # the call with most of the messages beyond `own`
    is_over: bool  # what it wrote has expired by now
    later: int = 0  # place until where a later call shares it

    @property
    def own_offset(self) -> int:
        """Place until where it could be read."""
        return 0 if self.own is None else self.own.offset

    @property
    def own_end(self) -> int:
        """The last end of a part before that."""
        return self.trace.end_before(self.own_offset)

    def lost_until(self, place: int) -> float:
        """Tokens until there that were not read from cache; 0 if the provider does not cache so few."""
        tokens = self.trace.tokens(place) if place else 0.0
        is_enough = tokens >= self.trace.rule.minimum_tokens
        return max(0.0, tokens - (self.trace.cached_tokens or 0)) if is_enough else 0.0

    def lost(self, shared: Match[Trace], begin: int) -> float:
        """Tokens from `begin` on that are the same as those of another call, and were not read from cache."""
        trace = self.trace
        tokens = trace.tokens(shared.offset)
        if tokens < trace.rule.minimum_tokens:
            return 0.0
        return max(0.0, tokens - max(trace.tokens(begin), trace.cached_tokens or 0))


def compare(traces: Iterable[Trace], until_s: float) -> list[Comparison]:
    """In the order in which the calls began."""
    forms = _Forms()
    found: dict[str, Comparison] = {}
    for trace in sorted(traces, key=lambda one: one.start_s):
        comparison = forms.compare(trace, until_s)
        if comparison.own is not None:
            earlier = found[comparison.own.other.request_id]
            earlier.later = max(earlier.later, comparison.own.offset)
        found[trace.request_id] = comparison
        forms.add(trace)
    return [*found.values()]


class _Forms:
    """The prefixes of earlier calls in each form, by what they share."""

    def __init__(self) -> None:
        self._own: Earlier[Trace] = Earlier()
        self._bones: Earlier[Trace] = Earlier()
        self._ordered: Earlier[Trace] = Earlier()
        self._settings: Earlier[Trace] = Earlier()
        self._keys: Earlier[Trace] = Earlier()
        self._messages: dict[tuple[bytes, int], Trace] = {}

    def compare(self, trace: Trace, until_s: float) -> Comparison:
        own = _longest(self._own, trace, trace.scope, trace.own)
        has_choice = len(trace.rule.ttls_s) > 1
        return Comparison(
            trace,
            own=own,
            begun=_longest(self._own, trace, trace.scope, trace.own, readable=False),
            bones=_longest(self._bones, trace, trace.scope, trace.bones),
            ordered=_longest(self._ordered, trace, trace.scope, trace.ordered),
            settings=_longest(self._settings, trace, trace.sharing, trace.exact),
            keys=_longest(self._keys, trace, trace.keyless, trace.own),
            short=_longest(self._own, trace, trace.scope, trace.own, ttl_s=trace.rule.ttl_s)
            if has_choice
            else own,
            long=_longest(self._own, trace, trace.scope, trace.own, ttl_s=LONG_S) if has_choice else own,
            kin=self._kin(trace, 0 if own is None else own.offset),
            is_over=trace.start_s + trace.ttl_s <= until_s,
        )

    def add(self, trace: Trace) -> None:
        for earlier, sharing, prefixes in (
            (self._own, trace.scope, trace.own),
            (self._bones, trace.scope, trace.bones),
            (self._ordered, trace.scope, trace.ordered),
            (self._settings, trace.sharing, trace.exact),
            (self._keys, trace.keyless, trace.own),
        ):
            earlier.add(
                sharing,
                prefixes,
                trace,
                start_s=trace.start_s,
                used_s=trace.used_s,
                available_s=trace.available_s,
                ttl_s=trace.ttl_s,
            )
        for part in messages(trace, 0):
            self._messages[trace.scope, part.text] = trace

    def _kin(self, trace: Trace, begin: int) -> Trace | None:
        beyond = messages(trace, begin)
        if len(beyond) < _LEAST_PARTS:
            return None
        sizes: Counter[str] = Counter()
        traces: dict[str, Trace] = {}
        for part in beyond:
            other = self._messages.get((trace.scope, part.text))
            if other is not None and trace.start_s - other.used_s <= trace.ttl_s:
                sizes[other.request_id] += part.size
                traces[other.request_id] = other
        return traces[sizes.most_common(1)[0][0]] if sizes else None


def messages(trace: Trace, begin: int) -> Sequence[Part]:
    """Parts of messages that begin at this place or beyond."""
    first = max(begin, trace.begin)
    return [part for part in trace.parts if part.end > first]


def _longest(
    earlier: Earlier[Trace],
    trace: Trace,
    sharing: bytes,
    prefixes: Prefixes,
    *,
    ttl_s: float | None = None,
    readable: bool = True,
) -> Shared:
    kept_s = trace.ttl_s if ttl_s is None else ttl_s
    return earlier.longest(sharing, prefixes, trace.start_s, kept_s, readable=readable)
