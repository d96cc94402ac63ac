"""A message into a chat completion, and why it ended."""

from typing import Any

from lessllm_shared.streams.merge import merge, merged

from lessllm_gateway.translate.chat_to_messages.blocks import Said, block
from lessllm_gateway.translate.chat_to_messages.usage import usage
from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import fields, objects, text

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",  # the turn is not over, and chat has no way to go on with it
    "refusal": "content_filter",
}
_SERVICE_TIERS = {"standard": "default", "priority": "priority"}
_IN_STREAMS = "index"  # of an entry: plain answers do without


def answer(message: Json, head: Json, answer_tool: str | None) -> Json:
    """The chat completion for an Anthropic message. Raises ValueError for what is none."""
    content = fields(message).get("content")
    if not isinstance(content, list) or (content and not objects(content)):
        raise ValueError("not a message as Anthropic documents it")
    said = Said()
    gathered: Json = {}
    for start in objects(content):
        piece = block(start, said, answer_tool)
        merge(gathered, piece.opening())
        merge(gathered, piece.closing())
    refused = refusal(message)
    gathered = {name: _plain(value) for name, value in merged(gathered).items()}
    empty = None if said.calls or refused else ""
    reason = finish_reason(message.get("stop_reason"), said)
    return {
        **told(head, message),
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": empty, "refusal": refused, **gathered},
                "logprobs": None,
                "finish_reason": reason,
            }
        ],
        "usage": usage(fields(message.get("usage"))),
    }


def told(head: Json, message: Json) -> Json:
    """The head of an answer, as far as the message knows better."""
    known = {"id": text(message.get("id")), "model": text(message.get("model"))}
    tier = fields(message.get("usage")).get("service_tier")
    known["service_tier"] = _SERVICE_TIERS.get(text(tier), "")
    return {**head, **{name: value for name, value in known.items() if value}}


def finish_reason(stop_reason: Any, said: Said) -> str:
    """OpenAI's word for why the answer ended."""
    finished = _FINISH_REASONS.get(text(stop_reason), "stop")
    return "tool_calls" if finished == "stop" and said.calls else finished


def refusal(message: Json) -> str | None:
    """What Anthropic says about a refusal, if it is one and says anything."""
    if message.get("stop_reason") != "refusal":
        return None
    return text(fields(message.get("stop_details")).get("explanation")) or None


def _plain(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [{name: item for name, item in entry.items() if name != _IN_STREAMS} for entry in value]
