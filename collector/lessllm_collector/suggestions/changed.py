"""Detectors of prompts that change early, so that what follows is not found in the cache.

SEMANTICS section 5: each loses T · p · (1 - r), where T are the tokens behind the change that an earlier call
had too.
"""

from collections import Counter
from collections.abc import Hashable

from lessllm_collector.suggestions.comparing import Comparison, messages
from lessllm_collector.suggestions.losses import Loss
from lessllm_collector.suggestions.prefixes import Match
from lessllm_collector.suggestions.traces import Trace

_LITERAL_BYTES = 64  # that a date or an id may have: its beginning may be in what is shared
_SAID = frozenset(("assistant", "thinking", "tool_use"))  # by the model: no two conversations share it


def volatile(found: Comparison) -> Loss | None:
    """A date, time, id or number, with equal text behind it."""
    trace, bones = found.trace, found.bones
    if bones is None or bones.offset <= found.own_offset:
        return None
    for varies in trace.variations:
        if found.own_offset - _LITERAL_BYTES <= varies.offset < bones.offset:
            path = trace.parts[trace.part_at(varies.offset)].path
            return _lost(found, bones, varies.offset, cause=(path, varies.kind), path=path, what=varies.kind)
    return None


def tools(found: Comparison) -> Loss | None:
    """The same tools in another order, or with the keys of their schemas in another order."""
    trace, ordered = found.trace, found.ordered
    if ordered is None or ordered.offset <= found.own_offset:
        return None
    part = trace.parts[trace.part_at(found.own_offset)]
    if part.kind not in ("tools", "format"):
        return None
    what = "come in another order" if _texts(trace) == _texts(ordered.other) else "have their keys shuffled"
    return _lost(found, ordered, found.own_end, cause=what, path=part.path, what=what)


def _texts(trace: Trace) -> Counter[int]:
    return Counter(part.text for part in trace.parts if part.kind in ("tools", "format"))


def history(found: Comparison) -> Loss | None:
    """An earlier message is another one, or gone, though later ones are the same."""
    trace, other = found.trace, found.kin
    if other is None or other.settings != trace.settings:
        return None
    if found.begun is not None and found.begun.offset > found.own_offset:
        return None
    theirs = {part.text for part in messages(other, found.own_end)}
    same = [part for part in messages(trace, found.own_end) if part.text in theirs]
    changed = trace.parts[trace.part_at(found.own_end)]
    if changed.end <= trace.begin or not any(part.kind in _SAID for part in same):
        return None
    tokens = sum(trace.tokens(part.end) - trace.tokens(part.end - part.size) for part in same)
    if trace.tokens(found.own_end) + tokens < trace.rule.minimum_tokens:
        return None
    tokens -= max(0.0, (trace.cached_tokens or 0) - trace.tokens(found.own_end))
    return Loss(trace, tokens, tokens * (1 - trace.price.read), other, path=changed.path)


def settings(found: Comparison) -> Loss | None:
    """Effort, tier, tool choice and the like: another value is another cache."""
    trace, shared = found.trace, found.settings
    if shared is None or shared.offset <= found.own_offset:
        return None
    other = shared.other.settings
    names = sorted(name for name in {*trace.settings, *other} if trace.settings.get(name) != other.get(name))
    if not names:
        return None
    what = ", ".join(names)
    return _lost(found, _kept(found, shared), _own(found), cause=what, what=what)


def keys(found: Comparison) -> Loss | None:
    """The same prompt under another key or workspace: each has a cache of its own, and writes it again."""
    trace, shared = found.trace, found.keys
    if shared is None or shared.offset <= found.own_offset or shared.other.owner == trace.owner:
        return None
    tokens = found.lost(_kept(found, shared), _own(found))
    worth = tokens * (trace.price.write - trace.price.read)
    return Loss(trace, tokens, worth, shared.other)


def _own(found: Comparison) -> int:
    """Place until where it could be read in its own scope."""
    return 0 if found.own is None else _kept(found, found.own).offset


def _kept(found: Comparison, shared: Match[Trace]) -> Match[Trace]:
    """Only what one of them writes can be read."""
    if found.trace.rule.kind == "grid":
        return shared
    places = {*found.trace.written, *shared.other.written}
    return Match(max((place for place in places if place <= shared.offset), default=0), shared.other)


def _lost(
    found: Comparison, shared: Match[Trace], begin: int, *, cause: Hashable, path: str = "", what: str = ""
) -> Loss:
    tokens = found.lost(shared, begin)
    worth = tokens * (1 - found.trace.price.read)
    return Loss(found.trace, tokens, worth, shared.other, cause=cause, path=path, what=what)
