"""Rows in, their cache columns filled: what was read from the provider's cache, as of each call's start.

Rows come in order of completion. So what a call writes carries the time from which on others can read it, and
a call that becomes known late lets those of its scope be looked up again that began after that: corrections.
It belongs to the writer's thread. Nothing here fails a record.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lessllm_shared.tolerant_json import loads
from msgspec.structs import replace

from lessllm_collector.cache.ages import Ages
from lessllm_collector.cache.calls import Call, read_call
from lessllm_collector.cache.index import MAX_ENTRIES, NEVER, Index, Use
from lessllm_collector.cache.lookup import Found, look_up, miss_reason
from lessllm_collector.cache.rules import Rules
from lessllm_collector.cache.scopes import Known, Scopes
from lessllm_collector.cache.tokens import Anchor, Ratios, ascending, interpolate
from lessllm_collector.interpret import where

COLUMNS = (
    *("estimated_cached_tokens", "estimated_cache_hit_rate"),
    *("recalibrated_cached_tokens", "recalibrated_cache_hit_rate"),
    *("cache_outcome", "cache_miss_reason", "cache_scope"),
)
_TOLERANCE = 0.05  # of the prompt
_HALF = 0.5
_REST_ERROR = 3.0  # how much less is known of tokens that follow a prefix than of the prefix's


@dataclass(frozen=True, slots=True)
class Correction:
    """Columns of an earlier row that a later record changes."""

    request_id: str
    timestamp_us: int
    columns: Mapping[str, Any]


class Predictor:
    """What the providers' caches hold, by the calls so far."""

    def __init__(
        self,
        rules: Rules | None = None,
        workspaces: Mapping[str, str] | None = None,
        max_entries: int = MAX_ENTRIES,
    ) -> None:
        """`workspaces`: names by key's fingerprint; keys of one name share their caches."""
        self.index = Index(max_entries)
        self.ratios = Ratios()
        self.ages = Ages()
        self.scopes = Scopes()
        self._rules = rules or Rules()
        self._workspaces = workspaces or {}

    def score(
        self, rows: Iterable[dict[str, Any]], parse: Callable[[bytes], Any] = loads
    ) -> list[Correction]:
        """Fills the cache columns of `rows`, which come as `interpret` made them, in order of arrival."""
        corrections: dict[str, Correction] = {}
        scored = []
        for row in rows:
            scored.append(row)
            row.update(dict.fromkeys(COLUMNS))
            try:
                corrections.update((late.request_id, late) for late in self._score(row, parse))
            except Exception as error:  # noqa: BLE001 - a record without prediction is better than none
                row.update(dict.fromkeys(COLUMNS))
                row["interpreter_error"] = row["interpreter_error"] or f"cache prediction: {where(error)}"
        for row in scored:
            late = corrections.pop(row["request_id"], None)
            if late is not None:
                row.update(late.columns)
        return list(corrections.values())

    def _score(self, row: dict[str, Any], parse: Callable[[bytes], Any]) -> list[Correction]:
        call = read_call(row, self._rules, self._workspaces, parse)
        if call is None:
            return []
        found = look_up(call, self.index, self.ages)
        call.ratio = self.ratios.get(*call.model, rest=found.read is not None)
        row.update(self._columns(call, found))
        self._learn(call, found)
        if call.succeeded:
            self._write(call, found)
        known = self.scopes.get(call.scope)
        corrections = self._look_up_again(known, call) if call.succeeded else []
        known.begun_ns = min(known.begun_ns, call.start_ns)
        known.message_settings = call.message_settings
        self.scopes.keep(call)
        return corrections

    def _look_up_again(self, known: Known, late: Call) -> list[Correction]:
        """Calls that became known before this one, and could read what it wrote."""
        corrections = []
        for call in known.recent:
            if call.start_ns >= late.available_ns:
                found, before = look_up(call, self.index, self.ages), call.read_point
                if found.read is not None and found.read[0] > before:
                    columns = self._columns(call, found)
                    corrections.append(Correction(call.request_id, call.timestamp_us, columns))
        return corrections

    def _columns(self, call: Call, found: Found) -> dict[str, Any]:
        rule = call.rule
        call.read_point = -1 if found.read is None else found.read[0]
        tokens, expected_tokens = _expectation(call, found)
        expected = rule.cacheable(tokens, expected_tokens)
        prompt_tokens = call.prompt_tokens
        if prompt_tokens is None:
            recalibrated = None
        else:
            recalibrated = rule.cacheable(_recalibrated(call, found, expected_tokens), prompt_tokens)
        best = expected if recalibrated is None else recalibrated
        outcome = _outcome(call, best, expected_tokens if prompt_tokens is None else prompt_tokens)
        reason = miss_reason(call, found, prompt_tokens or expected_tokens, self.index, self.scopes)
        if outcome == "unexpected_miss":
            reason = "evicted: it was expected to be there"
        elif outcome == "unexpected_hit":
            reason = None
        elif reason is None and not best:
            reason = f"below_minimum: about {tokens:.0f} tokens, {rule.minimum_tokens} are cached"
        return {
            "estimated_cached_tokens": expected,
            "estimated_cache_hit_rate": _rate(expected, expected_tokens),
            "recalibrated_cached_tokens": recalibrated,
            "recalibrated_cache_hit_rate": _rate(recalibrated, prompt_tokens),
            "cache_outcome": outcome,
            "cache_miss_reason": reason,
            "cache_scope": call.scope.key.hex(),
        }

    def _learn(self, call: Call, found: Found) -> None:
        rule, place = call.rule, found.blocked or found.read
        if call.prompt_tokens:
            self.ratios.learn(*call.model, call.total_bytes, call.prompt_tokens)
            if found.read is not None and found.read[1].exact:
                point, entry = found.read
                rest_bytes = call.total_bytes - call.offsets[point]
                self.ratios.learn(*call.model, rest_bytes, call.prompt_tokens - entry.tokens, rest=True)
        if not rule.learns or place is None or call.cached_tokens is None:
            return
        entry = place[1]
        expected = rule.cacheable(entry.tokens, call.prompt_tokens or entry.tokens)
        age_s = entry.use.age_s(call.start_ns)
        if expected and 0 <= age_s < (rule.longest_s or math.inf):
            hit = call.cached_tokens >= _HALF * expected
            self.ages.learn(rule.name, age_s, entry.use.ttl_ns / 1e9, hit=hit)

    def _write(self, call: Call, found: Found) -> None:
        """What the provider keeps of it, as its rule says."""
        counted = _counted(call, found)
        anchors = ascending([*self._known_anchors(call), *((call.offsets[at], n) for at, n in counted)])
        tokens = interpolate(anchors, call.offsets)
        entries = self.index.put(call.keys, tokens, _uses(call, found, tokens))
        entries[call.prompt_points - 1].ends_prompt = True
        if call.prompt_tokens is not None:
            for point, _ in counted:
                entries[point].tokens, entries[point].exact = tokens[point], True

    def _known_anchors(self, call: Call) -> list[Anchor]:
        """Prefixes of which the provider told the tokens before."""
        ends = (point for point, _ in call.segments if point <= call.read_point)
        entries = ((call.offsets[point], self.index.get(call.keys[point])) for point in ends)
        return [(offset, entry.tokens) for offset, entry in entries if entry is not None and entry.exact]


