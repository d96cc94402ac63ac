"""What the simulated model says: an `Ask`, the same for all API formats, becomes an `Answer`.

The rules are few, so that a test can foresee them. With tools on offer and a person's turn to answer, it
calls the tools whose name shares a word with the last message (all of them if parallel calls are allowed),
or the first one if a call is required; otherwise it writes prose, JSON if that was asked for. A limit on
tokens cuts thinking, text and arguments alike, as it does with a real model.
"""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lessllm.simulator import text, tokens

Finish = Literal["stop", "length", "tool_calls", "stop_sequence", "refusal"]
PartKind = Literal["thinking", "text", "refusal", "tool_call"]

_REFUSAL = "I'm sorry, but I can't help with that request."
_SHORTEST_TOKENS, _LONGEST_TOKENS = 24, 96
_COMMON = {"and", "for", "get", "run", "set", "the"}  # name no tool


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A function on offer."""

    name: str
    schema: Any = None


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is wanted of the model."""

    last_text: str = ""
    persons_turn: bool = True  # the last message is a person's, not a tool's result
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"  # auto, none, required, or a tool's name
    parallel_tools: bool = True
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: Any = None  # a schema to answer in; True: any JSON object
    reasoning_tokens: int = 0
    reasoning_shown: bool = False
    refuse: bool = False
    length_tokens: int | None = None


@dataclass(frozen=True)
class Part:
    """A piece of the answer: prose, or a tool's arguments. `pieces` are its tokens."""

    kind: PartKind
    pieces: list[str]
    name: str = ""

    @property
    def content(self) -> str:
        """The whole text."""
        return "".join(self.pieces)

    def steps(self, tokens_per_event: int) -> Iterator[list[str]]:
        """The tokens in the groups in which they are streamed."""
        for start in range(0, len(self.pieces), tokens_per_event):
            yield self.pieces[start : start + tokens_per_event]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is said, and why it ended."""

    parts: list[Part] = field(default_factory=list)
    finish: Finish = "stop"
    stop_sequence: str | None = None
    hidden_reasoning_tokens: int = 0  # billed, but not shown

    @property
    def reasoning_tokens(self) -> int:
        """Tokens spent on thinking, shown or not."""
        return self.hidden_reasoning_tokens + sum(len(p.pieces) for p in self.parts if p.kind == "thinking")

    @property
    def output_tokens(self) -> int:
        """All generated tokens."""
        return self.hidden_reasoning_tokens + sum(len(p.pieces) for p in self.parts)

    def text(self, kind: PartKind) -> str:
        """All text of one kind."""
        return "".join(part.content for part in self.parts if part.kind == kind)

    def tool_calls(self) -> list[Part]:
        """The tool calls, in order."""
        return [part for part in self.parts if part.kind == "tool_call"]


def answer(ask: Ask, rng: random.Random) -> Answer:
    """The answer to `ask`, the same for the same dice."""
    said = _refusal() if ask.refuse else (_tool_calls(ask, rng) or _prose(ask, rng))
    said = _stopped(said, ask.stop)
    if ask.reasoning_tokens:
        said = _with_reasoning(said, ask, rng)
    return said if ask.max_tokens is None else _limited(said, ask.max_tokens)


def _refusal() -> Answer:
    return Answer(parts=[Part("refusal", tokens.pieces(_REFUSAL))], finish="refusal")


def _tool_calls(ask: Ask, rng: random.Random) -> Answer | None:
    chosen = _chosen_tools(ask)
    if not chosen:
        return None
    # Capitalised words of the question make arguments that look meant: a city, a name.
    hints = re.findall(r"(?<=[a-z,:] )[A-Z]\w+", ask.last_text[-2000:])
    parts = []
    for tool in chosen:
        arguments = text.value_for(tool.schema, rng, hints) or {}
        parts.append(Part("tool_call", tokens.pieces(json.dumps(arguments)), tool.name))
    return Answer(parts=parts, finish="tool_calls")


def _chosen_tools(ask: Ask) -> list[Tool]:
    if not ask.tools or ask.tool_choice == "none":
        return []
    if ask.tool_choice not in {"auto", "required"}:
        return [tool for tool in ask.tools if tool.name == ask.tool_choice]
    if not ask.persons_turn and ask.tool_choice == "auto":
        return []
    said = _words(ask.last_text)
    named = [tool for tool in ask.tools if said & _words(tool.name)]
    if not named and ask.tool_choice == "required":
        return [ask.tools[0]]
    return named if ask.parallel_tools else named[:1]


def _words(content: str) -> set[str]:
    return set(re.findall(r"[a-z]{3,}", content.lower())) - _COMMON


def _prose(ask: Ask, rng: random.Random) -> Answer:
    length = ask.length_tokens or rng.randint(_SHORTEST_TOKENS, _LONGEST_TOKENS)
    if ask.json_schema is None:
        said = tokens.pieces(text.prose(rng, length))
        return Answer(parts=[Part("text", said[:length] if ask.length_tokens else said)])
    fitting = text.value_for(ask.json_schema, rng, [])
    value = fitting if isinstance(fitting, dict) else {"answer": text.prose(rng, length)}
    return Answer(parts=[Part("text", tokens.pieces(json.dumps(value)))])


def _stopped(said: Answer, stop: tuple[str, ...]) -> Answer:
    if said.finish != "stop" or not said.parts:
        return said
    content = said.parts[0].content
    found = min(((content.find(s), s) for s in stop if s and s in content), default=None)
    if found is None:
        return said
    kept = Part("text", tokens.pieces(content[: found[0]]))
    return replace(said, parts=[kept], finish="stop_sequence", stop_sequence=found[1])


def _with_reasoning(said: Answer, ask: Ask, rng: random.Random) -> Answer:
    if not ask.reasoning_shown:
        return replace(said, hidden_reasoning_tokens=ask.reasoning_tokens)
    thought = tokens.pieces(text.prose(rng, ask.reasoning_tokens))[: ask.reasoning_tokens]
    return replace(said, parts=[Part("thinking", thought), *said.parts])


def _limited(said: Answer, max_tokens: int) -> Answer:
    if said.output_tokens <= max_tokens:
        return said
    left = max(0, max_tokens - said.hidden_reasoning_tokens)
    kept = []
    for part in said.parts:
        if left <= 0:
            break
        kept.append(replace(part, pieces=part.pieces[:left]))
        left -= len(part.pieces)
    hidden = min(said.hidden_reasoning_tokens, max_tokens)
    return Answer(parts=kept, finish="length", hidden_reasoning_tokens=hidden)
