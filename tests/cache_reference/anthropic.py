"""Anthropic: entries at cache_control breakpoints, found by looking back from breakpoints.

Blocks are the tools, the system's and the messages' content blocks, in this order. From each breakpoint 20
positions are looked at, itself the first; a run of tool_use, or of tool_result, blocks is one. The longest
entry found counts. What is beyond it, up to the last breakpoint, is written: for an hour up to the last
breakpoint that says so, the rest for five minutes, from the request's start; reads refresh. An entry is
readable when its writer's response begins. tool_choice, thinking and images concern the messages alone.
"""

from itertools import accumulate, pairwise

from cache_reference.calls import Call, Entry, Json, keep
from cache_reference.prompt import Block, anthropic_blocks, message_blocks
from cache_reference.tokens import count

TTLS_S = {"5m": 300.0, "1h": 3600.0}
LOOK_BACK = 20
MINIMUMS = {
    **dict.fromkeys(("claude-opus-5", "claude-sonnet-5-5", "claude-fable-5", "claude-mythos-5"), 512),
    **dict.fromkeys(("claude-opus-4-8", "claude-opus-4", "claude-sonnet-4", "claude-sonnet-5"), 1024),
    **dict.fromkeys(("claude-opus-4-7", "claude-3-5-haiku"), 2048),
    **dict.fromkeys(("claude-opus-4-5", "claude-opus-4-6", "claude-haiku-4-5"), 4096),
}
_RUNS = ("tool_use", "tool_result")


class Anthropic:
    """One provider for all workspaces: a call's key is its workspace."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._ttls_s: dict[int, float] = {}

    def usage(self, call: Call) -> Json:
        blocks = anthropic_blocks(call.body)
        lengths = list(accumulate(count(block.ids) for block in blocks))
        prefixes = _prefixes(call, blocks)
        minimum = minimum_of(call.body["model"])
        marks = [at for at, block in enumerate(blocks) if block.mark is not None and lengths[at] >= minimum]
        hit = max((self._found(blocks, prefixes, mark, call.start_s) for mark in marks), default=-1)
        cached = lengths[hit] if hit >= 0 else 0
        if hit >= 0:
            entry = self._entries[prefixes[hit]]
            entry.expires_s = max(entry.expires_s, call.start_s + self._ttls_s[prefixes[hit]])
        for mark in marks:
            self._write(call, prefixes[mark], TTLS_S[_ttl(blocks[mark])])
        last = max(cached, lengths[marks[-1]]) if marks else cached
        hour = max([cached, *(lengths[mark] for mark in marks if _ttl(blocks[mark]) == "1h")])
        return {
            "input_tokens": lengths[-1] - last,
            "cache_creation_input_tokens": last - cached,
            "cache_read_input_tokens": cached,
            "cache_creation": {
                "ephemeral_5m_input_tokens": last - hour,
                "ephemeral_1h_input_tokens": hour - cached,
            },
            "output_tokens": sum(count(block.ids) for block in message_blocks(call.answer)),
        }

    def _found(self, blocks: list[Block], prefixes: list[int], mark: int, now_s: float) -> int:
        """The last block of the longest entry that the breakpoint sees; -1 without one."""
        positions = 0
        for at in range(mark, -1, -1):
            if at == mark or not (blocks[at].kind in _RUNS and blocks[at].kind == blocks[at + 1].kind):
                positions += 1
            if positions > LOOK_BACK:
                break
            entry = self._entries.get(prefixes[at])
            if entry is not None and entry.readable(now_s):
                return at
        return -1

    def _write(self, call: Call, prefix: int, ttl_s: float) -> None:
        old = self._entries.get(prefix)
        lives = old is not None and old.expires_s > call.start_s
        self._ttls_s[prefix] = max(ttl_s, self._ttls_s[prefix]) if lives else ttl_s
        written = Entry(call.first_byte_s, call.start_s + self._ttls_s[prefix])
        keep(self._entries, prefix, call.start_s, written)


def minimum_of(model: str) -> int:
    """The tokens that a cached prefix has at least."""
    return MINIMUMS[max((name for name in MINIMUMS if model.startswith(name)), key=len)]


def _ttl(block: Block) -> str:
    return (block.mark or {}).get("ttl", "5m")


def _prefixes(call: Call, blocks: list[Block]) -> list[int]:
    """A hash for each block; it stands for the block and all that is before it."""
    images = any(block.kind == "image" for block in blocks)
    settings = repr((call.body.get("tool_choice"), call.body.get("thinking"), images))
    links, places = [hash((call.key, call.body["model"]))], ["tools", *(block.place for block in blocks)]
    for block, (before, place) in zip(blocks, pairwise(places), strict=True):
        enters_messages = place not in ("tools", "system") and before in ("tools", "system")
        link = hash((links[-1], settings)) if enters_messages else links[-1]
        links.append(hash((link, block.ids)))
    return links[1:]
