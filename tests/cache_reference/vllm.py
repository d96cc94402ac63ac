"""vLLM's automatic prefix caching: blocks of 16 tokens of prompts and answers; the least used leave first.

A prompt of n tokens hits at most the whole blocks of its first n - 1: the last token is always computed. A
prompt's blocks are readable when its first token comes, its answer's when it ends. Usage has cached tokens
only with --enable-prompt-tokens-details, and none at 0.
"""

from collections import OrderedDict

from cache_reference.calls import Call, Json
from cache_reference.openai_prefix import chat_usage
from cache_reference.prompt import chat_blocks, message_blocks
from cache_reference.tokens import chain, count

BLOCK = 16


class VLLM:
    """One server and its pool of so many blocks."""

    def __init__(self, pool_blocks: int = 10_000_000) -> None:
        self._pool_blocks = pool_blocks
        self._available_s: OrderedDict[int, float] = OrderedDict()  # the least recently used first

    def usage(self, call: Call) -> Json:
        prompt = b"".join(block.ids for block in chat_blocks(call.body))
        sequence = prompt + b"".join(block.ids for block in message_blocks(call.answer))
        links = chain(sequence, BLOCK, call.body["model"])
        tokens, hit = count(prompt), 0
        for link in links[: (tokens - 1) // BLOCK]:
            available_s = self._available_s.get(link)
            if available_s is None or available_s > call.start_s:
                break
            hit += BLOCK
        for at, link in enumerate(links):
            written_s = call.first_byte_s if at < tokens // BLOCK else call.end_s
            self._available_s[link] = min(written_s, self._available_s.get(link, written_s))
        for link in reversed(links):  # of one sequence the last block goes first
            self._available_s.move_to_end(link)
        while len(self._available_s) > self._pool_blocks:
            self._available_s.popitem(last=False)
        return chat_usage(call, tokens, {"cached_tokens": hit} if hit else None)
