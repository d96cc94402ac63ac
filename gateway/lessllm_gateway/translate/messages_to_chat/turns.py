"""The conversation: Anthropic's turns of blocks as OpenAI's messages.

A tool's result is a message of its own, of text only, right after the message that calls the tool: images
and files in it follow in a message of the user's. Turns of one role in a row are one turn, as with
Anthropic. Thinking goes back only to providers that want it, and never what Anthropic has encrypted.
"""

from typing import Any

import msgspec

from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.messages_to_chat import content, ids
from lessllm_gateway.translate.messages_to_chat.thinking import history_fields
from lessllm_gateway.translate.messages_to_chat.tools import ToolNames
from lessllm_gateway.translate.traits import UNSIGNED
from lessllm_gateway.translate.translation import Json, Wanted
from lessllm_gateway.translate.values import text

# Claude Code's first block of the system prompt: for Anthropic's billing, and different in every request,
# which would spoil every prompt cache.
_BILLING = "x-anthropic-billing-header:"
_REMINDER = "<system>\n{}\n</system>"
_encoder = msgspec.json.Encoder()


def chat_messages(request: Json, wanted: Wanted, names: ToolNames) -> list[Json]:
    """The messages of the chat request. Raises Rejection."""
    given = request.get("messages")
    if not isinstance(given, list) or not given or not all(isinstance(m, dict) for m in given):
        raise Rejection(400, "invalid_request", "messages: must be a list with at least one message")
    turns = _Turns(wanted, names)
    if request.get("system") is not None:
        turns.system(request["system"], "system")
    last_user = max((i for i, message in enumerate(given) if message.get("role") == "user"), default=-1)
    for i, message in enumerate(given):
        where, role = f"messages[{i}]", message.get("role")
        if role == "system":
            if message.get("output_config"):
                wanted.leave_out("messages.output_config")
            if message.get("clear_at") != "next_user_message" or i > last_user:
                turns.reminder(message.get("content") or [], f"{where}.content")
        elif role == "user":
            turns.user(message.get("content"), f"{where}.content")
        elif role == "assistant":
            turns.assistant(message.get("content"), f"{where}.content")
        else:
            raise Rejection(400, "invalid_request", f"{where}.role: must be user, assistant or system")
    if given[-1].get("role") == "assistant":
        wanted.drop(
            "messages.prefill", "the last message is the assistant's, and the provider begins a new one"
        )
    return turns.messages()


