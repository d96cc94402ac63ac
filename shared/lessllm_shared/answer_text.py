"""What a model said, in any of the formats: a recorded answer in, its text for people out.

Calls of tools are part of it, a line each; reasoning is not.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any


def answer_text(answer: Any) -> str | None:
    """None: there is no answer in it, as in an error."""
    if isinstance(answer, str):
        return answer  # no JSON: shown as it is
    if not isinstance(answer, dict):
        return None
    parts = [part for read in _READERS for part in read(answer) if part]
    return "\n".join(parts) if parts else None


def _of_chat(answer: dict[str, Any]) -> Iterator[str]:
    for choice in _dicts(answer.get("choices")):
        yield _text(choice.get("text"))
        for message in _dicts([choice.get("message")]):
            yield from _contents(message.get("content"))
            yield _text(message.get("refusal"))
            for call in _dicts(message.get("tool_calls")):
                for function in _dicts([call.get("function") or call.get("custom")]):
                    yield _called(function.get("name"), function.get("arguments", function.get("input")))


def _of_messages(answer: dict[str, Any]) -> Iterator[str]:
    yield from _contents(answer.get("content"))


def _of_responses(answer: dict[str, Any]) -> Iterator[str]:
    for item in _dicts(answer.get("output")):
        if item.get("type") == "message":
            yield from _contents(item.get("content"))
        elif "name" in item:
            yield _called(item["name"], item.get("arguments", item.get("input")))


def _of_gemini(answer: dict[str, Any]) -> Iterator[str]:
    for candidate in _dicts(answer.get("candidates")):
        for content in _dicts([candidate.get("content")]):
            for part in _dicts(content.get("parts")):
                if not part.get("thought"):
                    yield _text(part.get("text"))
                for call in _dicts([part.get("functionCall")]):
                    yield _called(call.get("name"), call.get("args"))


def _of_embeddings(answer: dict[str, Any]) -> Iterator[str]:
    vectors = [item["embedding"] for item in _dicts(answer.get("data")) if "embedding" in item]
    if vectors:
        length = f" of {len(vectors[0]):,} numbers" if isinstance(vectors[0], list) else ""
        yield f"({len(vectors):,} embedding{'' if len(vectors) == 1 else 's'}{length})"


def _contents(content: Any) -> Iterator[str]:
    """A text, or blocks of OpenAI's or Anthropic's."""
    yield _text(content)
    for block in _dicts(content):
        if block.get("type") != "thinking":
            yield _text(block.get("text")) or _text(block.get("refusal"))
        if block.get("type") in {"tool_use", "server_tool_use"}:
            yield _called(block.get("name"), block.get("input"))


def _called(name: Any, arguments: Any) -> str:
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return f"→ {name}({written})"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _dicts(values: Any) -> Iterable[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


_READERS = (_of_chat, _of_messages, _of_responses, _of_gemini, _of_embeddings)
