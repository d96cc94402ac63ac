"""A row in, a trace out: what suggestions need to know of a call, without any of its text.

Times, scope and rule are the predictor's; the prompt's prefixes are hashed in three forms, in which calls
that lost their cache are still equal: as it is, as a skeleton, and with tools and schemas in order.
"""

import hashlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from sys import intern
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from lessllm_collector.cache.calls import Call, read_call
from lessllm_collector.cache.prompt import read_prompt
from lessllm_collector.cache.rules import Rule, Rules
from lessllm_collector.cache.segments import Prompt, Segment
from lessllm_collector.cache.tokens import Anchor, ascending, interpolate
from lessllm_collector.suggestions.prefixes import Prefixes, prefixes_of
from lessllm_collector.suggestions.volatile import Texts, Variation, skeleton

COLUMNS = (
    *("request_id", "provider", "api_format", "upstream_format", "model", "upstream_model", "upstream_url"),
    *("end_reason", "status_code", "key_fingerprint", "clock_marks", "request_body", "upstream_request_body"),
    *("actual_prompt_tokens", "actual_completion_tokens", "actual_reasoning_tokens"),
    *("actual_cached_tokens", "actual_cache_write_tokens", "actual_cache_write_1h_tokens"),
    *("input_usd_per_mtok", "cache_read_usd_per_mtok"),
    *("cache_write_usd_per_mtok", "cache_write_1h_usd_per_mtok"),
)
_BEFORE_MESSAGES = frozenset(("tools", "format", "system"))
_ORDERED = frozenset(("tools", "format"))
_MAX_VARIATIONS = 4
_USUAL = (0.1, 1.25, 2.0)  # multipliers, to know what is worth telling where no price is known


@dataclass(frozen=True, slots=True)
class Price:
    """USD for a fresh prompt token; None: not known. What reads and writes cost in proportion."""

    token_usd: float | None
    read: float
    write: float
    write_1h: float

    def usd(self, tokens: float) -> float | None:
        """Of so many fresh tokens."""
        return None if self.token_usd is None else tokens * self.token_usd


@dataclass(frozen=True, slots=True)
class Part:
    """A segment without its text."""

    kind: str
    path: str
    end: int  # bytes of the prompt until there
    size: int  # bytes
    text: int  # hash of its data
    marked: bool
    ttl: str | None


@dataclass(frozen=True, slots=True)
class Trace:
    """A call. Places in its prompt are bytes of the canonical prompt from its beginning."""

    rowid: int
    request_id: str
    provider: str
    model: str
    api_format: str  # the client's
    rule: Rule
    start_s: float
    available_s: float  # when others can read what it writes
    used_s: float  # from when on it is kept
    ttl_s: float
    sharing: bytes  # key and model: cached apart, but for the settings
    scope: bytes  # and settings
    keyless: bytes  # as scope, without the key
    owner: bytes  # the key, or its workspace
    settings: Mapping[str, str]
    parts: Sequence[Part]
    ends: "array[int]"  # of the parts
    begin: int  # of the messages
    exact: Prefixes
    own: Prefixes  # with the settings that drop messages
    bones: Prefixes
    ordered: Prefixes
    variations: Sequence[Variation]
    written: Sequence[int]  # places where it writes, if it is no grid
    checked: frozenset[int]  # places where it can read, if not everywhere
    anchors: Sequence[Anchor]
    prompt_tokens: int
    cached_tokens: int | None
    write_tokens: int | None
    write_1h_tokens: int
    price: Price

    def tokens(self, offset: int) -> float:
        """Until this place."""
        return interpolate(self.anchors, [offset])[0]

    def end_before(self, offset: int) -> int:
        """The last end of a part that is not beyond this place; 0: none."""
        place = bisect_right(self.ends, offset)
        return self.ends[place - 1] if place else 0

    def part_at(self, offset: int) -> int:
        """The number of the part that goes on there; the last one beyond the end."""
        return min(bisect_right(self.ends, offset), len(self.parts) - 1)

    def part_until(self, offset: int) -> int:
        """The number of the part that ends there, or goes on."""
        return min(bisect_left(self.ends, offset), len(self.parts) - 1)


