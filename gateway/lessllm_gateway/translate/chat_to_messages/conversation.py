"""Chat messages into Anthropic's system prompt and turns.

There, user and assistant take turns; the results of tools are the user's, and come first in it; a system
message stands before everything, or on some models right before an assistant's turn.
"""

from typing import Any

from lessllm_gateway.translate.chat_to_messages import parts
from lessllm_gateway.translate.chat_to_messages.calls import CallIds, call_blocks, result_block
from lessllm_gateway.translate.chat_to_messages.models import Model
from lessllm_gateway.translate.chat_to_messages.thoughts import is_thinking, thinking_block, woven
from lessllm_gateway.translate.translation import Json, Wanted
from lessllm_gateway.translate.values import text


class Conversation:
    """Gathers messages in order; `system` and `turns` hold when all are in and `end` was called."""

    def __init__(self, model: Model, wanted: Wanted) -> None:
        self.system: list[Json] = []
        self.turns: list[Json] = []
        self._wanted = wanted
        self._late_system = model.late_system
        self._waiting_system: list[Json] = []  # for the place where it may stand
        self._ids = CallIds()

    def add(self, message: Any, where: str) -> None:
        """Take one message in. Raises Rejection."""
        if not isinstance(message, dict):
            raise parts.invalid(where, "must be an object")
        take = _ROLES.get(text(message.get("role")))
        if take is None:
            raise parts.invalid(f"{where}.role", "must be system, developer, user, assistant or tool")
        if message.get("name") and message["role"] != "tool":
            self._wanted.drop("messages.name", f"{where}: participants have no names in Anthropic messages")
        take(self, message, where)

    def end(self) -> None:
        """Settle what depends on what comes after. Raises Rejection."""
        self._place_system()
        self.system += self._waiting_system
        if not self.turns:
            raise parts.invalid("messages", "must hold a message of a user, with text in it")
        for turn in self.turns:
            if turn["role"] == "user":
                turn["content"].sort(key=lambda block: block["type"] != "tool_result")
        if self.turns[-1]["role"] == "assistant":
            self._trim(self.turns[-1])

    def _system(self, message: Json, where: str) -> None:
        blocks = self._blocks(message, where)
        if self.turns and self._late_system:
            self._waiting_system += blocks
        else:
            self.system += blocks

    def _user(self, message: Json, where: str) -> None:
        self._say("user", self._blocks(message, where))

    def _tool(self, message: Json, where: str) -> None:
        self._say("user", [result_block(message, where, self._ids, self._wanted)])

    def _assistant(self, message: Json, where: str) -> None:
        for name in ("function_call", "audio"):
            if message.get(name):
                self._wanted.drop(name, f"{where}: has no counterpart in Anthropic messages")
        self._place_system()
        if self.turns and self.turns[-1]["role"] != "assistant":
            self._ids.begin_turn()
        said = self._said(message, where)
        calls = call_blocks(message, where, self._ids, self._wanted)
        self._say("assistant", woven(message, said, calls))

    def _said(self, message: Json, where: str) -> list[Json]:
        content = message.get("content")
        if not content:
            content = message.get("refusal")
        if not isinstance(content, list):
            return self._blocks({**message, "content": content}, where)
        said: list[Json] = []
        for index, part in enumerate(content):
            if is_thinking(part):
                thought = thinking_block(part)
                said += [thought] if thought else []
            else:
                said += parts.block(part, f"{where}.content[{index}]", self._wanted)
        return said

    def _blocks(self, message: Json, where: str) -> list[Json]:
        """The content's, with the message's own cache mark on the last."""
        blocks = parts.blocks(message.get("content"), f"{where}.content", self._wanted)
        if blocks:
            blocks[-1] |= parts.mark(message)
        return blocks

    def _say(self, role: str, blocks: list[Json]) -> None:
        if not blocks:
            return
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"] += blocks
        else:
            self.turns.append({"role": role, "content": blocks})

    def _place_system(self) -> None:
        """A late system message stands between a user's turn and an assistant's, or at the end."""
        if self._waiting_system and self.turns and self.turns[-1]["role"] == "user":
            self._say("system", self._waiting_system)
            self._waiting_system = []

    def _trim(self, turn: Json) -> None:
        """Anthropic takes no prefill that ends in white space."""
        last = turn["content"][-1]
        if last["type"] == "text":
            last["text"] = last["text"].rstrip()


_ROLES = {
    "system": Conversation._system,  # noqa: SLF001
    "developer": Conversation._system,  # noqa: SLF001
    "user": Conversation._user,  # noqa: SLF001
    "assistant": Conversation._assistant,  # noqa: SLF001
    "tool": Conversation._tool,  # noqa: SLF001
}
