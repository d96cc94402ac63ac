"""Anthropic's usage as OpenAI's: its prompt tokens include what was read from and written to the cache."""

from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import count, fields


def usage(reported: Json) -> Json | None:
    """OpenAI's usage; None where the tokens are not known. A part that was not reported is left out."""
    fresh, completion = count(reported.get("input_tokens")), count(reported.get("output_tokens"))
    if fresh is None or completion is None:
        return None
    read = count(reported.get("cache_read_input_tokens"))
    written = count(reported.get("cache_creation_input_tokens"))
    thought = count(fields(reported.get("output_tokens_details")).get("thinking_tokens"))
    prompt = fresh + (read or 0) + (written or 0)
    result: Json = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": _known(cached_tokens=read, cache_write_tokens=written),
        "completion_tokens_details": _known(reasoning_tokens=thought),
    }
    return {name: value for name, value in result.items() if value != {}}


def _known(**parts: int | None) -> Json:
    return {name: value for name, value in parts.items() if value is not None}
