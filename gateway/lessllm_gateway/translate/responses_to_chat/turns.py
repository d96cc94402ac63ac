"""Input items, in the chat format: messages, with what an assistant said in several items joined to one.

Reasoning, text and tool calls in a row are one assistant's message, and instructions in a row one of the
system's, since many chat templates take only one, at the beginning. What the model wants back of its
reasoning goes into fields beside the content, as it came.
"""

from collections.abc import Callable
from typing import Any

from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.carried import TEXTS, Carried, unpack
from lessllm_gateway.translate.responses_to_chat import custom
from lessllm_gateway.translate.responses_to_chat.content import LACKING, is_plain, parts, string, texts
from lessllm_gateway.translate.traits import NO_REASONING, UNSIGNED, call_id
from lessllm_gateway.translate.translation import Json, Wanted
from lessllm_gateway.translate.values import objects, text

_SEPARATOR = "\n\n"  # between what was said in items of their own
_ROLES = ("user", "assistant", "system", "developer")
_UNSIGNED = {"google": {"thought_signature": UNSIGNED}}


def messages(request: Json, wanted: Wanted) -> list[Json]:
    """Chat's messages for `instructions` and `input`. Raises Rejection."""
    given = request.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise Rejection(400, "invalid_request", "input: must be a string or a list of items")
    turns = _Turns(wanted, given)
    if (instructions := request.get("instructions")) is not None:
        turns.message({"role": "system", "content": instructions}, "instructions")
    for index, item in enumerate(given):
        turns.add(item, f"input[{index}]")
    found = turns.finished()
    if not found:
        raise Rejection(400, "invalid_request", "input: must hold at least one item that can be sent")
    return found


