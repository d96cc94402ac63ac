"""Tool calls of an assistant message and their results: ids and arguments as Anthropic takes them."""

import re
from typing import Any

from lessllm_shared import tolerant_json

from lessllm_gateway.translate.chat_to_messages import parts
from lessllm_gateway.translate.translation import Json, Wanted
from lessllm_gateway.translate.values import text

_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")


class CallIds:
    """Ids that Anthropic takes: of letters, digits, _ and -, none twice in a conversation.

    Other providers' ids have other characters, or begin anew with every turn. A result belongs to the oldest
    call of its id in the turn before that has none yet.
    """

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._waiting: dict[str, list[str]] = {}

    def begin_turn(self) -> None:
        """The assistant speaks: earlier calls have had their results."""
        self._waiting = {}

    def of_call(self, given: str) -> str:
        """The id of a new call."""
        identifier = clean = _clean(given)
        while identifier in self._used:
            self._numbers[clean] = self._numbers.get(clean, 1) + 1
            identifier = f"{clean}_{self._numbers[clean]}"
        self._used.add(identifier)
        self._waiting.setdefault(given, []).append(identifier)
        return identifier

    def of_result(self, given: str) -> str:
        """The id of the call that a result answers."""
        waiting = self._waiting.get(given)
        if not waiting:
            return _clean(given)
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


def call_blocks(message: Json, where: str, ids: CallIds, wanted: Wanted) -> list[Json]:
    """The tool_use blocks of an assistant message. Raises Rejection."""
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise parts.invalid(f"{where}.tool_calls", "must be a list")
    found = []
    for index, call in enumerate(calls):
        place = f"{where}.tool_calls[{index}]"
        if not isinstance(call, dict):
            raise parts.invalid(place, "must be an object")
        if not isinstance(function := call.get("function"), dict):
            wanted.drop("tool_calls", f"{place} calls no function")
            continue
        found.append(
            {
                "type": "tool_use",
                "id": ids.of_call(text(call.get("id"))),
                "name": text(function.get("name")),
                "input": _input(function.get("arguments")),
                **parts.mark(call),
            }
        )
    return found


def result_block(message: Json, where: str, ids: CallIds, wanted: Wanted) -> Json:
    """The tool_result block of a tool's message. Raises Rejection."""
    content = parts.blocks(message.get("content"), f"{where}.content", wanted)
    # Within a result Anthropic marks nothing: the result itself is marked.
    marks = [found for block in content if (found := block.pop("cache_control", None))]
    result: Json = {"type": "tool_result", "tool_use_id": ids.of_result(text(message.get("tool_call_id")))}
    if content:
        result["content"] = content
    return result | parts.mark(message) | ({"cache_control": marks[-1]} if marks else {})


def _input(arguments: Any) -> Json:
    """The object in the arguments; as Anthropic's documentation advises if they are none (cut off, say)."""
    if isinstance(arguments, dict):
        return arguments
    given = text(arguments)
    if not given.strip():
        return {}
    try:
        value = tolerant_json.loads(given)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": given}


def _clean(given: str) -> str:
    return _NOT_IN_IDS.sub("_", given) or "call"
