"""Every provider with every workload: names in, calls with the usage that the reference reports out.

A provider here is a model, the format it is asked in, how clients mark prefixes for it, and its reference.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from cache_reference import conversation
from cache_reference.anthropic import Anthropic
from cache_reference.calls import Call, Json, Provider
from cache_reference.conversation import Ask
from cache_reference.deepseek import DeepSeek
from cache_reference.openai_breakpoints import OpenAIBreakpoints
from cache_reference.openai_prefix import OpenAIPrefix
from cache_reference.vllm import VLLM
from cache_reference.workloads import WORKLOADS, Scene


@dataclass(frozen=True, slots=True)
class Place:
    """Where calls go. `granularity` is the smallest step of a cached count, in tokens."""

    provider: str
    model: str
    says: Callable[[Ask, str], Call]
    reference: Callable[[], Provider]
    minimum: int
    granularity: int
    flips: tuple[Json, Json]  # settings that clients turn to and fro


@dataclass(frozen=True, slots=True)
class Answered:
    """A call and what its answer reports; of one that failed nothing, and the cache has nothing of it."""

    call: Call
    usage: Json | None


def _retained(ask: Ask, model: str) -> Call:
    """Who wants an hour of one wants a day of the other."""
    retained = {"prompt_cache_retention": "24h"} if ask.ttl == "1h" else {}
    return conversation.chat(replace(ask, extra=ask.extra | retained), model)


def _explicit(ask: Ask, model: str) -> Call:
    return conversation.chat(ask, model, marks=True)


def _automatic(ask: Ask, model: str) -> Call:
    return conversation.messages(ask, model, automatic=True)


_PARALLEL = ({"parallel_tool_calls": True}, {"parallel_tool_calls": False})
_EFFORT = ({"reasoning_effort": "low"}, {"reasoning_effort": "high"})
_CHOICE = ({"tool_choice": {"type": "auto"}}, {"tool_choice": {"type": "none"}})
_TEMPERATURE = ({"temperature": 0}, {"temperature": 1})  # separates nothing
_USERS = ({"user_id": "one"}, {"user_id": "two"})

# Providers by their names in tables; each may be used in more than one way. The first one gets the trace.
PLACES: dict[str, tuple[Place, ...]] = {
    "OpenAI to 5.5": (
        Place("openai", "gpt-4.1", _retained, OpenAIPrefix, 1024, 128, _PARALLEL),
        Place("openai", "gpt-5.5", conversation.chat, OpenAIPrefix, 2048, 2048, _EFFORT),
    ),
    "OpenAI from 5.6": (
        Place("openai", "gpt-5.6", _explicit, OpenAIBreakpoints, 1024, 1, _EFFORT),
        Place("openai", "gpt-5.6", conversation.chat, OpenAIBreakpoints, 1024, 1, _EFFORT),
    ),
    "Anthropic": (
        Place("anthropic", "claude-sonnet-4-5", conversation.messages, Anthropic, 1024, 1, _CHOICE),
        Place("anthropic", "claude-opus-4-6", _automatic, Anthropic, 4096, 1, _CHOICE),
    ),
    "DeepSeek": (Place("deepseek", "deepseek-chat", conversation.chat, DeepSeek, 64, 1, _USERS),),
    "vLLM": (Place("vllm", "qwen3", conversation.chat, VLLM, 16, 16, _TEMPERATURE),),
}


def cases(name: str, calls: int, seed: int) -> Iterator[tuple[str, Place, list[Answered]]]:
    """Each generated workload at each place of the provider: about so many calls a workload."""
    places = PLACES[name]
    for at, (workload, asks_of) in enumerate(WORKLOADS.items()):
        for place in places:
            scene = Scene(seed * 100 + at, calls // len(places), max(place.minimum, 600), place.flips)
            yield workload, place, answered(asks_of(scene), place)


def answered(asks: Iterable[Ask], place: Place) -> list[Answered]:
    """What the reference makes of calls in the order of their starts."""
    reference = place.reference()
    calls = (place.says(ask, place.model) for ask in asks)
    return [Answered(call, None if call.fails else reference.usage(call)) for call in calls]
