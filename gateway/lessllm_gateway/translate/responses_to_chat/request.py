"""A responses request into a chat request.

What chat documents too, and what neither documents (a provider's own extensions), goes on as it is. What
depends on something stored is refused, whatever the settings say: without it the request would mean something
else.
"""

import msgspec

from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.responses_to_chat.tools import tools
from lessllm_gateway.translate.responses_to_chat.turns import messages
from lessllm_gateway.translate.traits import EFFORTS, by_model, fits, nearest_effort, switch
from lessllm_gateway.translate.translation import Json, Wanted
from lessllm_gateway.translate.values import fields

_STORED = ("previous_response_id", "conversation", "prompt")
# Concern only what is not sent: what the answer repeats, and what the Responses API stores or runs itself.
_NOT_SENT = ("store", "metadata", "include", "max_tool_calls", "background", "stream")
_MADE = ("model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "stream_options")
_RENAMED = ("max_output_tokens", "reasoning", "text", "truncation", "top_logprobs", "n", "service_tier")
_NO_COUNTERPART = ("access_programs", "background_options", "context_management", "generate", "image")
_TREATED = frozenset((*_STORED, *_NOT_SENT, *_MADE, *_RENAMED, *_NO_COUNTERPART, "user"))
_LACKING = "has no counterpart in OpenAI's chat completions"
_encoder = msgspec.json.Encoder()


def chat_request(request: Json, wanted: Wanted) -> bytes:
    """The chat request. Raises Rejection."""
    _refuse_state(request)
    _judge(request, wanted)
    chat: Json = {"model": wanted.model, "messages": messages(request, wanted)}
    chat |= tools(request, wanted)
    chat |= _limits(request, wanted)
    chat |= _format(_object(request, "text"), wanted)
    chat |= _thinking(_object(request, "reasoning"), wanted, has_tools="tools" in chat)
    chat |= _by_trait(request, wanted)
    chat |= {n: value for n, value in request.items() if n not in _TREATED and value is not None}
    chat["stream"] = wanted.streaming
    if wanted.streaming and wanted.takes_stream_options:
        chat["stream_options"] = {"include_usage": True}
    return _encoder.encode(chat)


def _refuse_state(request: Json) -> None:
    for name in _STORED:
        if request.get(name) is not None:
            raise Rejection(
                400,
                "stateless_provider",
                f"{name}: refers to what a provider with the Responses API has stored, and this call goes to"
                " one without it: send the whole conversation in `input`; if it has that API after all, set"
                " providers.<name>.responses",
            )
    if request.get("background"):
        raise Rejection(
            400, "stateless_provider", "background: this call goes to a provider that only answers at once"
        )


def _judge(request: Json, wanted: Wanted) -> None:
    for name in _NO_COUNTERPART:
        if request.get(name) is not None:
            wanted.drop(name, _LACKING)
    if request.get("truncation") not in (None, "disabled"):
        wanted.drop("truncation", "only the provider could cut the input to what its model takes")
    if request.get("n") not in (None, 1):
        wanted.drop("n", "a response is one answer")
    if request.get("store"):
        wanted.leave_out("store")


def _limits(request: Json, wanted: Wanted) -> Json:
    chat: Json = {}
    if (limit := request.get("max_output_tokens")) is not None:
        chat[wanted.chat.limit] = limit
    include, top = request.get("include"), request.get("top_logprobs")
    if top or (isinstance(include, list) and "message.output_text.logprobs" in include):
        chat["logprobs"] = True
    if top:
        chat["top_logprobs"] = top
    return chat


def _format(text: Json, wanted: Wanted) -> Json:
    chat: Json = {}
    if (verbosity := text.get("verbosity")) is not None:
        chat["verbosity"] = verbosity
    form = fields(text.get("format"))
    kind = form.get("type")
    if kind == "json_schema":
        names = ("name", "description", "schema", "strict")
        schema = {name: form[name] for name in names if form.get(name) is not None}
        chat["response_format"] = {"type": kind, kind: schema}
    elif kind == "json_object":
        chat["response_format"] = {"type": kind}
    elif text.get("format") is not None and kind != "text":
        wanted.drop("text.format", _LACKING)
    return chat


def _thinking(reasoning: Json, wanted: Wanted, *, has_tools: bool) -> Json:
    """How much to think, as far as the model can be told: it answers without, too."""
    if reasoning.get("mode") not in (None, "standard"):
        wanted.drop("reasoning.mode", _LACKING)
    if reasoning.get("context") not in (None, "auto"):
        wanted.drop("reasoning.context", _LACKING)
    asked = reasoning.get("effort")
    if asked is not None and asked not in EFFORTS:
        raise Rejection(400, "invalid_request", f"reasoning.effort: must be one of {', '.join(EFFORTS)}")
    chat: Json = {}
    name = by_model(wanted.chat.thinking, wanted.model)
    if name is not None and asked is not None:
        chat[name] = switch(name, on=asked != "none")
    taken = by_model(wanted.chat.efforts, wanted.model) or ()
    if has_tools and "none" in taken and fits(wanted.chat.tools_without_effort, wanted.model):
        chat["reasoning_effort"] = "none"
    elif taken and asked is not None and not (name and asked == "none"):
        chat["reasoning_effort"] = nearest_effort(asked, taken)
    if asked is not None and chat.get("reasoning_effort") != asked and not (name and asked == "none"):
        wanted.leave_out("reasoning.effort")
    return chat


def _by_trait(request: Json, wanted: Wanted) -> Json:
    taken = {"user": wanted.chat.user, "service_tier": wanted.chat.service_tier}
    chat = {}
    for name, is_taken in taken.items():
        if request.get(name) is None:
            continue
        if is_taken:
            chat[name] = request[name]
        elif request[name] not in ("auto", "default"):
            wanted.leave_out(name)
    return chat


def _object(request: Json, name: str) -> Json:
    value = request.get(name)
    if value is not None and not isinstance(value, dict):
        raise Rejection(400, "invalid_request", f"{name}: must be an object")
    return fields(value)
