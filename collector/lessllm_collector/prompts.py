"""How a prompt begins: a request's body in, a line of text out."""

from typing import Any

from lessllm_shared.tolerant_json import loads

LONGEST = 200  # characters

_CONVERSATIONS = ("messages", "input", "contents")


def beginning(body: bytes | None) -> str | None:
    """What the user said first, or a prompt without roles. None: the body is gone, cut, or has no text."""
    try:
        request = loads(body or b"")
    except ValueError:
        return None
    if not isinstance(request, dict):
        return None
    said = (_first_of_user(request.get(name)) for name in _CONVERSATIONS)
    text = next((found for found in said if found), None) or _text(request.get("prompt"))
    return None if text is None else " ".join(text.split())[:LONGEST] or None


def _first_of_user(turns: Any) -> str | None:
    if isinstance(turns, str):
        return turns
    for turn in turns if isinstance(turns, list) else ():
        if isinstance(turn, str):  # a text to embed
            return turn
        if isinstance(turn, dict) and turn.get("role", "user") == "user":
            text = _text(turn.get("content")) or _text(turn.get("parts"))
            if text:
                return text
    return None


def _text(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    texts = (
        part if isinstance(part, str) else part.get("text") for part in parts if isinstance(part, str | dict)
    )
    return next((text for text in texts if isinstance(text, str) and text.strip()), None)
