"""What the demo sends: a bookshop's support desk for a few minutes, made up from a seed.

A number of calls and a seed enter; lanes of calls leave. A lane's calls follow one another, as the turns of
a conversation do; lanes run side by side. Nothing here knows where calls go or what comes back.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ALIAS = "assistant"  # an OpenAI name for an Anthropic model: see `models` of the demo's configuration
ALIAS_MODEL = "claude-haiku-4-5"

_ANTHROPIC = {"anthropic-version": "2023-06-01"}
_TURNS = 6  # then a conversation is over, and the next begins with the same instructions


@dataclass(frozen=True)
class Call:
    """One POST to the gateway."""

    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def make_lanes(calls: int, seed: int) -> list[list[Call]]:
    """`calls` calls in all. The first ones have a bit of everything, so that a small demo has it too."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    lanes: dict[tuple[str, int], list[Call]] = {}
    made: dict[str, int] = {}
    for place in range(calls):
        name = _MIX[place % len(_MIX)]
        number = made[name] = made.get(name, -1) + 1
        call = _LANES[name](number, rng)
        lanes.setdefault((name, number // _TURNS), []).append(call)
    return list(lanes.values())


def _support(number: int, rng: random.Random) -> Call:
    """A growing conversation with Claude: the instructions and the turns so far are marked for its cache."""
    cached = {"cache_control": {"type": "ephemeral"}}
    turns: list[dict[str, Any]] = _turns(number)
    turns[-1] = {"role": "user", "content": [{"type": "text", "text": turns[-1]["content"], **cached}]}
    body = {
        "model": "claude-sonnet-5",
        "max_tokens": rng.randint(80, 240),
        "system": [{"type": "text", "text": HANDBOOK, **cached}],
        "messages": turns,
        "stream": True,
    }
    return Call("/v1/messages", body, {**_ANTHROPIC, **_who("support", f"support-{number // _TURNS}")})


def _orders(number: int, rng: random.Random) -> Call:
    """A growing conversation with GPT, whose cache finds the longest known beginning by itself."""
    body = {
        "model": "gpt-4.1-mini",
        "max_tokens": rng.randint(60, 200),
        "messages": [{"role": "system", "content": HANDBOOK}, *_turns(number)],
        "stream": True,
    }
    return Call("/v1/chat/completions", body, _who("orders", f"orders-{number // _TURNS}"))


def _triage(number: int, rng: random.Random) -> Call:
    """A plain call, not streamed. It begins with the time, so that its cache never finds the instructions."""
    question = rng.choice(_QUESTIONS)
    task = "Sort the customer's message: order, refund, delivery, account or other. Answer with one word."
    system = f"It is {9 + number // 60:02}:{number % 60:02}.\n{HANDBOOK}\n{task}"
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    return Call("/v1/chat/completions", {"model": "gpt-4.1-mini", "messages": messages}, _who("triage"))


def _alias(number: int, rng: random.Random) -> Call:
    """In OpenAI's format, to a name that stands for a model of Anthropic's."""
    messages = [{"role": "user", "content": rng.choice(_QUESTIONS)}]
    body = {"model": ALIAS, "messages": messages, "max_tokens": 200, "stream": number % 2 == 0}
    return Call("/v1/chat/completions", body, _who("website"))


def _reports(number: int, rng: random.Random) -> Call:
    """A reasoning model, by the responses API."""
    question = f"Summarise what customers asked today, in {rng.randint(3, 9)} points."
    body = {"model": "gpt-5-mini", "input": question, "stream": number % 2 == 0}
    return Call("/v1/responses", body, _who("reports"))


def _search(number: int, rng: random.Random) -> Call:
    del number
    body = {"model": "text-embedding-3-small", "input": rng.sample(_QUESTIONS, 3)}
    return Call("/v1/embeddings", body, _who("search"))


def _trouble(number: int, rng: random.Random) -> Call:
    """What goes wrong in real life, by the simulator's x-simulate or by a wrong request."""
    del rng
    chat = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": _QUESTIONS[0]}]}
    messages = {**chat, "model": "claude-sonnet-5", "max_tokens": 100, "stream": True}
    kinds = (
        Call("/v1/chat/completions", {**chat, "model": "gpt-4.1-maxi"}, _who("orders")),
        Call("/v1/messages", messages, {**_ANTHROPIC, **_who("support"), "x-simulate": "status=529"}),
        Call(
            "/v1/chat/completions", {**chat, "stream": True}, {**_who("orders"), "x-simulate": "half_stream"}
        ),
        Call("/v1/chat/completions", chat, {**_who("orders"), "x-simulate": "slow_first_byte=2.5"}),
        Call("/v1/embeddings", {"model": ALIAS, "input": "a name of the wrong kind"}, _who("search")),
        Call("/v1/chat/completions", chat, {**_who("triage"), "x-simulate": "status=429"}),
    )
    return kinds[number % len(kinds)]


def _who(team: str, session: str | None = None) -> dict[str, str]:
    headers = {"x-lessllm-user": team}
    return headers if session is None else {**headers, "x-lessllm-session": session}


def _turns(number: int) -> list[dict[str, Any]]:
    """The conversation up to its next question. Answers are scripted, so that runs can be repeated."""
    conversation, turn = divmod(number, _TURNS)
    turns: list[dict[str, Any]] = []
    for i in range(turn + 1):
        pick = conversation * _TURNS + i
        turns.append({"role": "user", "content": _QUESTIONS[pick % len(_QUESTIONS)]})
        if i < turn:
            turns.append({"role": "assistant", "content": _REPLIES[pick % len(_REPLIES)]})
    return turns


def _handbook() -> str:
    lines = ["You answer customers of Harbour Books, a bookshop. Be brief and kind. The house rules:"]
    for topic in _TOPICS:
        lines += [f"- {rule.format(topic=topic)}" for rule in _RULES]
    return "\n".join(lines)


_TOPICS = (
    *("orders", "refunds", "deliveries abroad", "gift cards", "damaged books", "second-hand books"),
    *("school classes", "signed editions", "subscriptions", "reservations"),
)
_RULES = (
    "Questions about {topic} are answered within one working day, by name, and without jargon.",
    "For {topic}, always give the number of the case, and say who looks after it from now on.",
    "Never promise a date for {topic} that the system does not show; say when we will know more.",
    "If a customer is unhappy about {topic}, offer a call back before you offer money.",
    "Amounts over 50 euros that concern {topic} are approved by the shop's manager first.",
)
HANDBOOK = _handbook()
_QUESTIONS: Sequence[str] = (
    "Where is my order 48213? It was to arrive on Tuesday.",
    "Two of the five books are damaged. Can I get new ones before Friday?",
    "How do I send a gift card to somebody who lives abroad?",
    "I was charged twice for the same order. Please have a look.",
    "Is the signed edition still to be had, and can you reserve it for me?",
    "Our school wants 30 copies. Is there a discount, and how do we pay?",
    "I'd like to pause my subscription for the summer.",
    "Which of your second-hand books on sailing are in stock?",
)
_REPLIES: Sequence[str] = (
    "I'm sorry about the wait. Order 48213 left us on Monday; the carrier shows it at the depot near you.",
    "That is annoying, and of course you get new ones. They leave today, case 7731, and Ana looks after it.",
    "Gladly. Choose the card, and give us the address in the second step; it goes by mail or as a link.",
    "You are right, the second payment was ours to notice. It will be back on your account within a week.",
)
_Lane = Callable[[int, random.Random], Call]
_LANES: Mapping[str, _Lane] = {
    "support": _support,
    "orders": _orders,
    "triage": _triage,
    "alias": _alias,
    "reports": _reports,
    "search": _search,
    "trouble": _trouble,
}
_MIX: Sequence[str] = (
    *("support", "orders", "alias", "search", "trouble", "reports", "support", "orders"),
    *("triage", "support", "orders", "alias", "support", "orders", "trouble", "triage"),
)
