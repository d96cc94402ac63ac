"""A provider's usage object in, one normal form out (SEMANTICS section 2).

Which fields are present decides, not the provider's name: gateways and compatible servers mix them. What was
not reported, or is no count, is None, never 0.
"""

from dataclasses import dataclass
from typing import Any

_MAX_COUNT = 2**63  # BIGINT
_Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Usage:
    """Token counts. `prompt` is the whole one: fresh + cache read + write; `completion` has reasoning."""

    prompt: int | None = None
    completion: int | None = None
    total: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    raw: dict[str, Any] | None = None


def usage_of(answer: Any) -> Usage:
    """The usage that an answer reports, of a stream: the assembled answer."""
    raw = next((found for path in _PLACES if isinstance(found := at(answer, path), dict) and found), None)
    if raw is None:
        return Usage()
    cached = _first(raw, _CACHED)
    if cached is None:
        cached = _count(at(answer, ("timings", "cache_n")))  # llama.cpp
    write = _first(raw, _CACHE_WRITE)
    prompt, reasoning, total = _prompt(raw), _first(raw, _REASONING), _first(raw, _TOTAL)
    completion = _completion(raw, prompt, reasoning, total)
    if total is None and prompt is not None and completion is not None:
        total = prompt + completion
    return Usage(
        prompt=prompt,
        completion=completion,
        total=total,
        cached=cached,
        cache_write=write,
        cache_write_5m=_count(at(raw, ("cache_creation", "ephemeral_5m_input_tokens"))),
        cache_write_1h=_count(at(raw, ("cache_creation", "ephemeral_1h_input_tokens"))),
        reasoning=reasoning,
        raw=raw,
    )


def at(value: Any, path: _Path) -> Any:
    """What is at `path` in parsed JSON; None if nothing is."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)  # whose keys are texts
        elif isinstance(value, list) and isinstance(step, int) and len(value) > step:
            value = value[step]
        else:
            return None
    return value


def _prompt(raw: dict[str, Any]) -> int | None:
    hit, miss = _count(raw.get("prompt_cache_hit_tokens")), _count(raw.get("prompt_cache_miss_tokens"))
    if hit is not None and miss is not None:  # DeepSeek
        return hit + miss
    prompt = _first(raw, _PROMPT)
    if prompt is not None:
        return prompt
    fresh = _count(raw.get("input_tokens"))
    if fresh is None or "input_tokens_details" in raw:  # OpenAI's includes the cached tokens
        return fresh
    # Anthropic's input_tokens is the uncached remainder
    parts = (_count(raw.get(key)) for key in ("cache_read_input_tokens", "cache_creation_input_tokens"))
    return fresh + sum(part or 0 for part in parts)


def _completion(
    raw: dict[str, Any], prompt: int | None, reasoning: int | None, total: int | None
) -> int | None:
    gemini = _count(raw.get("candidatesTokenCount"))
    if gemini is not None or "promptTokenCount" in raw:
        thoughts = _count(raw.get("thoughtsTokenCount"))
        return None if gemini is None and thoughts is None else (gemini or 0) + (thoughts or 0)
    completion = _first(raw, _COMPLETION)
    # xAI leaves reasoning out of completion_tokens but not of total_tokens
    if (
        completion is not None
        and prompt is not None
        and reasoning
        and total == prompt + completion + reasoning
    ):
        return completion + reasoning
    return completion


def _first(raw: dict[str, Any], paths: tuple[_Path, ...]) -> int | None:
    for path in paths:
        if path[0] in raw and (count := _count(at(raw, path))) is not None:
            return count
    return None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < _MAX_COUNT else None


_PLACES: tuple[_Path, ...] = (
    ("usage",),
    ("usageMetadata",),
    ("x_groq", "usage"),
    ("choices", 0, "usage"),  # Kimi
)
_PROMPT: tuple[_Path, ...] = (("prompt_tokens",), ("promptTokenCount",))
_COMPLETION: tuple[_Path, ...] = (("completion_tokens",), ("output_tokens",))
_TOTAL: tuple[_Path, ...] = (("total_tokens",), ("totalTokenCount",))
_CACHED: tuple[_Path, ...] = (
    ("prompt_tokens_details", "cached_tokens"),
    ("input_tokens_details", "cached_tokens"),
    ("cache_read_input_tokens",),
    ("cachedContentTokenCount",),
    ("prompt_cache_hit_tokens",),
    ("num_cached_tokens",),  # Mistral
    ("cached_tokens",),  # Kimi
)
_CACHE_WRITE: tuple[_Path, ...] = (
    ("prompt_tokens_details", "cache_write_tokens"),
    ("input_tokens_details", "cache_write_tokens"),
    ("cache_creation_input_tokens",),
    ("prompt_tokens_details", "cache_creation_input_tokens"),  # Qwen
)
_REASONING: tuple[_Path, ...] = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("output_tokens_details", "reasoning_tokens"),
    ("output_tokens_details", "thinking_tokens"),
    ("thoughtsTokenCount",),
    ("reasoning_tokens",),
)
