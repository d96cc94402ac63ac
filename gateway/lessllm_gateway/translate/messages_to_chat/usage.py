"""OpenAI's token counts as Anthropic's: what was read from a cache or written to one is apart.

A part that was not reported is null. Providers put usage in several places, and give it several names.
"""

from typing import Any

from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import count, fields, objects

_TIERS = {"default": "standard", "auto": "standard", "flex": "standard", "priority": "priority"}


def reported_usage(answer: Json) -> Json:
    """The usage in a completion or a chunk; empty if there is none."""
    choice = next(iter(objects(answer.get("choices"))), {})
    places = (answer.get("usage"), fields(answer.get("x_groq")).get("usage"), choice.get("usage"))  # Kimi's
    found = next((fields(place) for place in places if fields(place)), {})
    if found and "timings" in answer:  # llama.cpp's
        found = {"cached_tokens": fields(answer.get("timings")).get("cache_n"), **found}
    return found


def message_usage(usage: Json, input_estimate: int) -> Json:
    """Anthropic's usage. `input_estimate` is for a provider that reports none: its field can't be null."""
    prompt_details, details = (
        fields(usage.get(f"{kind}_tokens_details")) for kind in ("prompt", "completion")
    )
    prompt = count(usage.get("prompt_tokens"))
    read = _first(
        prompt_details.get("cached_tokens"),
        usage.get("prompt_cache_hit_tokens"),  # DeepSeek
        usage.get("num_cached_tokens"),  # Mistral
        usage.get("cached_tokens"),  # Kimi, llama.cpp
    )
    written = _first(
        prompt_details.get("cache_write_tokens"),
        prompt_details.get("cache_creation_input_tokens"),  # Qwen
    )
    reasoning = count(details.get("reasoning_tokens"))
    fresh = input_estimate if prompt is None else max(0, prompt - (read or 0) - (written or 0))
    result: Json = {
        "input_tokens": fresh,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": _completion(usage, prompt, reasoning),
    }
    if reasoning is not None:
        result["output_tokens_details"] = {"thinking_tokens": reasoning}
    return result


def tier(answer: Json) -> str | None:
    """The service tier, in Anthropic's words."""
    value = answer.get("service_tier")
    return _TIERS.get(value) if isinstance(value, str) else None


def _completion(usage: Json, prompt: int | None, reasoning: int | None) -> int:
    completion = count(usage.get("completion_tokens")) or 0
    total = count(usage.get("total_tokens"))
    # xAI leaves reasoning out of completion_tokens but not of total_tokens.
    is_apart = prompt is not None and reasoning and total == prompt + completion + reasoning
    return completion + (reasoning or 0 if is_apart else 0)


def _first(*values: Any) -> int | None:
    return next((number for value in values if (number := count(value)) is not None), None)
