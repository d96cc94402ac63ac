"""Where a call writes to its provider's cache, and where that looks for a prefix: numbers of segments."""

from collections.abc import Iterator, Sequence

from lessllm_collector.cache.rules import Rule
from lessllm_collector.cache.segments import Prompt, Segment

_RUNS = frozenset(("tool_use", "tool_result"))


def written(rule: Rule, prompt: Prompt) -> list[int]:
    """The segments at whose end a call writes, first to last."""
    segments = prompt.segments
    marked = [place for place, segment in enumerate(segments) if segment.mark is not None]
    if "end" in rule.writes:
        return [len(segments) - 1] if segments else []
    if "turn" not in rule.writes or prompt.settings.get("prompt_cache_mode") == '"explicit"':
        return marked[-rule.breakpoints :]
    turns = [place for place, segment in enumerate(segments) if segment.eligible]
    return sorted({*turns[-1:], *marked[1 - rule.breakpoints :]})


def checked(rule: Rule, prompt: Prompt) -> list[int]:
    """The segments at whose end a prefix may be read, the longest prefix first."""
    if rule.look_back_blocks is None:
        return list(reversed(range(len(prompt.segments))))
    found = {
        place
        for mark in written(rule, prompt)
        for place in _before(prompt.segments, mark, rule.look_back_blocks)
    }
    return sorted(found, reverse=True)


def _before(segments: Sequence[Segment], place: int, blocks: int) -> Iterator[int]:
    """Places from this one back, over so many blocks. A run of tool calls, or of their results, is one."""
    kind = ""
    while place >= 0:
        is_in_run = segments[place].kind == kind and kind in _RUNS
        blocks -= 0 if is_in_run else 1
        if blocks < 0:
            return
        kind = segments[place].kind
        yield place
        place -= 1
