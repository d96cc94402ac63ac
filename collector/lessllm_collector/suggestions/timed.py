"""Detectors of calls that come too early or too late for what others wrote (SEMANTICS section 5)."""

from lessllm_collector.suggestions.comparing import Comparison
from lessllm_collector.suggestions.losses import Loss
from lessllm_collector.suggestions.traces import Trace

_SHORT, _LONG = "5m", "1h"


def parallel(found: Comparison) -> Loss | None:
    """Equal prefixes before the first was there to be read: (n - 1) · T · p · (w - r)."""
    trace, begun = found.trace, found.begun
    if begun is None or trace.cached_tokens is None:
        return None
    place = begun.offset
    if trace.rule.kind != "grid":
        ours = {place for place in trace.written if place <= begun.offset}
        place = max(ours.intersection(begun.other.written), default=0)
    if place <= found.own_offset:
        return None
    tokens = found.lost_until(place)
    worth = tokens * (trace.price.write - trace.price.read)
    return Loss(trace, tokens, worth, begun.other)


def gaps(found: Comparison) -> Loss | None:
    """The same calls, cached for 5 minutes and for 1 hour: what they are cached for against the other."""
    trace = found.trace
    if not {_SHORT, _LONG} <= trace.rule.ttls_s.keys() or not trace.written:
        return None
    is_long = trace.ttl_s >= trace.rule.ttls_s[_LONG]
    marked = trace.tokens(max(trace.written))
    if marked < trace.rule.minimum_tokens:
        return None
    short = _replayed(trace, marked, 0 if found.short is None else found.short.offset, trace.price.write)
    long = _replayed(trace, marked, 0 if found.long is None else found.long.offset, trace.price.write_1h)
    worth = long - short if is_long else short - long
    matched = found.short if is_long else found.long
    other = None if matched is None else matched.other
    wanted = _SHORT if is_long else _LONG
    path = trace.parts[trace.part_until(max(trace.written))].path
    return Loss(trace, marked if worth > 0 else 0.0, worth, other, cause=wanted, path=path, what=wanted)


def _replayed(trace: Trace, marked: float, offset: int, write: float) -> float:
    read = min(marked, trace.tokens(offset)) if offset else 0.0
    if read < trace.rule.minimum_tokens:
        read = 0.0
    return read * trace.price.read + (marked - read) * write


def unread(found: Comparison) -> Loss | None:
    """Written, and not read by the time it was gone: (w - 1) · T · p."""
    trace = found.trace
    if not trace.write_tokens or not found.is_over:
        return None
    known = trace.cached_tokens or 0
    read = min(max(0.0, trace.tokens(found.later) - known), float(trace.write_tokens)) if found.later else 0.0
    tokens = trace.write_tokens - read
    long = min(trace.write_1h_tokens, trace.write_tokens) / trace.write_tokens
    premium = (1 - long) * (trace.price.write - 1) + long * (trace.price.write_1h - 1)
    path = trace.parts[trace.part_until(max(trace.written))].path if trace.written else ""
    # Where the messages end differs from call to call: that it is there does not.
    cause = path if trace.written and max(trace.written) <= trace.begin else ""
    return Loss(trace, tokens, tokens * premium, None, cause=cause, path=path, against=read)
