"""Detectors of places that are not marked, or marked where it is of no use (SEMANTICS section 5)."""

from lessllm_collector.suggestions.comparing import Comparison
from lessllm_collector.suggestions.limits import HARDLY_CACHED, NEARLY_MINIMUM
from lessllm_collector.suggestions.losses import Loss
from lessllm_collector.suggestions.traces import Trace


def blocks(found: Comparison) -> Loss | None:
    """More blocks since the last mark than the provider looks back over: T · p · (w - r)."""
    trace, own = found.trace, found.own
    if trace.rule.look_back_blocks is None or own is None or not trace.written:
        return None
    places = [place for place in own.other.written if place <= own.offset]
    if not places or max(places) in trace.checked:
        return None
    tokens = found.lost_until(max(places))
    path = trace.parts[trace.part_until(max(places))].path
    worth = tokens * (trace.price.write - trace.price.read)
    return Loss(trace, tokens, worth, own.other, path=path)


def shared_prefix(found: Comparison) -> Loss | None:
    """A shared prefix that no call wrote, while each writes all of its prompt: T · p · (w - r)."""
    trace, own = found.trace, found.own
    end = found.own_end
    if "turn" not in trace.rule.writes or own is None or not end or not trace.write_tokens:
        return None
    tokens = trace.tokens(end)
    if trace.cached_tokens is None or trace.cached_tokens > HARDLY_CACHED * tokens:
        return None
    if end in trace.written or end in own.other.written:
        return None
    tokens = found.lost_until(end)
    path = trace.parts[trace.part_until(end)].path
    worth = tokens * (trace.price.write - trace.price.read)
    return Loss(trace, tokens, worth, own.other, cause=path, path=path)


def unmarked(found: Comparison) -> Loss | None:
    """A prefix that is used again, and no mark: T · p · [(n - 1)(1 - r) - (w - 1)], a term for each call."""
    trace = found.trace
    if "marks" not in trace.rule.writes or "turn" in trace.rule.writes or trace.written:
        return None
    read = _cacheable(trace, found.own_end)
    written = max(0.0, _cacheable(trace, trace.end_before(found.later)) - read)
    if not read and not written:
        return None
    worth = read * (1 - trace.price.read) - written * (trace.price.write - 1)
    end = found.own_end or trace.end_before(found.later)
    path = trace.parts[trace.part_until(end)].path
    return Loss(trace, read, worth, None if found.own is None else found.own.other, path=path)


def minimum(found: Comparison) -> Loss | None:
    """A prefix that is used again, too short to be cached: N · L · p - M · p · (w + (N - 1) r)."""
    trace, least = found.trace, found.trace.rule.minimum_tokens
    end = max(found.own_end, trace.end_before(found.later))
    tokens = trace.tokens(end) if end else 0.0
    if not NEARLY_MINIMUM * least <= tokens < least or trace.cached_tokens:
        return None
    is_first = not found.own_end
    worth = tokens - least * (trace.price.write if is_first else trace.price.read)
    part = trace.parts[trace.part_until(end)]
    other = None if found.own is None else found.own.other
    return Loss(trace, tokens, worth, other, cause=part.text, path=part.path, what=f"{least:,}")


def _cacheable(trace: Trace, end: int) -> float:
    tokens = trace.tokens(end) if end else 0.0
    return tokens if tokens >= trace.rule.minimum_tokens else 0.0