def _expectation(call: Call, found: Found) -> tuple[float, float]:
    """Tokens of the prefix that is read, and of the prompt, before the answer tells."""
    if found.read is None:
        return 0.0, call.ratio * call.total_bytes
    point, entry = found.read
    return entry.tokens, entry.tokens + call.ratio * (call.total_bytes - call.offsets[point])


def _recalibrated(call: Call, found: Found, expected_tokens: float) -> float:
    """Tokens of the prefix that is read, now that the prompt's are known.

    If they were estimated, as what follows them, a wrong sum is the fault of both: more of the larger part,
    as errors of parts add up by their squares, and of what follows, of which no total was ever known.
    """
    if found.read is None or call.prompt_tokens is None:
        return 0.0
    point, entry = found.read
    if point == call.prompt_points - 1:
        return call.prompt_tokens
    if entry.exact:
        return entry.tokens
    rest = _REST_ERROR * (expected_tokens - entry.tokens)
    fault = entry.tokens**2 / (entry.tokens**2 + rest**2)
    return entry.tokens + fault * (call.prompt_tokens - expected_tokens)


def _outcome(call: Call, expected: int, prompt_tokens: float) -> str:
    actual = call.cached_tokens
    if actual is None:
        return "unreported"
    if abs(expected - actual) <= max(call.rule.granularity_tokens, _TOLERANCE * prompt_tokens):
        return "as_predicted"
    return "unexpected_miss" if actual < expected else "unexpected_hit"


