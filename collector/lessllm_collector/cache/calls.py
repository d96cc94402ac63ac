"""A row in, what prediction needs of its call out: the hashes of its prompt, where it looks, when it ran."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from lessllm_shared.record import ApiFormat, EndReason
from lessllm_shared.tolerant_json import loads

from lessllm_collector.cache import places
from lessllm_collector.cache.hashing import Chain, samples
from lessllm_collector.cache.prompt import Prompt, answer_segments, read_prompt
from lessllm_collector.cache.rules import Rule, Rules
from lessllm_collector.cache.tokens import FIRST_RATIO

_BEFORE_MESSAGES = frozenset(("tools", "format", "system"))
_REACHED = frozenset((EndReason.COMPLETE, EndReason.CLIENT_CANCELLED, EndReason.TRUNCATED))
_KEY_BYTES = 8


class _Marks(msgspec.Struct):
    t0_unix_ns: int
    upstream_start_ns: int | None = None
    upstream_headers_ns: int | None = None
    upstream_end_ns: int | None = None
    end_ns: int | None = None


_read_marks = msgspec.json.Decoder(_Marks).decode


@dataclass(frozen=True, slots=True)
class Scope:
    """What has a cache of its own. Scopes of a family differ only in `settings`."""

    key: bytes
    family: bytes
    settings: Mapping[str, str]


@dataclass(slots=True)
class Call:
    """A call as far as caches see it. Points are numbers into `offsets` and `keys`."""

    request_id: str
    timestamp_us: int
    rule: Rule
    scope: Scope
    model: tuple[str, str]  # with its provider
    offsets: Sequence[int]
    keys: Sequence[bytes]  # of the scope, and the hash until there
    segments: Sequence[tuple[int, str]]  # the point at the end of each, and its path
    prompt_points: int  # so many; those of the answer follow
    checked: Sequence[int]  # points, the longest prefix first
    written: Sequence[tuple[int, str | None]]  # points, and how long they ask to be kept
    message_settings: Mapping[str, str]
    start_ns: int
    available_ns: int
    end_ns: int
    succeeded: bool
    prompt_tokens: int | None
    completion_tokens: int
    cached_tokens: int | None
    write_tokens: int | None
    ratio: float = FIRST_RATIO  # tokens a byte, as far as known before its answer
    read_point: int = -1  # the prefix that was last said to be read; -1: none

    @property
    def total_bytes(self) -> int:
        """Of the prompt."""
        return self.offsets[self.prompt_points - 1]

    def key(self, point: int, scope: Scope) -> bytes:
        """Of the prefix that ends there, in another scope."""
        return scope.key + self.keys[point][_KEY_BYTES:]


def read_call(
    row: Mapping[str, Any],
    rules: Rules,
    workspaces: Mapping[str, str],
    parse: Callable[[bytes], Any] = loads,
) -> Call | None:
    """None: it did not reach a provider, or how that caches this prompt can't be known."""
    if row["end_reason"] not in _REACHED or (row["status_code"] or 0) >= 400 or row["provider"] is None:
        return None
    api_format = row["upstream_format"] or row["api_format"]
    prompt = read_prompt(api_format, row["upstream_request_body"] or row["request_body"], parse)
    if prompt is None or not prompt.whole or not prompt.segments:
        return None
    model = row["upstream_model"] or row["model"] or ""
    rule = rules.find(row["provider"], model, api_format, prompt)
    if rule is None:
        return None
    chain = _chain(rule, prompt)
    prompt_points = len(chain.offsets)
    ends = chain.ends.copy()
    if "answer" in rule.writes and api_format == ApiFormat.CHAT:
        chain.extend(answer_segments(row["decoded_response"] or row["response_body"]))
    times = _times(_read_marks(row["clock_marks"]), rule)
    scope = _scope(row, rule, model, prompt, workspaces)
    return Call(
        request_id=row["request_id"],
        timestamp_us=row["timestamp"],
        rule=rule,
        scope=scope,
        model=(row["provider"], model),
        offsets=chain.offsets,
        keys=[scope.key + digest for digest in chain.digests],
        segments=[(end, segment.path) for end, segment in zip(ends, prompt.segments, strict=True)],
        prompt_points=prompt_points,
        checked=range(prompt_points - 1, -1, -1)
        if rule.samples
        else [ends[place] for place in places.checked(rule, prompt)],
        written=_written(rule, prompt, ends),
        message_settings=_settings(prompt, rule.drops_messages),
        start_ns=times[0],
        available_ns=times[1],
        end_ns=times[2],
        succeeded=row["end_reason"] == EndReason.COMPLETE,
        prompt_tokens=row["actual_prompt_tokens"],
        completion_tokens=(row["actual_completion_tokens"] or 0) - (row["actual_reasoning_tokens"] or 0),
        cached_tokens=row["actual_cached_tokens"],
        write_tokens=row["actual_cache_write_tokens"],
    )


def _chain(rule: Rule, prompt: Prompt) -> Chain:
    segments = prompt.segments
    begin = next((at for at, one in enumerate(segments) if one.kind not in _BEFORE_MESSAGES), len(segments))
    # No token is shorter than a byte, but for images: there segments end.
    chain = Chain(samples(rule.minimum_tokens, rule.granularity_tokens)) if rule.samples else Chain()
    chain.extend(segments[:begin])
    if rule.drops_messages:
        chain.salt(repr(sorted(_settings(prompt, rule.drops_messages).items())).encode())
    chain.extend(segments[begin:])
    return chain


def _written(rule: Rule, prompt: Prompt, ends: Sequence[int]) -> list[tuple[int, str | None]]:
    """At a grid: all points, as one."""
    retention = prompt.settings.get("prompt_cache_retention", "").strip('"') or None
    if rule.kind == "grid":
        return [(ends[-1], retention)]
    found = []
    for place in places.written(rule, prompt):
        mark = prompt.segments[place].mark
        found.append((ends[place], mark.ttl if mark is not None else retention))
    return found


def _scope(
    row: Mapping[str, Any], rule: Rule, model: str, prompt: Prompt, workspaces: Mapping[str, str]
) -> Scope:
    fingerprint = "" if rule.shared else row["key_fingerprint"] or ""
    url = urlsplit(row["upstream_url"] or "")
    whose = (row["provider"], url.scheme, url.netloc, workspaces.get(fingerprint, fingerprint))
    settings = {"model": model, **_settings(prompt, rule.separates)}
    return Scope(_hash(whose, settings), _hash(whose), settings)


def _settings(prompt: Prompt, names: Sequence[str]) -> dict[str, str]:
    return {name: value for name in names if (value := prompt.settings.get(name)) is not None}


def _hash(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()[:_KEY_BYTES]


def _times(marks: _Marks, rule: Rule) -> tuple[int, int, int]:
    """Start, when others can read what it wrote, end: Unix times."""
    start = marks.upstream_start_ns or 0
    end = max(start, marks.upstream_end_ns or marks.end_ns or 0)
    first_byte = marks.upstream_headers_ns if rule.available == "first_byte" else None
    available = end if first_byte is None else first_byte
    available = max(start + 1, available)  # nobody reads what it writes itself
    return marks.t0_unix_ns + start, marks.t0_unix_ns + available, marks.t0_unix_ns + end