class _Turns:
    def __init__(self, wanted: Wanted, names: ToolNames) -> None:
        self._wanted = wanted
        self._names = names
        self._turns: list[Json] = []  # contents of users and systems as parts, of assistants as texts

    def messages(self) -> list[Json]:
        return [_finished(turn, self._wanted) for turn in self._turns]

    def system(self, given: Any, where: str) -> None:
        parts: list[Json] = []
        for block in self._texts(given, where):
            said = _without_billing(text(block.get("text")))
            parts += content.marked([content.text_part(said)] if said else [], block, self._wanted)
        self._add("system", parts)

    def reminder(self, given: Any, where: str) -> None:
        """Instructions within the conversation: the user's to say, where the system's must come first."""
        if self._wanted.chat.system_anywhere or not any(turn["role"] != "system" for turn in self._turns):
            self.system(given, where)
            return
        said = [text(block.get("text")) for block in self._texts(given, where)]
        self._add("user", [content.text_part(_REMINDER.format(part)) for part in said if part])

    def user(self, said: Any, where: str) -> None:
        parts: list[Json] = []
        for i, block in enumerate(content.blocks_of(said, where)):
            place = f"{where}[{i}]"
            if block.get("type") == "tool_result":
                parts += self._result(block, place)
            else:
                parts += content.parts_of(block, place, self._wanted)
        if parts:
            self._add("user", parts)

    def assistant(self, said: Any, where: str) -> None:
        turn = self._turns[-1] if self._turns and self._turns[-1]["role"] == "assistant" else None
        if turn is None:
            turn = {"role": "assistant", "content": [], "calls": [], "thoughts": []}
            self._turns.append(turn)
        for i, block in enumerate(content.blocks_of(said, where)):
            kind = text(block.get("type"))
            if kind == "text":
                turn["content"].append(text(block.get("text")))
            elif kind == "thinking":
                turn["thoughts"].append(block)
            elif kind == "tool_use":
                turn["calls"].append(self._call(block, f"{where}[{i}]", is_first=not turn["calls"]))
            elif kind == "compaction":
                turn["content"].append(text(block.get("content")))
            elif kind != "redacted_thinking":
                what = f"{where}[{i}] has no counterpart in OpenAI's chat completions"
                self._wanted.drop(f"messages.{kind}", what)

    def _texts(self, given: Any, where: str) -> list[Json]:
        """Blocks of text: instructions have no others that could be kept."""
        texts = []
        for i, block in enumerate(content.blocks_of(given, where)):
            if block.get("type") == "text":
                texts.append(block)
            else:
                kind = text(block.get("type"))
                what = f"{where}[{i}] has no counterpart in OpenAI's chat completions"
                self._wanted.drop(f"system.{kind}", what)
        return texts

    def _add(self, role: str, parts: list[Json]) -> None:
        last = self._turns[-1] if self._turns else None
        if last is not None and last["role"] == role:
            last["content"] += parts
        elif parts:
            self._turns.append({"role": role, "content": list(parts)})

    def _call(self, block: Json, where: str, *, is_first: bool) -> Json:
        name, arguments = text(block.get("name")), block.get("input")
        if not name or not isinstance(arguments, dict | None):
            raise Rejection(400, "invalid_request", f"{where}: must have a name, and an object as input")
        traits = self._wanted.chat
        call_id, signature = ids.for_upstream(text(block.get("id")), traits.tool_ids)
        written = _encoder.encode(arguments or {}).decode()
        call: Json = {
            "id": call_id,
            "type": "function",
            "function": {"name": self._names.for_upstream(name), "arguments": written},
        }
        if traits.thought_signatures and (signature or is_first):
            call["extra_content"] = {"google": {"thought_signature": signature or UNSIGNED}}
        return call

    def _result(self, block: Json, where: str) -> list[Json]:
        """Adds the tool's message; returns what of the result can't be in one."""
        blocks = content.blocks_of(block.get("content") or [], f"{where}.content")
        parts = [
            part
            for i, inner in enumerate(blocks)
            for part in content.parts_of(inner, f"{where}.content[{i}]", self._wanted)
        ]
        said = [part["text"] for part in parts if part["type"] == "text"]
        others = [part for part in parts if part["type"] != "text"]
        call_id, _ = ids.for_upstream(text(block.get("tool_use_id")), self._wanted.chat.tool_ids)
        if block.get("is_error") is True:  # OpenAI has no field for it
            said.insert(0, "Error:")
        if others:
            said.append("(What is not text follows in the next message.)")
            others.insert(0, content.text_part(f"From the result of the tool call {call_id}:"))
        self._insert({"role": "tool", "tool_call_id": call_id, "content": "\n".join(said)})
        return others

    def _insert(self, result: Json) -> None:
        """Right after the calls, before what a user or the system has said since."""
        places = (i for i, turn in enumerate(self._turns, 1) if turn["role"] in {"assistant", "tool"})
        self._turns.insert(max(places, default=len(self._turns)), result)


def _finished(turn: Json, wanted: Wanted) -> Json:
    role = turn["role"]
    if role == "tool":
        return turn
    if role != "assistant":
        return {"role": role, "content": content.settled(turn["content"])}
    said = "".join(turn["content"])
    message: Json = {"role": role, "content": said if said or not turn["calls"] else None}
    message |= history_fields(turn["thoughts"], wanted)
    if turn["calls"]:
        message["tool_calls"] = turn["calls"]
    return message


def _without_billing(said: str) -> str:
    return said.partition("\n")[2] if said.startswith(_BILLING) else said
