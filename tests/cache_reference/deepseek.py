"""DeepSeek: whole units. A prompt is one, with its answer another, a detected common prefix the third.

A prompt hits the longest unit that it begins with. All units are made when their call ends; then a common
prefix is detected, too, with any call of the same user_id that ended earlier, exact to the token: of A+B,
A+C, A+D the third hits A. Units live for hours to days: here for good. Below 64 tokens nothing is kept. The
units that are cut "at fixed token intervals" are left out, since no document says at which.
"""

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from heapq import heappop, heappush

from cache_reference.calls import Call, Json
from cache_reference.prompt import chat_blocks, message_blocks
from cache_reference.tokens import WIDTH, common, count

MINIMUM = 64


@dataclass(slots=True)
class _Partition:
    units: list[bytes] = field(default_factory=list)  # sorted
    sequences: list[bytes] = field(default_factory=list)  # prompts with their answers, sorted
    running: list[tuple[float, bytes, bytes]] = field(default_factory=list)  # a heap by end: prompt, sequence


class DeepSeek:
    """One provider for all accounts."""

    def __init__(self) -> None:
        self._partitions: dict[object, _Partition] = {}

    def usage(self, call: Call) -> Json:
        scope = (call.key, call.body["model"], call.body.get("user_id"))
        partition = self._partitions.setdefault(scope, _Partition())
        while partition.running and partition.running[0][0] <= call.start_s:
            _, ended, its_sequence = heappop(partition.running)
            _write(partition, ended, its_sequence)
        prompt = b"".join(block.ids for block in chat_blocks(call.body))
        sequence = prompt + b"".join(block.ids for block in message_blocks(call.answer))
        heappush(partition.running, (call.end_s, prompt, sequence))
        hit, tokens = count(_longest(partition.units, prompt)), count(prompt)
        return {
            "prompt_tokens": tokens,
            "completion_tokens": count(sequence) - tokens,
            "total_tokens": count(sequence),
            "prompt_cache_hit_tokens": hit,
            "prompt_cache_miss_tokens": tokens - hit,
        }


def _longest(units: list[bytes], prompt: bytes) -> bytes:
    """The longest unit that the prompt begins with.

    Of the units that are prefixes of the prompt, the longest sorts last and not behind it. What sorts between
    them shares with the prompt no less than that: cut the prompt to what is shared, and look again.
    """
    rest = prompt
    while (at := bisect_right(units, rest)) > 0:
        unit = units[at - 1]
        if rest.startswith(unit):
            return unit
        rest = rest[: common(rest, unit) * WIDTH]
    return b""


def _write(partition: _Partition, prompt: bytes, sequence: bytes) -> None:
    shared = prompt[: _shared(partition.sequences, prompt) * WIDTH]
    for unit in (prompt, sequence, shared):
        at = bisect_left(partition.units, unit)
        if count(unit) >= MINIMUM and partition.units[at : at + 1] != [unit]:
            partition.units.insert(at, unit)
    insort(partition.sequences, sequence)


def _shared(sequences: list[bytes], prompt: bytes) -> int:
    """The tokens of the longest common prefix with an earlier sequence: with a neighbour in the order."""
    at = bisect_left(sequences, prompt)
    return max((common(prompt, other) for other in sequences[max(at - 1, 0) : at + 1]), default=0)
