"""The content of an input item, in the chat format: a text, or a list of parts."""

from typing import Any

from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.translation import Json, Wanted

LACKING = "has no counterpart in OpenAI's chat completions"
_TEXTS = ("input_text", "output_text", "text")


def parts(content: Any, where: str, wanted: Wanted) -> list[Json]:
    """Chat's content parts, refusals as they are. Raises Rejection."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise Rejection(400, "invalid_request", f"{where}: must be a string or a list of parts")
    found = (_part(part, f"{where}[{index}]", wanted) for index, part in enumerate(content))
    return [part for part in found if part is not None]


def texts(found: list[Json]) -> str:
    """The texts among the parts, as one."""
    return "".join(part["text"] for part in found if part["type"] == "text")


def is_plain(found: list[Json]) -> bool:
    """Whether all of it is text without marks: such content can be a string, which every chat API takes."""
    return all(part.keys() == {"type", "text"} for part in found)


def string(item: Json, name: str, where: str) -> str:
    """A field that must be a string. Raises Rejection."""
    value = item.get(name)
    if not isinstance(value, str):
        raise Rejection(400, "invalid_request", f"{where}.{name}: must be a string")
    return value


def _part(part: Any, where: str, wanted: Wanted) -> Json | None:
    if not isinstance(part, dict):
        raise Rejection(400, "invalid_request", f"{where}: must be an object")
    kind = part.get("type")
    if kind in _TEXTS:
        made: Json | None = {"type": "text", "text": string(part, "text", where)}
    elif kind == "refusal":
        made = {"type": "refusal", "refusal": string(part, "refusal", where)}
    elif kind == "input_image":
        made = _image(part, where, wanted)
    elif kind == "input_file":
        made = _file(part, where)
    elif kind == "input_audio":
        made = {"type": "input_audio", "input_audio": part.get("input_audio")}
    else:
        wanted.drop(f"input.{kind}", f"{where} {LACKING}")
        return None
    if made is not None and part.get("prompt_cache_breakpoint") is not None:
        made["prompt_cache_breakpoint"] = part["prompt_cache_breakpoint"]
    return made


def _image(part: Json, where: str, wanted: Wanted) -> Json | None:
    if part.get("image_url") is None:
        wanted.drop("input.input_image.file_id", f"{where} {LACKING}, where an image has a URL or is in one")
        return None
    url: Json = {"url": string(part, "image_url", where)}
    if part.get("detail") not in (None, "auto"):
        url["detail"] = part["detail"]
    return {"type": "image_url", "image_url": url}


def _file(part: Json, where: str) -> Json:
    file = {name: part[name] for name in ("file_data", "file_id", "filename") if part.get(name) is not None}
    if "file_data" not in file and "file_id" not in file:
        # Not as OpenAI has it, but other gateways take it there, as does our own way to Anthropic messages.
        file["file_id"] = string(part, "file_url", where)
    return {"type": "file", "file": file}
