"""A chat request into a messages request."""

import msgspec
from lessllm_shared import tolerant_json

from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.chat_to_messages import options
from lessllm_gateway.translate.chat_to_messages.conversation import Conversation
from lessllm_gateway.translate.chat_to_messages.models import Model, model_of
from lessllm_gateway.translate.chat_to_messages.parts import invalid
from lessllm_gateway.translate.chat_to_messages.thoughts import lacks_thinking
from lessllm_gateway.translate.chat_to_messages.tools import Tools
from lessllm_gateway.translate.translation import Json, Wanted
from lessllm_gateway.translate.values import fields

_encoder = msgspec.json.Encoder()


def request(body: bytes, wanted: Wanted) -> tuple[bytes, str | None]:
    """The messages request, and the tool that stands for `response_format`, if one does. Raises Rejection."""
    try:
        chat = _object(body)
        translated, answer_tool = _translated(chat, model_of(wanted.model or ""), wanted)
        return _encoder.encode(translated), answer_tool
    except RecursionError:
        raise Rejection(400, "invalid_json", "the request body is nested too deeply") from None


def _object(body: bytes) -> Json:
    try:
        chat = tolerant_json.loads(body)
    except ValueError as error:
        raise Rejection(400, "invalid_json", f"the request body is not valid JSON: {error}") from None
    if not isinstance(chat, dict):
        raise Rejection(400, "invalid_request", "the request body must be a JSON object")
    return chat


def _translated(chat: Json, model: Model, wanted: Wanted) -> tuple[Json, str | None]:
    options.refuse_unknown(chat, wanted)
    conversation = _conversation(chat, model, wanted)
    tools = Tools(chat, model, wanted)
    limits = options.limits(chat, model, wanted)
    thought = options.thinking(chat, model, limits["max_tokens"], wanted, is_forced=tools.is_forced)
    thinking = fields(thought.get("thinking"))
    if thinking.get("type") == "enabled" and lacks_thinking(conversation.turns):
        wanted.leave_out("reasoning_effort" if "thinking" not in chat else "thinking")
        thinking = {}
    thinks = thinking.get("type") in {"enabled", "adaptive"}
    output = {"effort": thought.get("effort"), "format": tools.format or None}
    parts: Json = {
        "system": conversation.system,
        **tools.fields(conversation.turns),
        **options.sampling(chat, model, wanted, thinks=thinks),
        "thinking": thinking,
        "output_config": {name: value for name, value in output.items() if value is not None},
        **options.who(chat, wanted),
    }
    return {
        "model": wanted.model,
        **limits,
        "messages": conversation.turns,
        "stream": wanted.streaming,
        **{name: value for name, value in parts.items() if value not in ([], {})},
    }, tools.answer_tool


def _conversation(chat: Json, model: Model, wanted: Wanted) -> Conversation:
    messages = chat.get("messages")
    if not isinstance(messages, list):
        raise invalid("messages", "must be a list")
    conversation = Conversation(model, wanted)
    for index, message in enumerate(messages):
        conversation.add(message, f"messages[{index}]")
    conversation.end()
    return conversation
