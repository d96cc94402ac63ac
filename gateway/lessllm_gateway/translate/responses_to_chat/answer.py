"""The response object: what the API repeats of the request, and what became of it; usage and errors."""

import time
from typing import Any

import msgspec
from lessllm_shared import tolerant_json

from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import count, fields, objects, text

_encoder = msgspec.json.Encoder()
# Null is not known here: the provider's own default.
_REPEATED: Json = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": None,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
# What stays of chat's reasons; any other is an answer to its end.
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def begun(request: Json, name: str, model: str | None) -> Json:
    """What is known of a response before the upstream has said a word."""
    given = {n: default if request.get(n) is None else request[n] for n, default in _REPEATED.items()}
    return {
        "id": f"resp_{name}",
        "object": "response",
        "created_at": int(time.time()),
        "model": model,
        **given,
        "reasoning": {"effort": None, "summary": None, **fields(request.get("reasoning"))},
        "text": {"format": {"type": "text"}, **fields(request.get("text"))},
        "background": False,
        "previous_response_id": None,
        "store": False,  # whatever was asked for
    }


def said(answer: Json) -> Json:
    """What a completion, or a chunk of it, says of the response as a whole."""
    named = {name: text(answer.get(name)) for name in ("model", "service_tier")}
    found: Json = {name: value for name, value in named.items() if value}
    if created := count(answer.get("created")):
        found["created_at"] = created
    return found


def response(begun: Json, status: str, output: list[Json], **how: Any) -> Json:
    """The response object as it is now. `begun` has what doesn't change."""
    completed_at = int(time.time()) if status == "completed" else None
    unset = {"error": None, "incomplete_details": None, "usage": None}
    return {**begun, "status": status, "completed_at": completed_at, **unset, **how, "output": output}


def ended(finish_reason: Any, reported: Json) -> tuple[str, Json]:
    """Status of an answer that came to its end, and the fields that say how."""
    reason = _INCOMPLETE.get(text(finish_reason))
    details = None if reason is None else {"reason": reason}
    status = "completed" if reason is None else "incomplete"
    return status, {"incomplete_details": details, "usage": usage(reported)}


def first_choice(answer: Json) -> Json:
    """The one that becomes the response; empty if there is none."""
    return next(iter(objects(answer.get("choices"))), {})


def logprobs(choice: Json) -> list[Any]:
    """Those of the text."""
    found = fields(choice.get("logprobs")).get("content")
    return found if isinstance(found, list) else []


def usage_in(chunk: Json) -> Json:
    """The usage that a chunk reports: Kimi's sits in the choice, Groq's under its own name."""
    places = (chunk, first_choice(chunk), fields(chunk.get("x_groq")))
    return next((found for place in places if (found := fields(place.get("usage")))), {})


def usage(reported: Json) -> Json | None:
    """The API's usage; None if nothing was reported. It wants a number for each part: unknown ones are 0."""
    if not reported:
        return None
    prompt, completion = _count(reported, "prompt_tokens"), _count(reported, "completion_tokens")
    read, made = (
        fields(reported.get("prompt_tokens_details")),
        fields(reported.get("completion_tokens_details")),
    )
    # DeepSeek's and Kimi's names for it.
    cached = _count(reported, "prompt_cache_hit_tokens") or _count(reported, "cached_tokens")
    return {
        "input_tokens": prompt,
        "input_tokens_details": {
            "cached_tokens": _count(read, "cached_tokens") or cached,
            "cache_write_tokens": _count(read, "cache_write_tokens"),
        },
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": _count(made, "reasoning_tokens")},
        "total_tokens": _count(reported, "total_tokens") or prompt + completion,
    }


def error(status: int, body: bytes) -> tuple[int, bytes]:
    """Status and body of an OpenAI error: chat's own, or one made of what a provider sent instead."""
    code, message = told(_loaded(body))
    if message is None:
        message = body[:1000].decode("utf-8", "replace")
    detail = {"message": message, "type": code or "api_error", "param": None, "code": code}
    return status, _encoder.encode({"error": detail})


def told(value: Any) -> tuple[str | None, str | None]:
    """Code (or type) and message of an upstream's error; None what it has not."""
    if isinstance(value, list) and value:  # Gemini's, of its OpenAI-compatible endpoint
        value = value[0]
    detail = value.get("error") if isinstance(value, dict) else None
    if isinstance(detail, str):
        return None, detail
    if not isinstance(detail, dict):
        detail = value if isinstance(value, dict) else {}  # vLLM's has no envelope
    codes = (detail.get(name) for name in ("code", "type", "status"))
    code = next((str(code) for code in codes if isinstance(code, str | int) and code), None)
    message = detail.get("message")
    return code, message if isinstance(message, str) else None


def _loaded(body: bytes) -> Any:
    try:
        return tolerant_json.loads(body)
    except ValueError:
        return None


def _count(value: Json, name: str) -> int:
    return count(value.get(name)) or 0
