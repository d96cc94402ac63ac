"""A chat completion into a message."""

from typing import Any

from lessllm_shared import tolerant_json

from lessllm_gateway.translate.messages_to_chat import ids
from lessllm_gateway.translate.messages_to_chat.reading import (
    calls_of,
    reasoning_of,
    signature_of,
    text_of,
    wrong_input,
)
from lessllm_gateway.translate.messages_to_chat.remembered import Remembered
from lessllm_gateway.translate.messages_to_chat.stops import stop_fields
from lessllm_gateway.translate.messages_to_chat.thinking import kept_of, signature
from lessllm_gateway.translate.messages_to_chat.tools import ToolNames
from lessllm_gateway.translate.messages_to_chat.usage import message_usage, reported_usage, tier
from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import fields, objects, text


def message(completion: Json, asked: Remembered) -> Json:
    """The message. Raises ValueError for what is no chat completion."""
    choice = next(iter(objects(completion.get("choices"))), None)
    if choice is None or not isinstance(choice.get("message"), dict):
        raise ValueError("not a chat completion as OpenAI documents it: it has no choice with a message")
    said = choice["message"]
    blocks: list[Json] = []
    thinking, kept = reasoning_of(said), kept_of(said)
    if asked.shows_thinking and (thinking or kept):
        sign = signature(kept, asked.model)
        blocks.append({"type": "thinking", "thinking": thinking, "signature": sign})
    refusal = text(said.get("refusal"))
    if spoken := "".join(part for part in (text_of(said), refusal) if part.strip()):
        blocks.append({"type": "text", "text": spoken})
    calls = [_tool_use(call, asked.names) for call in calls_of(said)]
    usage = message_usage(reported_usage(completion), asked.input_estimate)
    return {
        "id": text(completion.get("id")) or ids.new_id("msg"),
        "type": "message",
        "role": "assistant",
        "model": text(completion.get("model")) or asked.model,
        "content": [*blocks, *calls],
        **stop_fields(choice, has_calls=bool(calls), refused=bool(refusal)),
        "usage": {**usage, "service_tier": tier(completion)},
    }


def _tool_use(call: Json, names: ToolNames) -> Json:
    function = fields(call.get("function"))
    known = text(call.get("id")) or ids.new_id("toolu")
    return {
        "type": "tool_use",
        "id": ids.for_client(known, signature_of(call)),
        "name": names.for_client(text(function.get("name"))),
        "input": _input(function.get("arguments")),
    }


def _input(arguments: Any) -> Json:
    if isinstance(arguments, dict):
        return arguments
    written = text(arguments).strip()
    if written in {"", "null"}:
        return {}
    try:
        value = tolerant_json.loads(written)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else wrong_input(written)
