"""DeepSeek: whole units. A prompt is one, with its answer another, a detected common prefix the third.

A prompt hits the longest unit that it begins with. A common prefix is detected between a request and any
earlier one of the same user_id, exact to the token, and becomes a unit when the later one ends: of A+B, A+C,
A+D the third hits A. Units live for hours to days: here for good. Below 64 tokens nothing is kept. The units
that are cut "at fixed token intervals" are left out, since no document says at which.
"""

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field

from cache_reference.calls import Call, Json
from cache_reference.prompt import chat_blocks, message_blocks
from cache_reference.tokens import WIDTH, common, count

MINIMUM = 64


@dataclass(slots=True)
class _Partition:
    units: list[bytes] = field(default_factory=list)  # sorted
    available_s: dict[bytes, float] = field(default_factory=dict)
    sequences: list[bytes] = field(default_factory=list)  # sorted: prompts with their answers


class DeepSeek:
    """One provider for all accounts."""

    def __init__(self) -> None:
        self._partitions: dict[object, _Partition] = {}

    def usage(self, call: Call) -> Json:
        scope = (call.key, call.body["model"], call.body.get("user_id"))
        partition = self._partitions.setdefault(scope, _Partition())
        prompt = b"".join(block.ids for block in chat_blocks(call.body))
        sequence = prompt + b"".join(block.ids for block in message_blocks(call.answer))
        hit = count(_longest(partition, prompt, call.start_s))
        shared = prompt[: _shared(partition, prompt) * WIDTH]
        for unit in (prompt, sequence, shared):
            _keep(partition, unit, call.end_s)
        insort(partition.sequences, sequence)
        answer = count(sequence) - count(prompt)
        return {
            "prompt_tokens": count(prompt),
            "completion_tokens": answer,
            "total_tokens": count(sequence),
            "prompt_cache_hit_tokens": hit,
            "prompt_cache_miss_tokens": count(prompt) - hit,
        }


def _longest(partition: _Partition, prompt: bytes, now_s: float) -> bytes:
    """The longest readable unit that the prompt begins with.

    Of the units that are prefixes of the prompt, the longest sorts last and not behind it. What sorts between
    them shares with the prompt no less than that: cut the prompt to what is shared, and look again.
    """
    rest = prompt
    while (at := bisect_right(partition.units, rest)) > 0:
        unit = partition.units[at - 1]
        if rest.startswith(unit):
            if partition.available_s[unit] <= now_s:
                return unit
            rest = unit[:-WIDTH]
        else:
            rest = rest[: common(rest, unit) * WIDTH]
    return b""


def _shared(partition: _Partition, prompt: bytes) -> int:
    """The tokens of the longest common prefix with an earlier sequence: with a neighbour in the order."""
    at = bisect_left(partition.sequences, prompt)
    neighbours = partition.sequences[max(at - 1, 0) : at + 1]
    return max((common(prompt, other) for other in neighbours), default=0)


def _keep(partition: _Partition, unit: bytes, available_s: float) -> None:
    if count(unit) < MINIMUM:
        return
    if unit not in partition.available_s:
        insort(partition.units, unit)
    partition.available_s[unit] = min(available_s, partition.available_s.get(unit, available_s))
