"""What a chat message or a delta of one says: the same fields in both, with different names at providers."""

from typing import Any

from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import fields, objects, text


def reasoning_of(message: Json) -> str:
    """What the model thinks. Some servers send it under both names."""
    found = text(message.get("reasoning_content")) or text(message.get("reasoning"))
    content = message.get("content")
    if found or not isinstance(content, list):
        return found
    return "".join(_part_text(part.get("thinking")) for part in objects(content))  # Mistral


def text_of(message: Json) -> str:
    """What it says."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(text(part.get("text")) for part in objects(content) if part.get("type") == "text")
    return text(content)


def calls_of(message: Json) -> list[Json]:
    """The tool calls. The one of an old server is as one of many."""
    if isinstance(old := message.get("function_call"), dict):
        return [{"index": 0, "function": old}]
    return objects(message.get("tool_calls"))


def signature_of(call: Json) -> str:
    """What Gemini wants to see again with a call."""
    return text(fields(fields(call.get("extra_content")).get("google")).get("thought_signature"))


def wrong_input(arguments: str) -> Json:
    """A tool's input, which must be an object, where the model wrote something else."""
    return {"invalid_arguments": arguments}


def _part_text(value: Any) -> str:
    return "".join(text(part.get("text")) for part in objects(value)) or text(value)
