"""OpenAI's models up to 5.5: the longest known prefix, from 1,024 tokens on, in whole units of 128.

Readings where the documents leave room. An unused entry lives "5 to 10 minutes", "at most an hour": here ten
minutes after its last use, a day with `prompt_cache_retention: "24h"`. It is readable when its writer has
ended. Overflow to other machines ("about 15 requests a minute") is left out.
"""

from cache_reference.calls import Call, Entry, Json, keep
from cache_reference.prompt import chat_blocks, message_blocks
from cache_reference.tokens import chain, count

MINIMUM = 1024
IDLE_S, LONG_IDLE_S = 600.0, 86_400.0
_SETTINGS = ("model", "parallel_tool_calls", "response_format", "reasoning_effort", "verbosity")


class OpenAIPrefix:
    """One provider for all organisations: a call's key is its organisation."""

    def __init__(self) -> None:
        self._units: dict[int, Entry] = {}

    def usage(self, call: Call) -> Json:
        ids = b"".join(block.ids for block in chat_blocks(call.body))
        unit = 2048 if call.body["model"].startswith("gpt-5.5") else 128
        links = chain(ids, unit, scope(call)) if count(ids) >= MINIMUM else []
        hit = 0
        for link in links:
            entry = self._units.get(link)
            if entry is None or not entry.readable(call.start_s):
                break
            hit += unit
        idle_s = LONG_IDLE_S if call.body.get("prompt_cache_retention") == "24h" else IDLE_S
        for link in links:
            keep(self._units, link, call.start_s, Entry(call.end_s, call.end_s + idle_s))
        return chat_usage(call, count(ids), {"cached_tokens": hit if hit >= MINIMUM else 0})


def scope(call: Call) -> tuple[object, ...]:
    """What separates caches: the organisation, the settings that invalidate, and the client's own key."""
    settings = (repr(call.body.get(name)) for name in _SETTINGS)
    return (call.key, *settings, call.body.get("prompt_cache_key"))


def chat_usage(call: Call, prompt: int, details: Json | None) -> Json:
    """OpenAI's usage object; without details where there are none."""
    answer = sum(count(block.ids) for block in message_blocks(call.answer))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        **({} if details is None else {"prompt_tokens_details": details}),
    }
