"""What was asked, in the order in which the model sees it, and how much of it an earlier call had begun with.

A row in; turns out, each with the part that is the same as in the call whose prompt it shares most of. Tools
come first, then system texts, then messages, whatever the API: the prompt is read as for predictions.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import duckdb

from lessllm_collector.cache.prompt import Prompt, Segment, read_prompt
from lessllm_collector.console.visible import visible
from lessllm_collector.suggestions.evidence import Difference, difference

MAX_TURNS = 300
TURN_CHARACTERS = 20_000
_ALL_CHARACTERS = 300_000
_CANDIDATES = 4  # earlier calls to compare with
_COMPARING_S = 0.06  # after which no further one is read
_SINCE = timedelta(hours=24)  # no cache without a longer promise keeps prompts for so long
_MAX_BODY_BYTES = 4 * 1024 * 1024
_EARLIER = """
    SELECT rowid, request_id FROM internal.calls
    WHERE "timestamp" >= ? AND "timestamp" < ? AND cache_scope = ? AND request_id <> ?
        AND request_body_bytes <= ? AND end_reason = 'complete'
    ORDER BY session_id IS NOT DISTINCT FROM ? DESC, "timestamp" DESC LIMIT ?
"""
_BODY = """
    SELECT coalesce(upstream_format, api_format), coalesce(upstream_request_body, request_body)
    FROM internal.calls WHERE rowid = ?
"""


@dataclass(frozen=True)
class Turn:
    """A piece of the prompt: `same` is as in the earlier call, `rest` not. `more`: characters not shown."""

    kind: str
    path: str
    same: str
    rest: str
    more: int
    is_marked: bool  # a cache breakpoint is set at its end


@dataclass(frozen=True)
class Conversation:
    """`earlier`: the call that is compared with, None if there is none. `more`: turns that are not shown."""

    turns: Sequence[Turn]
    more: int
    earlier: str | None
    same_share: float  # of the prompt's bytes, 0 to 1
    difference: Difference | None  # the first one


def of(connection: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> Conversation | None:
    """None: a call without a prompt, or one that is not kept."""
    body = row["upstream_request_body"] or row["request_body"]
    prompt = read_prompt(row["upstream_format"] or row["api_format"], body)
    if prompt is None or not prompt.segments:
        return None
    earlier, before = _closest(connection, row, prompt)
    shared = 0 if before is None else _shared(prompt, before)
    sizes = [len(segment.data) for segment in prompt.segments]
    return Conversation(
        turns=list(_turns(prompt, before, shared)),
        more=max(0, len(prompt.segments) - MAX_TURNS),
        earlier=earlier,
        same_share=sum(sizes[:shared]) / max(1, sum(sizes)),
        difference=None if before is None else difference(before, prompt),
    )


def _closest(
    connection: duckdb.DuckDBPyConnection, row: Mapping[str, Any], prompt: Prompt
) -> tuple[str | None, Prompt | None]:
    """Of the calls just before in the same cache, the one with the longest common beginning."""
    if row["cache_scope"] is None:
        return None, None
    values = [
        *(row["timestamp"] - _SINCE, row["timestamp"], row["cache_scope"], row["request_id"]),
        *(_MAX_BODY_BYTES, row["session_id"], _CANDIDATES),
    ]
    best: tuple[int, str | None, Prompt | None] = (0, None, None)
    begun_s = time.monotonic()
    for rowid, request_id in connection.execute(_EARLIER, values).fetchall():
        found = connection.execute(_BODY, [rowid]).fetchone()
        before = read_prompt(*found) if found else None
        if before is not None and (shared := _shared(prompt, before)) > best[0]:
            best = (shared, request_id, before)
        if time.monotonic() - begun_s > _COMPARING_S:
            break
    return best[1:]


def _shared(prompt: Prompt, before: Prompt) -> int:
    """How many segments both begin with."""
    pairs = zip(prompt.segments, before.segments, strict=False)
    return next(
        (at for at, (one, other) in enumerate(pairs) if one.data != other.data),
        min(len(prompt.segments), len(before.segments)),
    )


def _turns(prompt: Prompt, before: Prompt | None, shared: int) -> Iterator[Turn]:
    left = _ALL_CHARACTERS
    for index, segment in enumerate(prompt.segments[:MAX_TURNS]):
        text = _text(segment)
        same = len(text) if index < shared else 0
        if before is not None and index == shared < len(before.segments):
            same = _common(text, _text(before.segments[index]))
        shown = text[: max(0, min(TURN_CHARACTERS, left))]
        left -= len(shown)
        yield Turn(
            segment.kind,
            segment.path,
            visible(shown[:same]),
            visible(shown[same:]),
            len(text) - len(shown),
            segment.mark is not None,
        )


def _text(segment: Segment) -> str:
    """A segment as people read it."""
    blocks, text, at = [], segment.data.decode("utf-8", "replace"), 0
    decoder = json.JSONDecoder()
    while at < len(text):  # what the message says of itself, then the block
        block, at = decoder.raw_decode(text, at)
        blocks.append(block)
    return "\n".join(_written(blocks[-1])) if blocks else ""


def _written(block: Any) -> Iterator[str]:
    if not isinstance(block, dict):
        yield block if isinstance(block, str) else json.dumps(block, ensure_ascii=False)
        return
    found = False
    for name in ("text", "thinking", "refusal"):
        if isinstance(block.get(name), str):
            yield block[name]
            found = True
    for name in ("content", "output"):
        if isinstance(block.get(name), str):
            yield block[name]
            found = True
        elif isinstance(block.get(name), list):
            for part in block[name]:
                yield from _written(part)
            found = True
    function = block.get("function", block)
    if isinstance(function, dict) and isinstance(function.get("name"), str) and not found:
        yield from _called(function)
        found = True
    if not found:
        yield json.dumps(block, ensure_ascii=False, indent=2)


def _called(function: Mapping[str, Any]) -> Iterator[str]:
    """A tool: what it is, or with what it is called."""
    yield function["name"]
    for name in ("description", "arguments", "input", "args", "parameters", "input_schema"):
        if value := function.get(name):
            yield value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def _common(one: str, other: str) -> int:
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