class Tracer:
    """Makes traces, of calls in the order in which they began."""

    def __init__(self, rules: Rules, workspaces: Mapping[str, str]) -> None:
        self._rules = rules
        self._workspaces = workspaces
        self._texts = Texts()

    def trace(self, row: Mapping[str, Any]) -> Trace | None:
        """None: not a call of which caching can be judged."""
        if row["actual_prompt_tokens"] is None:
            return None
        row = {**row, "timestamp": 0, "decoded_response": None, "response_body": None}
        call = read_call(row, self._rules, self._workspaces)
        prompt = prompt_of(row)
        if call is None or prompt is None or not call.prompt_tokens:
            return None
        segments = prompt.segments
        ends = array("Q", accumulate(len(segment.data) for segment in segments))
        begin = _messages_begin(segments, ends)
        exact, bones = prefixes_of(segments), [skeleton(segment.data) for segment in segments]
        salt = _number(sorted(call.message_settings.items())) if call.message_settings else 0
        settings = {**call.scope.settings, **call.message_settings}
        origin = urlsplit(row["upstream_url"] or "").netloc
        sharing = {"model": settings["model"]}
        rule = call.rule
        return Trace(
            rowid=row["rowid"],
            request_id=row["request_id"],
            provider=intern(row["provider"]),
            model=intern(settings["model"]),
            api_format=intern(row["api_format"] or ""),
            rule=rule,
            start_s=call.start_ns / 1e9,
            available_s=call.available_ns / 1e9,
            used_s=(call.start_ns if rule.from_start else call.end_ns) / 1e9,
            ttl_s=_ttl_s(rule, call),
            sharing=_hash(call.scope.family, sharing),
            scope=call.scope.key,
            keyless=_hash(row["provider"], origin, sorted(call.scope.settings.items())),
            owner=call.scope.family,
            settings=settings,
            parts=[_part(segment, end) for segment, end in zip(segments, ends, strict=True)],
            ends=ends,
            begin=begin,
            exact=exact,
            own=exact.salted(salt, begin),
            bones=prefixes_of(_with(segments, bones)),
            ordered=_ordered(segments, exact),
            variations=self._variations(segments, ends, bones),
            written=[] if rule.kind == "grid" else [call.offsets[point] for point, _ in call.written],
            checked=frozenset()
            if rule.look_back_blocks is None
            else frozenset(call.offsets[point] for point in call.checked),
            anchors=_anchors(call, ends),
            prompt_tokens=call.prompt_tokens,
            cached_tokens=call.cached_tokens,
            write_tokens=call.write_tokens,
            write_1h_tokens=row["actual_cache_write_1h_tokens"] or 0,
            price=_price(row),
        )

    def _variations(
        self, segments: Sequence[Segment], ends: Sequence[int], bones: Sequence[bytes]
    ) -> list[Variation]:
        found: list[Variation] = []
        for segment, end, bone in zip(segments, ends, bones, strict=True):
            differs = self._texts.compare(segment.data, bone)
            if differs is not None and len(found) < _MAX_VARIATIONS:
                found.append(Variation(end - len(segment.data) + differs.offset, differs.kind))
        return found


def prompt_of(row: Mapping[str, Any]) -> Prompt | None:
    """As the provider got it."""
    return read_prompt(
        row["upstream_format"] or row["api_format"], row["upstream_request_body"] or row["request_body"]
    )


def _messages_begin(segments: Sequence[Segment], ends: Sequence[int]) -> int:
    begin = 0
    for segment, end in zip(segments, ends, strict=True):
        if segment.kind not in _BEFORE_MESSAGES:
            break
        begin = end
    return begin


def _part(segment: Segment, end: int) -> Part:
    mark = segment.mark
    return Part(
        intern(segment.kind),
        intern(segment.path),
        end,
        len(segment.data),
        hash(segment.data),
        mark is not None,
        mark.ttl if mark is not None else None,
    )


def _with(segments: Sequence[Segment], data: Sequence[bytes]) -> list[Segment]:
    return [replace(segment, data=one) for segment, one in zip(segments, data, strict=True)]


def _ordered(segments: Sequence[Segment], exact: Prefixes) -> Prefixes:
    """Tools by their text, keys by their names. Where tools end there are as many bytes as before."""
    ours = [segment for segment in segments if segment.kind in _ORDERED]
    if not ours:
        return exact
    try:
        texts = sorted(
            msgspec.json.encode(msgspec.json.decode(segment.data), order="sorted") for segment in ours
        )
    except (msgspec.MsgspecError, RecursionError):
        return exact
    return prefixes_of([*_with(ours, texts), *segments[len(ours) :]])


def _ttl_s(rule: Rule, call: Call) -> float:
    asked = call.written[-1][1] if call.written else None
    ttl_s = rule.ttls_s.get(asked or "", rule.ttl_s)
    return float("inf") if ttl_s is None else ttl_s


def _anchors(call: Call, ends: Sequence[int]) -> list[Anchor]:
    """What is read and written ends where the call writes last."""
    anchors = [(ends[-1], float(call.prompt_tokens or 0))]
    known = (call.cached_tokens or 0) + (call.write_tokens or 0)
    if call.rule.kind == "boundary" and call.written and call.write_tokens:
        anchors.insert(0, (call.offsets[call.written[-1][0]], float(known)))
    return ascending(anchors)


def _price(row: Mapping[str, Any]) -> Price:
    fresh = row["input_usd_per_mtok"]
    if fresh is None:
        return Price(None, *_USUAL)
    if not fresh:
        return Price(0.0, 1.0, 1.0, 1.0)
    read, write, write_1h = (
        1.0 if row[name] is None else row[name] / fresh
        for name in ("cache_read_usd_per_mtok", "cache_write_usd_per_mtok", "cache_write_1h_usd_per_mtok")
    )
    return Price(fresh / 1e6, read, write, write_1h)


def _hash(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()[:8]


def _number(value: object) -> int:
    return int.from_bytes(_hash(value), "little")
