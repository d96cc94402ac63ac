"""What a model wants back unchanged, packed into a text that the client keeps: the `encrypted_content` of a
reasoning item, the `signature` of a thinking block.

Thinking with its signature, DeepSeek's reasoning beside tool calls, Gemini's thought signatures: a chat
message has fields for them, other APIs have none, but their clients send items and blocks back as they
came. Packed, not encrypted: it is the client's own conversation. Only the model that said it gets it back:
others refuse what is not theirs.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import msgspec
from lessllm_shared import tolerant_json

from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import fields, objects, text

TEXTS = ("reasoning_content", "reasoning")
WHOLE = ("reasoning_details", "thinking_blocks")  # have the texts in them
FIELDS = (*TEXTS, *WHOLE, "extra_content")  # of an assistant's message
MARK = "lessllm-"  # what has another beginning was packed by somebody else
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Carried:
    """`message` has fields of the assistant's message, `calls` those of its tool calls, by call id."""

    message: Json
    calls: dict[str, Json]


def pack(model: str | None, message: Json, calls: dict[str, Json]) -> str:
    """The text that a client keeps."""
    if any(message.get(name) for name in WHOLE):
        message = {name: value for name, value in message.items() if name not in TEXTS}
    if "thinking_blocks" in message:  # their index is of streams only
        blocks = objects(message["thinking_blocks"])
        plain = [{name: value for name, value in block.items() if name != "index"} for block in blocks]
        message = {**message, "thinking_blocks": plain}
    data = _encoder.encode({"model": model, "message": message, "calls": calls})
    return MARK + base64.b64encode(data).decode()


def unpack(packed: Any, model: str | None) -> Carried | None:
    """What was packed; None if it was not by us, or said by another model."""
    if not text(packed).startswith(MARK):
        return None
    try:
        data = fields(tolerant_json.loads(base64.b64decode(packed.removeprefix(MARK), validate=True)))
    except (binascii.Error, ValueError):
        return None
    if data.get("model") != model:
        return None
    message, calls = fields(data.get("message")), fields(data.get("calls"))
    return Carried(
        {name: value for name, value in message.items() if name in FIELDS},
        {
            call_id: {"extra_content": call["extra_content"]}
            for call_id, call in calls.items()
            if isinstance(call, dict) and "extra_content" in call
        },
    )
