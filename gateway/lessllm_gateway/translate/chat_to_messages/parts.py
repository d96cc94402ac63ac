"""Content parts of a chat message into content blocks: text, images, files.

A part's `cache_control` goes on as it is; OpenAI's own mark for the same, `prompt_cache_breakpoint`, becomes
one. Anthropic refuses text without a letter in it, and such text says nothing: it is left out.
"""

import base64
import re
from typing import Any
from urllib.parse import unquote_to_bytes

from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.translation import Json, Wanted
from lessllm_gateway.translate.values import fields, text

_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
_ELSEWHERE = ("https://", "http://")
_PDF_IN_BASE64 = "JVBERi"  # %PDF-
_MARKED_BY_OPENAI = {"type": "ephemeral"}


def blocks(content: Any, where: str, wanted: Wanted) -> list[Json]:
    """The blocks of a message's content. Raises Rejection."""
    if content is None:
        return []
    if isinstance(content, str):
        return text_blocks(content, {})
    if not isinstance(content, list):
        raise invalid(where, "must be a string or a list of content parts")
    return [found for index, part in enumerate(content) for found in block(part, f"{where}[{index}]", wanted)]


def block(part: Any, where: str, wanted: Wanted) -> list[Json]:
    """The block of one part, if it says anything. Raises Rejection."""
    if not isinstance(part, dict):
        raise invalid(where, "must be an object")
    kind = text(part.get("type"))
    if kind in {"text", "refusal"}:
        return text_blocks(text(part.get(kind)), part)
    if kind == "image_url":
        found = _image(part.get("image_url"), f"{where}.image_url", wanted)
    elif kind == "file":
        found = _file(fields(part.get("file")), f"{where}.file", wanted)
    else:
        wanted.drop(kind or "type", f"{where} can't be given to a model that is asked by Anthropic messages")
        return []
    return [{**found, **mark(part)}] if found else []


def text_blocks(said: str, part: Json) -> list[Json]:
    """One block, or none for text that says nothing."""
    return [{"type": "text", "text": said, **mark(part)}] if said.strip() else []


def mark(part: Json) -> Json:
    """The cache mark of a part."""
    if isinstance(given := part.get("cache_control"), dict):
        return {"cache_control": given}
    return {"cache_control": _MARKED_BY_OPENAI} if part.get("prompt_cache_breakpoint") else {}


def invalid(where: str, what: str) -> Rejection:
    """A request that OpenAI would refuse too."""
    return Rejection(400, "invalid_request", f"{where}: {what}")


def _image(image: Any, where: str, wanted: Wanted) -> Json | None:
    url = image if isinstance(image, str) else text(fields(image).get("url"))
    if fields(image).get("detail", "auto") != "auto":
        wanted.leave_out("image_url.detail")
    if url.startswith(_ELSEWHERE):
        return {"type": "image", "source": {"type": "url", "url": url}}
    return _held(url, where, wanted)


def _file(file: Json, where: str, wanted: Wanted) -> Json | None:
    data, name, identifier = (text(file.get(n)) for n in ("file_data", "filename", "file_id"))
    if identifier.startswith(_ELSEWHERE):  # as other gateways have it
        found: Json | None = {"type": "document", "source": {"type": "url", "url": identifier}}
    elif identifier:
        found = {"type": "document", "source": {"type": "file", "file_id": identifier}}
    elif data.startswith(_PDF_IN_BASE64):
        found = _held(f"data:application/pdf;base64,{data}", where, wanted)
    else:
        found = _held(data, where, wanted)
    return {**found, "title": name} if name and found and found["type"] == "document" else found


def _held(url: str, where: str, wanted: Wanted) -> Json | None:
    """What a data URL holds."""
    match = _DATA_URL.match(url)
    if match is None:
        raise invalid(where, "must be an https: or a data: URL")
    media_type = match[1].strip().lower()
    is_base64 = match[2].lower().endswith(";base64")
    data = url[match.end() :]
    if media_type.startswith("text/"):
        source = {"type": "text", "media_type": "text/plain", "data": _text(data, where, is_base64=is_base64)}
        return {"type": "document", "source": source}
    if not is_base64:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    source = {"type": "base64", "media_type": _MEDIA_TYPES.get(media_type, media_type), "data": data}
    if media_type.startswith("image/"):
        return {"type": "image", "source": source}
    if media_type == "application/pdf":
        return {"type": "document", "source": source}
    wanted.drop("file", f"{where} is {media_type[:40]}, and neither text, an image nor a PDF")
    return None


def _text(data: str, where: str, *, is_base64: bool) -> str:
    try:
        held = base64.b64decode(data) if is_base64 else unquote_to_bytes(data)
    except ValueError:
        raise invalid(where, "is not valid base64") from None
    return held.decode("utf-8", "replace")


_MEDIA_TYPES = {"image/jpg": "image/jpeg"}  # not a media type, and often written
