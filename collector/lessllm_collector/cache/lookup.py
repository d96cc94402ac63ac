"""What of a call's prompt its provider had in its cache when the call began, and why not more.

Answers are as of the call's start: an entry that became available later is not there yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lessllm_collector.cache.ages import Ages
from lessllm_collector.cache.calls import Call
from lessllm_collector.cache.index import NEVER, Entry, Index, Use
from lessllm_collector.cache.scopes import Scopes

Place = tuple[int, Entry]  # a point of the call's, and what is known of the prefix until there


@dataclass(frozen=True, slots=True)
class Found:
    """`read`: what is read from cache. `blocked`: a longer prefix that is known, but not there at the time.

    `seen`: the longest prefix that any call had, cached or not.
    """

    read: Place | None
    blocked: Place | None
    seen: Place | None


def look_up(call: Call, index: Index, ages: Ages) -> Found:
    """As of the call's start."""
    read = blocked = seen = None
    for point in call.checked:
        entry = _known(call, point, index)
        if entry is None:
            continue
        seen = seen or (point, entry)
        if entry.use.available_ns == NEVER:
            continue
        if is_there(call, entry.use, ages):
            read = (point, entry)
            break
        blocked = blocked or (point, entry)
    if not call.rule.samples:  # not all places were checked
        ends = (point for point, _ in reversed(call.segments))
        seen = next(((point, entry) for point in ends if (entry := _known(call, point, index))), None)
    return Found(read, blocked, seen)


def _known(call: Call, point: int, index: Index) -> Entry | None:
    """Not of itself, when it is looked up again, nor of calls that began later and ended earlier."""
    entry = index.get(call.keys[point])
    if entry is None or entry.use.begun_ns > call.start_ns or entry.use.writer == call.request_id:
        return None
    return entry


def is_there(call: Call, use: Use, ages: Ages) -> bool:
    """Whether a request that starts when the call did can read what was used so."""
    rule, now_ns = call.rule, call.start_ns
    if now_ns < use.available_ns:
        return False
    longest_ns = rule.longest_ns(use.ttl_ns)
    if longest_ns is not None and now_ns >= use.available_ns + longest_ns:
        return False
    if not rule.learns:
        return now_ns < use.expires_ns
    return ages.is_likely(rule.name, use.age_s(now_ns), use.ttl_ns / 1e9)


def miss_reason(call: Call, found: Found, prompt_tokens: float, index: Index, scopes: Scopes) -> str | None:
    """Why not more is read. None: the prompt goes on where an earlier one that is cached ended."""
    rule, seen = call.rule, found.seen
    if prompt_tokens < rule.minimum_tokens:
        return f"below_minimum: about {prompt_tokens:.0f} tokens, {rule.minimum_tokens} are cached"
    if not call.checked:
        return "no_breakpoint: nothing is marked"
    if found.blocked is not None:
        return _blocked(call, found.blocked[1].use)
    if seen is None:
        return _unknown(call, index, scopes)
    if seen[1].ends_prompt:
        return None if found.read is not None else "not_written"
    return _diverged(call, found, seen, scopes)


def _diverged(call: Call, found: Found, seen: Place, scopes: Scopes) -> str | None:
    """An earlier prompt was the same up to there, and then another one."""
    changed = _differing(scopes.get(call.scope).message_settings, call.message_settings)
    if changed and found.read is not None and found.read[0] == seen[0]:
        return f"settings_changed: {', '.join(changed)}"
    following = next((path for end, path in call.segments if end > seen[0]), None)
    return None if following is None else f"diverged: {following}"


def _unknown(call: Call, index: Index, scopes: Scopes) -> str:
    """No prompt in this scope began as this one."""
    for scope in scopes.relatives(call.scope):
        if any(index.get(call.key(point, scope)) for point, _ in reversed(call.segments)):
            return f"settings_changed: {', '.join(_differing(scope.settings, call.scope.settings))}"
    is_first = scopes.get(call.scope).begun_ns >= call.start_ns
    return "first_in_scope" if is_first else f"diverged: {call.segments[0][1]}"


def _blocked(call: Call, use: Use) -> str:
    if call.start_ns < use.available_ns:
        return f"still_being_written: by {use.writer}"
    return f"expired: {use.age_s(call.start_ns):.0f} s after its last use"


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
