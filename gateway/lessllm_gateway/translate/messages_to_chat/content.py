"""Content blocks as parts of a chat message: text, images, documents, search results.

What a block holds besides its text (a title, a context) is put before it as text. A part that is not text
can't be in every message: see `turns`.
"""

from typing import Any

from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.traits import by_model
from lessllm_gateway.translate.translation import Json, Wanted
from lessllm_gateway.translate.values import fields, text

SEPARATOR = "\n\n"  # between texts that were blocks of their own


def blocks_of(content: Any, where: str) -> list[Json]:
    """The blocks of a message or a result; a string is one of text. Raises Rejection."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if isinstance(content, list) and all(isinstance(block, dict) for block in content):
        return content
    raise Rejection(400, "invalid_request", f"{where}: must be a string or a list of content blocks")


def parts_of(block: Json, where: str, wanted: Wanted) -> list[Json]:
    """The parts of a user's block. Raises Rejection."""
    kind = text(block.get("type"))
    make = _PARTS.get(kind)
    if make is None:
        wanted.drop(f"messages.{kind}", f"{where} has no counterpart in OpenAI's chat completions")
        return []
    if fields(block.get("citations")).get("enabled") is True:
        wanted.drop("messages.citations", f"{where} asks for citations, and the provider gives none")
    return marked(make(block, where, wanted), block, wanted)


def marked(parts: list[Json], block: Json, wanted: Wanted) -> list[Json]:
    """The parts of a block; the last one has the block's mark for the cache, where the model knows such."""
    mark = block.get("cache_control")
    if not parts or not isinstance(mark, dict):
        return parts
    name = by_model(wanted.chat.cache_marks, wanted.model)
    if name is None:
        return parts
    return [*parts[:-1], {**parts[-1], name: mark if name == "cache_control" else {"mode": "explicit"}}]


def text_part(said: str) -> Json:
    """A part of text."""
    return {"type": "text", "text": said}


def settled(parts: list[Json]) -> str | list[Json]:
    """A message's content: a string where it can be one, since not every server takes lists."""
    if all(part.keys() == {"type", "text"} for part in parts):
        return SEPARATOR.join(part["text"] for part in parts)
    return parts


def _text(block: Json, where: str, wanted: Wanted) -> list[Json]:
    del where, wanted
    said = text(block.get("text"))
    return [text_part(said)] if said else []


def _image(block: Json, where: str, wanted: Wanted) -> list[Json]:
    source = fields(block.get("source"))
    url = _data_url(source) if source.get("type") == "base64" else text(source.get("url"))
    if not url:
        wanted.drop("messages.image.source", f"{where}: an image by file id is Anthropic's own")
        return []
    return [{"type": "image_url", "image_url": {"url": url}}]


def _document(block: Json, where: str, wanted: Wanted) -> list[Json]:
    source = fields(block.get("source"))
    title, context = text(block.get("title")), text(block.get("context"))
    kind = source.get("type")
    if kind == "base64":
        file = {"filename": title or "document.pdf", "file_data": _data_url(source)}
        return [*_headed("", context), {"type": "file", "file": file}]
    if kind == "text":
        return [*_headed(title, context), text_part(text(source.get("data")))]
    if kind == "content":
        inner = blocks_of(source.get("content"), f"{where}.source.content")
        parts = [part for b in inner for part in parts_of(b, f"{where}.source.content", wanted)]
        return [*_headed(title, context), *parts]
    wanted.drop(
        "messages.document.source", f"{where}: OpenAI's chat completions take no document by URL or file id"
    )
    return []


def _search_result(block: Json, where: str, wanted: Wanted) -> list[Json]:
    inner = blocks_of(block.get("content"), f"{where}.content")
    parts = [part for b in inner for part in parts_of(b, f"{where}.content", wanted)]
    return [*_headed(text(block.get("title")), text(block.get("source"))), *parts]


def _compaction(block: Json, where: str, wanted: Wanted) -> list[Json]:
    del where, wanted
    said = text(block.get("content"))
    return [text_part(said)] if said else []


def _tool_reference(block: Json, where: str, wanted: Wanted) -> list[Json]:
    del where, wanted  # every tool is before the model anyway
    return [text_part(f"The tool {text(block.get('tool_name'))} is available.")]


def _headed(title: str, context: str) -> list[Json]:
    heading = "\n".join(line for line in (title, context) if line)
    return [text_part(heading)] if heading else []


def _data_url(source: Json) -> str:
    return f"data:{text(source.get('media_type'))};base64,{text(source.get('data'))}"


_PARTS = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "compaction": _compaction,
    "tool_reference": _tool_reference,
}
