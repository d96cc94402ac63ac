"""The fields beside messages and tools: limits, sampling, thinking, who asks."""

from typing import Any

from lessllm_gateway.translate.chat_to_messages.models import Model
from lessllm_gateway.translate.chat_to_messages.parts import invalid
from lessllm_gateway.translate.translation import Json, Wanted
from lessllm_gateway.translate.values import count, fields, text

MIN_BUDGET_TOKENS = 1024  # Anthropic's, of thinking

_HANDLED = frozenset(
    (
        *("model", "messages", "stream", "stream_options"),
        *("max_tokens", "max_completion_tokens", "stop", "temperature", "top_p", "top_k"),
        *("tools", "tool_choice", "parallel_tool_calls", "response_format"),
        *("reasoning_effort", "thinking", "cache_control"),
        *("user", "safety_identifier", "metadata", "service_tier"),
    )
)
# Saying what is so anyway.
_WITHOUT_EFFECT: tuple[tuple[str, Any], ...] = (
    ("n", 1),
    ("logprobs", False),
    ("top_logprobs", 0),
    ("presence_penalty", 0),
    ("frequency_penalty", 0),
    ("logit_bias", {}),
    ("store", False),
    ("modalities", ["text"]),
    ("verbosity", "medium"),
)
# Hints for OpenAI's own machinery, that change nothing of what is answered.
_HINTS = frozenset(("prediction", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"))
_EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")
_BUDGET_TOKENS = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 32_768,
    "max": 32_768,
}
_SERVICE_TIERS = {"auto": "auto", "default": "standard_only"}


def refuse_unknown(chat: Json, wanted: Wanted) -> None:
    """What has no counterpart and is no default. Raises Rejection."""
    for name, value in chat.items():
        if name in _HINTS and value is not None:
            wanted.leave_out(name)
        elif name not in _HANDLED and value is not None and (name, value) not in _WITHOUT_EFFECT:
            wanted.drop(name, "has no counterpart in Anthropic messages")


def limits(chat: Json, model: Model, wanted: Wanted) -> Json:
    """max_tokens, which Anthropic wants, and stop_sequences."""
    given = (chat.get(name) for name in ("max_completion_tokens", "max_tokens"))
    result: Json = {"max_tokens": next((limit for limit in given if limit is not None), model.max_tokens)}
    stop = chat.get("stop") or []
    sequences = [stop] if isinstance(stop, str) else stop
    if not isinstance(sequences, list):
        raise invalid("stop", "must be a string or a list of strings")
    kept = [sequence for sequence in sequences if not isinstance(sequence, str) or sequence.strip()]
    if len(kept) < len(sequences):
        wanted.drop("stop", "Anthropic stops at no sequence of white space alone")
    return result | ({"stop_sequences": kept} if kept else {})


def sampling(chat: Json, model: Model, wanted: Wanted, *, thinks: bool) -> Json:
    """temperature, top_p, top_k. What is each model's default is not sent: many take nothing else."""
    asked = {
        name: chat[name]
        for name, default in (("temperature", 1), ("top_p", 1), ("top_k", None))
        if chat.get(name) is not None and chat[name] != default
    }
    for name in list(asked):
        if why := _refused(name, asked, model, thinks=thinks):
            wanted.drop(name, why.format(model=wanted.model))
            del asked[name]
    return asked


def _refused(name: str, asked: Json, model: Model, *, thinks: bool) -> str:
    """Why a value can't be sent; empty if it can."""
    value = asked[name]
    if model.sampling == "none":
        return "{model} takes none"
    if thinks and not (name == "top_p" and _is_number(value) and value >= 0.95):
        return "{model} takes none while it thinks"
    if name == "temperature" and _is_number(value) and value > 1:
        return "Anthropic's end at 1"
    if name == "top_p" and "temperature" in asked and model.sampling == "one":
        return "{model} takes a temperature or top_p, not both"
    return ""


def thinking(chat: Json, model: Model, limit: Any, wanted: Wanted, *, is_forced: bool) -> Json:
    """`thinking`, and the level of effort. `is_forced`: the model must call a tool."""
    effort = chat.get("reasoning_effort")
    if effort is not None and effort != "none" and effort not in _EFFORTS:
        raise invalid("reasoning_effort", f"must be none or one of {', '.join(_EFFORTS)}")
    level = _nearest(effort, model) if effort not in {None, "none"} else None
    result: Json = {"effort": level} if level else {}
    if isinstance(given := chat.get("thinking"), dict):  # Anthropic's own: other gateways take it here too
        return result | {"thinking": given}
    if effort is None:
        return {}
    if effort == "none":
        return _at_rest(model, wanted)
    if model.thinking == "adaptive":
        return result | {"thinking": {"type": "adaptive", "display": "summarized"}}
    return result | _budget(effort, model, limit, wanted, is_forced=is_forced)


def _at_rest(model: Model, wanted: Wanted) -> Json:
    if not model.thinks_unasked:
        return {}
    if not model.rest:
        wanted.drop("reasoning_effort", f"{wanted.model} always thinks")
        return {}
    return {"thinking": {"type": model.rest}}


def _budget(effort: str, model: Model, limit: Any, wanted: Wanted, *, is_forced: bool) -> Json:
    tokens = min(_BUDGET_TOKENS[effort], (count(limit) or 0) // 2)
    why = ""
    if model.thinking == "none":
        why = f"{wanted.model} does not think"
    elif is_forced:
        why = f"{wanted.model} does not think where it must call a tool"
    elif tokens < MIN_BUDGET_TOKENS:
        why = f"{wanted.model} thinks with at least {MIN_BUDGET_TOKENS} tokens, and half of the limit is less"
    if why:
        wanted.drop("reasoning_effort", why)
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


def _nearest(effort: str, model: Model) -> str | None:
    """The level of that name or, where there is none, the next below; the lowest for what is below all."""
    if not model.efforts:
        return None
    lower = [level for level in model.efforts if _EFFORTS.index(level) <= _EFFORTS.index(effort)]
    return lower[-1] if lower else model.efforts[0]


def who(chat: Json, wanted: Wanted) -> Json:
    """metadata.user_id, service_tier and the mark for automatic caching."""
    result: Json = {}
    metadata = fields(chat.get("metadata"))
    user = chat.get("safety_identifier") or chat.get("user") or metadata.get("user_id")
    if isinstance(user, str):
        result["metadata"] = {"user_id": user}
    if metadata.keys() - {"user_id"}:
        wanted.leave_out("metadata")
    tier = chat.get("service_tier")
    if (known := _SERVICE_TIERS.get(text(tier))) is not None:
        result["service_tier"] = known
    elif tier is not None:
        wanted.drop("service_tier", "Anthropic has none but auto and default")
    if chat.get("cache_control"):
        result["cache_control"] = chat["cache_control"]
    return result


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
