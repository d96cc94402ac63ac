"""OpenAI's models from 5.6 on: hits only at breakpoints that a request wrote, exactly, for 30 minutes.

A request writes one implicit breakpoint, at the end of its latest eligible message, and its latest three
explicit ones; with `prompt_cache_options.mode = explicit` its latest four and no implicit one. It reads at
the end of each eligible message and at each explicit mark ("up to the latest 80 breakpoints in the
conversation"). An entry is readable when its writer has ended and lives 30 minutes after its last use.
"""

from itertools import accumulate

from cache_reference.calls import Call, Entry, Json, keep
from cache_reference.openai_prefix import chat_usage, scope
from cache_reference.prompt import Block, chat_blocks
from cache_reference.tokens import count

MINIMUM = 1024
TTL_S = 1800.0
WRITES, READS = 4, 80
_INSTRUCTIONS = ("system", "developer")


class OpenAIBreakpoints:
    """One provider for all organisations: a call's key is its organisation."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}

    def usage(self, call: Call) -> Json:
        blocks = chat_blocks(call.body)
        lengths = list(accumulate(count(block.ids) for block in blocks))
        prefixes = list(
            accumulate((block.ids for block in blocks), lambda *pair: hash(pair), initial=hash(scope(call)))
        )[1:]
        writes, reads = _breakpoints(call.body, blocks)
        hit = -1
        for at in reads:
            entry = self._entries.get(prefixes[at])
            if lengths[at] >= MINIMUM and entry is not None and entry.readable(call.start_s):
                hit = max(hit, at)
        cached = lengths[hit] if hit >= 0 else 0
        if hit >= 0:
            found = self._entries[prefixes[hit]]
            found.expires_s = max(found.expires_s, call.end_s + TTL_S)
        written = cached
        for at in writes:
            if lengths[at] >= MINIMUM:
                keep(self._entries, prefixes[at], call.start_s, Entry(call.end_s, call.end_s + TTL_S))
                written = max(written, lengths[at])
        details = {"cached_tokens": cached, "cache_write_tokens": written - cached}
        return chat_usage(call, lengths[-1], details)


def _breakpoints(body: Json, blocks: list[Block]) -> tuple[list[int], list[int]]:
    """The blocks at whose end the request writes, and those at which it reads."""
    explicit = [at for at, block in enumerate(blocks) if block.mark is not None]
    if body.get("prompt_cache_options", {}).get("mode") == "explicit":
        return explicit[-WRITES:], explicit[-READS:]
    eligible = [at for at in range(len(blocks)) if _eligible(blocks, at)]
    reads = sorted({*explicit, *eligible})[-READS:]
    return [*explicit[1 - WRITES :], *eligible[-1:]], reads


def _eligible(blocks: list[Block], at: int) -> bool:
    """A user message's end, the last of a group of tool responses, the end of the initial instructions."""
    block = blocks[at]
    follower = blocks[at + 1].place if at + 1 < len(blocks) else None
    if not block.ends_message:
        return False
    if block.place == "tool":
        return follower != "tool"
    if block.place in _INSTRUCTIONS:
        initial = all(each.place in ("tools", *_INSTRUCTIONS) for each in blocks[:at])
        return initial and follower not in _INSTRUCTIONS
    return block.place == "user"
