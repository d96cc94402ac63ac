"""A messages request into a chat request: what is not the conversation, the tools or the thinking.

Each field of Anthropic's is in one of the tables below, with what becomes of it; docs/formats.md says why.
What is in none is refused by name, or left out with `drop_params`.
"""

from typing import Any

import msgspec
from lessllm_shared import tolerant_json

from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.messages_to_chat.thinking import refuses_sampling, thinking_fields
from lessllm_gateway.translate.messages_to_chat.tools import ToolNames, takes_strict, tool_fields
from lessllm_gateway.translate.messages_to_chat.turns import chat_messages
from lessllm_gateway.translate.messages_to_chat.user import user_fields
from lessllm_gateway.translate.traits import by_model
from lessllm_gateway.translate.translation import Json, Wanted
from lessllm_gateway.translate.values import fields

_TRANSLATED = frozenset(
    {"model", "messages", "system", "max_tokens", "stop_sequences", "stream", "temperature", "top_p", "top_k"}
    | {"tools", "tool_choice", "thinking", "output_config", "output_format"}
    | {"metadata", "service_tier", "speed"}
)
# Nothing is lost: where an OpenAI-format provider caches prompts, it does so by itself.
_NEEDLESS = frozenset(("cache_control",))
# Agents send these by themselves. The answer is the same without.
_WISHES = frozenset(("context_management", "diagnostics", "fallbacks", "fallback_credit_token"))
# The answer would be another one, whatever the settings.
_ESSENTIAL = {
    "thread": "the conversation is kept at Anthropic; send all of its messages",
    "compaction": "a request for a summary that only Anthropic can make",
}
_SAMPLING = {"temperature": "temperature", "top_p": "top_p", "stop_sequences": "stop", "top_k": "top_k"}
_SAMPLING_DEFAULT = 1  # of temperature and top_p, with both APIs
_NO_COUNTERPART = "has no counterpart in OpenAI's chat completions"
_encoder = msgspec.json.Encoder()


def read(body: bytes) -> Json:
    """The messages request. Raises Rejection."""
    try:
        request = tolerant_json.loads(body)
    except ValueError as error:
        raise Rejection(400, "invalid_json", f"the request body is not valid JSON: {error}") from None
    if not isinstance(request, dict):
        raise Rejection(400, "invalid_json", "the request body must be a JSON object")
    return request


def too_deep() -> Rejection:
    """For a request that JSON parsers get through, and nothing after them."""
    return Rejection(400, "invalid_json", "the request body is nested too deeply")


def chat_request(request: Json, wanted: Wanted, names: ToolNames) -> bytes:
    """The chat request. Raises Rejection, and RecursionError for what is nested too deeply."""
    return _encoder.encode(_translated(request, wanted, names))


def _translated(request: Json, wanted: Wanted, names: ToolNames) -> Json:
    _judge_fields(request, wanted)
    chat: Json = {"model": wanted.model, "messages": chat_messages(request, wanted, names)}
    limit = request.get("max_tokens")
    if limit is not None:
        chat[wanted.chat.limit] = _bounded(limit, wanted)
    if wanted.streaming:
        chat["stream"] = True
        if wanted.takes_stream_options:
            chat["stream_options"] = {"include_usage": True}
    chat |= tool_fields(request, wanted, names)
    chat |= thinking_fields(request, wanted, has_tools="tools" in chat)
    chat |= _sampling(request, wanted, chat)
    chat |= _response_format(request)
    chat |= user_fields(request, wanted)
    return chat | _tier(request, wanted)


def _judge_fields(request: Json, wanted: Wanted) -> None:
    for name, value in request.items():
        if value is None or name in _TRANSLATED or name in _NEEDLESS:
            continue
        if name in _ESSENTIAL:
            raise Rejection(400, "unsupported_parameter", f"{name}: {_ESSENTIAL[name]}")
        if name in _WISHES:
            wanted.leave_out(name)
        elif value not in ([], {}):
            wanted.drop(name, _NO_COUNTERPART)
    if fields(request.get("output_config")).get("task_budget") is not None:
        wanted.leave_out("output_config.task_budget")


def _bounded(limit: Any, wanted: Wanted) -> Any:
    """What the model takes: agents ask for as much as Claude can say, which others refuse."""
    if limit == 0:  # Anthropic fills its cache and answers nothing
        wanted.leave_out("max_tokens")
        return 1
    most = by_model(wanted.chat.output_limits, wanted.model)
    return min(limit, most) if most is not None and isinstance(limit, int) else limit


def _sampling(request: Json, wanted: Wanted, chat: Json) -> Json:
    refused = set() if wanted.chat.top_k else {"top_k"}
    if refuses_sampling(wanted, chat):
        refused |= {"temperature", "top_p", "stop_sequences"}
    result: Json = {}
    for name, theirs in _SAMPLING.items():
        value = request.get(name)
        if value is None or value == []:
            continue
        if name not in refused:
            result[theirs] = value
        elif value != _SAMPLING_DEFAULT:
            wanted.drop(name, "the model does not take it")
    return result


def _response_format(request: Json) -> Json:
    asked = fields(request.get("output_config")).get("format") or request.get("output_format")
    if asked is None:
        return {}
    form = fields(asked)
    schema = form.get("schema")
    if form.get("type") != "json_schema" or not isinstance(schema, dict):
        raise Rejection(400, "invalid_request", "output_config.format: must be a json_schema with a schema")
    wish: Json = {"name": "answer", "schema": schema}
    if takes_strict(schema):
        wish["strict"] = True
    return {"response_format": {"type": "json_schema", "json_schema": wish}}


def _tier(request: Json, wanted: Wanted) -> Json:
    if request.get("speed") == "fast":
        if wanted.chat.service_tier:
            return {"service_tier": "priority"}
        wanted.drop("speed", "the provider has no fast mode")
    if request.get("service_tier") == "standard_only" and wanted.chat.service_tier:
        return {"service_tier": "default"}
    return {}
