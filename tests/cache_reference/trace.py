"""The Mooncake trace as conversations: each 512-token block of a prompt is a message with the text of its id.

Its first block is the system prompt; then users and assistants take turns, and the last block is a user's. Of
a block that is not whole only so much is said as the trace's length leaves. Marked are the system prompt and
the last two users' messages, as clients do that cache a growing conversation.
"""

import functools
import json
import random
from collections.abc import Iterator
from pathlib import Path

from cache_reference.calls import Json
from cache_reference.conversation import Ask, Turn
from cache_reference.texts import KINDS, text

BLOCK = 512


def read(path: Path, calls: int) -> list[Json]:
    """The first calls of the trace."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line, _ in zip(lines, range(calls), strict=False)]


def sample(seed: int, calls: int) -> list[Json]:
    """Of the trace's structure, without the trace: half of the prompts begin as an earlier one does."""
    rng = random.Random(seed)
    fresh = iter(range(10**9))
    prompts: list[list[int]] = []
    rows = []
    for at in range(calls):
        old = rng.choice(prompts) if prompts and rng.random() < 0.6 else []
        kept = old[: rng.randint(0, len(old))] if rng.random() < 0.3 else old[:-1]
        ids = [*kept, *(next(fresh) for _ in range(rng.randint(1, 8)))]
        prompts.append(ids)
        length = (len(ids) - 1) * BLOCK + rng.randint(20, BLOCK)
        rows.append(
            {
                "timestamp": at * 300,
                "input_length": length,
                "output_length": rng.randint(4, 300),
                "hash_ids": ids,
            }
        )
    return rows


def asks(rows: list[Json]) -> Iterator[Ask]:
    """One for each row."""
    for at, row in enumerate(rows):
        ids, rest = row["hash_ids"], row["input_length"] - BLOCK * (len(row["hash_ids"]) - 1)
        said = [_block(each, BLOCK) for each in ids[:-1]] + [_block(ids[-1], rest)]
        last = len(said) - 1
        turns = tuple(
            Turn("user", each, marked=last - place <= 2)
            if place == last or place % 2
            else Turn("assistant", each)
            for place, each in enumerate(said)
            if place > 0 or last == 0
        )
        yield Ask(
            at_s=row["timestamp"] / 1000,
            system=said[0] if last else "",
            turns=turns,
            answer=Turn("assistant", text(f"answer {at}", row["output_length"])),
            mark_system=True,
        )


@functools.lru_cache(maxsize=50_000)
def _block(identity: int, tokens: int) -> str:
    return text(f"block {identity}", tokens, KINDS[identity // 7 % len(KINDS)])
