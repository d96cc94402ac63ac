"""A conversation whatever the provider, and the request body that says it in a provider's format.

An `Ask` holds what one call says and when; `chat` and `messages` make the body and the answer of it.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from cache_reference.calls import Call, Json
from cache_reference.tokens import count, tokens_of


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: a text, or a text and uses of tools, or results of tools."""

    role: str  # user, assistant, or results
    text: str = ""
    uses: tuple[tuple[str, str, Json], ...] = ()  # id, tool, input
    results: tuple[tuple[str, str], ...] = ()  # id, text
    marked: bool = False  # a client that marks prefixes marks its end


@dataclass(frozen=True, slots=True)
class Ask:
    """One call, neutral. `extra` is merged into the body as it is."""

    at_s: float
    turns: tuple[Turn, ...]
    answer: Turn
    system: str = ""
    tools: tuple[Json, ...] = ()  # name, description, schema
    mark_system: bool = False  # a client that marks prefixes marks its end
    ttl: str = "5m"
    key: str = "a"
    first_byte_s: float | None = None  # after the start; None: as long as the prompt takes
    takes_s: float | None = None  # from the first byte to the end; None: as long as the answer takes
    fails: bool = False
    extra: Json = field(default_factory=dict)


def call_of(ask: Ask, body: Json, answer: Json) -> Call:
    """With times: 20,000 prompt tokens a second, 60 answer tokens a second."""
    prompt = count(tokens_of(ask.system)) + sum(count(tokens_of(turn.text)) for turn in ask.turns)
    wait_s = 0.2 + prompt / 20_000 if ask.first_byte_s is None else ask.first_byte_s
    takes_s = 0.1 + count(tokens_of(ask.answer.text)) / 60 if ask.takes_s is None else ask.takes_s
    first_byte_s = ask.at_s + wait_s
    return Call(body, answer, ask.at_s, first_byte_s, first_byte_s + takes_s, ask.key, ask.fails)


def chat(ask: Ask, model: str, *, marks: bool = False) -> Call:
    """As a chat completion; with marks, the ends that the ask marks are explicit breakpoints."""
    mark = {"prompt_cache_breakpoint": {"mode": "explicit"}}
    messages: list[Json] = []
    if ask.system:
        marked = marks and ask.mark_system
        part = {"type": "text", "text": ask.system, **(mark if marked else {})}
        messages.append({"role": "system", "content": [part] if marked else ask.system})
    for turn in ask.turns:
        messages += _chat_turn(turn, mark if marks and turn.marked else {})
    tools = [{"type": "function", "function": _renamed(tool, "parameters")} for tool in ask.tools]
    body = {"model": model, "messages": messages, **({"tools": tools} if tools else {}), **ask.extra}
    return call_of(ask, body, _chat_turn(ask.answer, {})[0])


def messages(ask: Ask, model: str, *, automatic: bool = False) -> Call:
    """As a request of Anthropic's, with breakpoints at the marked ends, or the automatic one alone."""
    control = {"cache_control": {"type": "ephemeral", **({"ttl": "1h"} if ask.ttl == "1h" else {})}}
    body: Json = {"model": model, "max_tokens": 4096}
    if automatic:
        body |= control
    if ask.tools:
        body["tools"] = [_renamed(tool, "input_schema") for tool in ask.tools]
    if ask.system:
        marked = ask.mark_system and not automatic
        body["system"] = [{"type": "text", "text": ask.system, **(control if marked else {})}]
    turns = [_anthropic_turn(turn) for turn in ask.turns]
    for turn, message in zip(ask.turns, turns, strict=True):
        if turn.marked and not automatic:
            message["content"][-1] |= control
    body["messages"] = turns
    return call_of(ask, body | ask.extra, _anthropic_turn(ask.answer))


def marked(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """With the ends of the client's last two marked, as is done to cache a growing conversation."""
    return (*turns[:-3], *(replace(turn, marked=turn.role != "assistant") for turn in turns[-3:]))


def _renamed(tool: Json, schema: str) -> Json:
    return {"name": tool["name"], "description": tool["description"], schema: tool["schema"]}


def _chat_turn(turn: Turn, mark: Json) -> list[Json]:
    if turn.results:
        return [{"role": "tool", "tool_call_id": use, "content": said} for use, said in turn.results]
    content: Any = [{"type": "text", "text": turn.text, **mark}] if mark else turn.text or None
    message: Json = {"role": turn.role, "content": content}
    if turn.uses:
        message["tool_calls"] = [
            {"id": use, "type": "function", "function": {"name": name, "arguments": _arguments(given)}}
            for use, name, given in turn.uses
        ]
    return [message]


def _arguments(given: Json) -> str:
    return "{" + ", ".join(f'"{name}": "{value}"' for name, value in given.items()) + "}"


def _anthropic_turn(turn: Turn) -> Json:
    if turn.results:
        results = [{"type": "tool_result", "tool_use_id": use, "content": said} for use, said in turn.results]
        return {"role": "user", "content": results}
    said = [{"type": "text", "text": turn.text}] if turn.text else []
    uses = [{"type": "tool_use", "id": use, "name": name, "input": given} for use, name, given in turn.uses]
    return {"role": turn.role, "content": [*said, *uses]}