class _Turns:
    def __init__(self, wanted: Wanted, items: list[Any]) -> None:
        self._wanted = wanted
        self._messages: list[Json] = []
        self._between = _SEPARATOR  # what an assistant has said and what it says now
        # A call may stand before the item that carries what belongs to it.
        carried = [_carried(item, wanted) for item in objects(items) if item.get("type") == "reasoning"]
        self._extras = {given: extra for found in carried if found for given, extra in found.calls.items()}

    def add(self, item: Any, where: str) -> None:
        """One input item."""
        if not isinstance(item, dict):
            raise Rejection(400, "invalid_request", f"{where}: must be an object")
        kind = item.get("type")
        if kind is None:  # messages need not say what they are, nor do references
            kind = "message" if "role" in item else "item_reference" if "id" in item else None
        if kind == "item_reference":
            raise Rejection(
                400,
                "stateless_provider",
                f"{where}: item_reference points to what a provider has stored, and this call goes to one"
                " that stores nothing: send the item itself",
            )
        take = _ITEMS.get(text(kind))
        if take is None:
            self._wanted.drop(f"input.{kind}", f"{where} {LACKING}")
        else:
            take(self, item, where)

    def finished(self) -> list[Json]:
        """The messages."""
        for message in self._messages:
            if message["role"] == "assistant":
                self._finish(message)
        return self._messages

    def message(self, item: Json, where: str) -> None:
        """An item of type message."""
        role = item.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise Rejection(400, "invalid_request", f"{where}.role: must be one of {', '.join(_ROLES)}")
        found = parts(item.get("content"), f"{where}.content", self._wanted)
        if role == "assistant":
            self._say(found)
        elif role == "user" and found:
            plain = len(found) == 1 and is_plain(found)
            self._messages.append({"role": "user", "content": texts(found) if plain else found})
        elif role != "user":
            self._instruct(found)

    def _instruct(self, found: list[Json]) -> None:
        # As `system`, which every chat API knows; `developer` only OpenAI's.
        last = self._messages[-1] if self._messages else None
        content: Any = _SEPARATOR.join(part["text"] for part in found) if is_plain(found) else found
        if last is None or last["role"] != "system":
            self._messages.append({"role": "system", "content": content})
        elif isinstance(last["content"], str) and isinstance(content, str):
            last["content"] += _SEPARATOR + content
        else:
            last["content"] = [*_listed(last["content"]), *_listed(content)]

    def _say(self, found: list[Json]) -> None:
        turn = self._assistant()
        _grow(turn, "content", texts(found), self._between)
        self._between = _SEPARATOR
        _grow(turn, "refusal", "".join(part["refusal"] for part in found if part["type"] == "refusal"))

    def _think(self, item: Json, where: str) -> None:
        del where
        carried = _carried(item, self._wanted)
        self._between = "" if carried else _SEPARATOR  # ours divides nothing but one message's text
        thought = carried.message if carried else {}
        if self._wanted.chat.reasoning == "never":
            thought = {name: value for name, value in thought.items() if name not in TEXTS}
        elif not thought and (said := _said(item)):
            thought = {"reasoning_content": said}
        if thought:
            turn = self._assistant()
            for name, value in thought.items():
                _grow(turn, name, value)
        elif not (carried and carried.calls):
            self._wanted.leave_out("input.reasoning")  # another model's, or stripped: nobody could use it

    def _call(self, item: Json, where: str) -> None:
        is_custom = item["type"] == "custom_tool_call"
        body = "input" if is_custom else "arguments"
        given, name, said = (string(item, field, where) for field in ("call_id", "name", body))
        function = {"name": name, "arguments": custom.arguments(said) if is_custom else said}
        sent = call_id(given, self._wanted.chat.tool_ids)
        call = {"id": sent, "type": "function", "function": function}
        self._assistant().setdefault("tool_calls", []).append(call | self._extras.get(given, {}))

    def _result(self, item: Json, where: str) -> None:
        found = parts(item.get("output"), f"{where}.output", self._wanted)
        content = "\n".join(part["text"] for part in found) if is_plain(found) else found
        given = call_id(string(item, "call_id", where), self._wanted.chat.tool_ids)
        self._messages.append({"role": "tool", "tool_call_id": given, "content": content})

    def _assistant(self) -> Json:
        """The assistant's message under way."""
        if not self._messages or self._messages[-1]["role"] != "assistant":
            self._messages.append({"role": "assistant", "content": None})
        return self._messages[-1]

    def _finish(self, message: Json) -> None:
        calls = message.get("tool_calls")
        if message["content"] is None and not calls and not message.get("refusal"):
            message["content"] = ""  # null wants tool calls beside it
        if calls and self._wanted.chat.thought_signatures:
            calls[0].setdefault("extra_content", _UNSIGNED)
        if self._wanted.chat.reasoning == "always" and not any(message.get(name) for name in TEXTS):
            message["reasoning_content"] = NO_REASONING


def _carried(item: Json, wanted: Wanted) -> Carried | None:
    return unpack(item.get("encrypted_content"), wanted.model)


def _said(item: Json) -> str:
    """What a reasoning item says for all to read."""
    told = objects(item.get("content")) or objects(item.get("summary"))
    return "".join(text(part.get("text")) for part in told)


def _grow(message: Json, name: str, value: Any, between: str = _SEPARATOR) -> None:
    known = message.get(name)
    if isinstance(known, str) and isinstance(value, str):
        message[name] = between.join(said for said in (known, value) if said)
    elif isinstance(known, list) and isinstance(value, list):
        message[name] = known + value
    elif value:
        message[name] = value


def _listed(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


_ITEMS: dict[str, Callable[[_Turns, Json, str], None]] = {
    "message": _Turns.message,
    "reasoning": _Turns._think,  # noqa: SLF001
    "function_call": _Turns._call,  # noqa: SLF001
    "custom_tool_call": _Turns._call,  # noqa: SLF001
    "function_call_output": _Turns._result,  # noqa: SLF001
    "custom_tool_call_output": _Turns._result,  # noqa: SLF001
}