def _rate(cached: int | None, prompt_tokens: float | None) -> float | None:
    return None if cached is None or not prompt_tokens else min(1.0, cached / prompt_tokens)


def _counted(call: Call, found: Found) -> list[tuple[int, float]]:
    """Points of which the answer tells how many tokens there are until there, the surest last."""
    counted: list[tuple[int, float]] = []
    rule, reported, last = call.rule, call.cached_tokens, call.prompt_points - 1
    if found.read is not None and reported:
        point, entry = found.read
        # Ours is only an estimate: what is reported is surer. A count of the provider's stays near.
        likely = _TOLERANCE if entry.exact else _HALF
        if abs(entry.tokens - reported) <= max(rule.granularity_tokens, likely * entry.tokens):
            counted.append((point, min(max(entry.tokens, reported), reported + rule.granularity_tokens - 1)))
    total: float | None = call.prompt_tokens
    if total is None:
        total = _expectation(call, found)[1]
    at_end = total
    if call.written and reported is not None and call.write_tokens:
        if call.written[-1][0] == last:
            at_end = reported + call.write_tokens  # there are tokens after the prompt's last block
        else:
            counted.append((call.written[-1][0], reported + call.write_tokens))
    counted.append((last, at_end))
    if len(call.offsets) > call.prompt_points:
        counted.append((len(call.offsets) - 1, total + call.completion_tokens))
    return counted


def _uses(call: Call, found: Found, tokens: Sequence[float]) -> Sequence[Use]:
    """For each point, what the call does to the prefix there."""
    rule, points = call.rule, len(call.offsets)
    if rule.kind == "grid":
        ttl, read_points = call.written[0][1], call.read_point + 1
        reads, writes = _use(call, ttl, reads=True), _use(call, ttl, reads=False)
        written, answered = call.prompt_points - read_points, points - call.prompt_points
        return [reads] * read_points + [writes] * written + [_answer_use(call)] * answered
    seen = Use(call.start_ns, NEVER, NEVER, 0, NEVER, call.request_id)
    uses = [seen] * points
    if not (call.cached_tokens == 0 and call.write_tokens == 0):  # else it says that it wrote nothing
        for point, ttl in call.written:
            if tokens[point] >= rule.minimum_tokens:
                uses[point] = _use(call, ttl, reads=point <= call.read_point)
    if "answer" in rule.writes and points > call.prompt_points:
        uses[-1] = _answer_use(call)
    if "common" in rule.writes and found.seen is not None and found.seen[0] > call.read_point:
        uses[found.seen[0]] = _use(call, None, reads=False)
    if found.read is not None:
        point, entry = found.read
        uses[point] = _use(call, None, reads=True, least_ns=entry.use.ttl_ns)
    return uses


def _answer_use(call: Call) -> Use:
    return replace(_use(call, None, reads=False), available_ns=max(call.end_ns, call.start_ns + 1))


def _use(call: Call, ttl: str | None, *, reads: bool, least_ns: int = 0) -> Use:
    """What is read was there at the start."""
    rule = call.rule
    ttl_s = rule.ttls_s.get(ttl or "", rule.ttl_s)
    ttl_ns = NEVER if ttl_s is None else max(least_ns, int(ttl_s * 1e9))
    begin_ns = call.start_ns if rule.from_start else call.end_ns
    return Use(
        begun_ns=call.start_ns,
        available_ns=call.start_ns if reads else call.available_ns,
        expires_ns=begin_ns + ttl_ns,
        ttl_ns=ttl_ns,
        longest_ns=rule.longest_ns(ttl_ns) or NEVER,
        writer=call.request_id,
    )
