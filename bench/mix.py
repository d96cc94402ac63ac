"""What the programs of a company ask a gateway for, all day long: calls as bytes, without end, from a seed.

Most are answered. Some fail, by the upstream's fault or the client's own; some clients leave. Users, models,
sessions and prompts vary, some never seen before; prompts have from some hundred bytes to megabytes.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from lessllm.simulator.faults import HEADER as FAULT_HEADER

ALIAS, ALIAS_MODEL = "assistant", "claude-haiku-4-5"  # an OpenAI name for a model of Anthropic's
CHAT, MESSAGES, RESPONSES, EMBEDDINGS = (
    "/v1/chat/completions",
    "/v1/messages",
    "/v1/responses",
    "/v1/embeddings",
)
_OPENAI = ("gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano", "gpt-4o", "gpt-4o-mini", "gpt-5", "gpt-5-mini", "o3")
_ANTHROPIC = ("claude-sonnet-5", "claude-haiku-4-5", "claude-opus-4-1")
_USERS = 2000
_NEVER_SEEN = 0.05  # of users, and of models
_LARGE = 0.002  # of calls
_LARGE_BYTES = (1_000_000, 10_000_000)
_MEDIAN_BYTES, _SPREAD, _MOST_BYTES = 3000, 1.1, 200_000


@dataclass(frozen=True, slots=True)
class Call:
    """One call, and how it may end."""

    kind: str
    request: bytes
    statuses: frozenset[int | None]  # one of these; None: no answer has begun
    is_whole: bool  # all of the answer must come
    leave_after_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    weight: float
    path: str
    models: Sequence[str] = ()  # none: GET
    stream: bool = False
    faults: Sequence[str] = ("",)  # of the upstream
    statuses: Sequence[int | None] = (200,)
    is_whole: bool = True
    leave_after_s: tuple[float, float] | None = None
    headers: Mapping[str, str] | None = None
    spoilt: bool = False  # the body is no JSON


_KINDS: Mapping[str, _Kind] = {
    "chat, streamed": _Kind(weight=28, path=CHAT, models=_OPENAI, stream=True),
    "chat": _Kind(weight=16, path=CHAT, models=_OPENAI),
    "messages, streamed": _Kind(weight=14, path=MESSAGES, models=_ANTHROPIC, stream=True),
    "messages": _Kind(weight=6, path=MESSAGES, models=_ANTHROPIC),
    "responses, streamed": _Kind(weight=4, path=RESPONSES, models=_OPENAI, stream=True),
    "responses": _Kind(weight=2, path=RESPONSES, models=_OPENAI),
    "translated, streamed": _Kind(weight=4, path=CHAT, models=(ALIAS,), stream=True),
    "translated": _Kind(weight=2, path=CHAT, models=(ALIAS,)),
    "embeddings": _Kind(weight=4, path=EMBEDDINGS, models=("text-embedding-3-small",)),
    "models": _Kind(weight=1, path="/v1/models"),
    "left before the answer": _Kind(
        weight=2,
        path=CHAT,
        models=_OPENAI,
        statuses=(None, 200),
        is_whole=False,
        leave_after_s=(0.05, 0.09),
    ),
    "left in a stream": _Kind(
        weight=4,
        path=CHAT,
        models=_OPENAI,
        stream=True,
        statuses=(None, 200),
        is_whole=False,
        leave_after_s=(0.2, 0.35),
    ),
    "left in a stream of messages": _Kind(
        weight=2,
        path=MESSAGES,
        models=_ANTHROPIC,
        stream=True,
        statuses=(None, 200),
        is_whole=False,
        leave_after_s=(0.2, 0.35),
    ),
    "refused": _Kind(
        weight=3,
        path=CHAT,
        models=_OPENAI,
        faults=("status=400", "status=401", "status=429"),
        statuses=(400, 401, 429),
    ),
    "failed": _Kind(
        weight=2,
        path=CHAT,
        models=_OPENAI,
        stream=True,
        faults=("status=500", "html"),
        statuses=(500, 502),
    ),
    "overloaded": _Kind(weight=1, path=MESSAGES, models=_ANTHROPIC, faults=("status=529",), statuses=(529,)),
    "broken off": _Kind(
        weight=1,
        path=CHAT,
        models=_OPENAI,
        stream=True,
        faults=("half_stream", "error_in_stream", "invalid_json"),
        is_whole=False,
    ),
    "broken off, plain": _Kind(
        weight=1,
        path=MESSAGES,
        models=_ANTHROPIC,
        faults=("half_stream", "error_in_stream", "invalid_json", "reset"),
        statuses=(502,),
    ),
    "no JSON": _Kind(weight=1, path=CHAT, models=_OPENAI, spoilt=True, statuses=(400,)),
    "nowhere": _Kind(weight=1, path="/nowhere/at/all", models=_OPENAI, statuses=(404,)),
    "by a web page": _Kind(
        weight=1, path=CHAT, models=_OPENAI, headers={"origin": "https://evil.test"}, statuses=(403,)
    ),
}


def calls(seed: int) -> Iterator[Call]:
    """The same for the same seed."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    words = ["".join(rng.choices("etaoinshrdlucmfwypvbgk", k=rng.randint(2, 9))) for _ in range(5000)]
    text = " ".join(rng.choices(words, k=2_000_000))
    names, weights = list(_KINDS), [kind.weight for kind in _KINDS.values()]
    while True:
        (name,) = rng.choices(names, weights)
        kind = _KINDS[name]
        yield Call(
            name,
            _request(kind, text, rng),
            frozenset(kind.statuses),
            kind.is_whole,
            rng.uniform(*kind.leave_after_s) if kind.leave_after_s else None,
        )


def _request(kind: _Kind, text: str, rng: random.Random) -> bytes:
    user = f"user-{rng.randrange(_USERS)}" if rng.random() > _NEVER_SEEN else f"user-{rng.getrandbits(64):x}"
    key = f"sk-{user}-0123456789abcdef"
    headers = {"host": "127.0.0.1", "content-type": "application/json", **(kind.headers or {})}
    if kind.path == MESSAGES:
        headers |= {"x-api-key": key, "anthropic-version": "2023-06-01"}
    else:
        headers |= {"authorization": f"Bearer {key}"}
    if rng.random() < 0.5:
        headers |= {"x-lessllm-user": user, "x-lessllm-tags": f"team=team-{rng.randrange(20)},release=7"}
    if rng.random() < 0.3:
        headers |= {"x-lessllm-session": f"{rng.getrandbits(64):x}"}
    if fault := rng.choice(kind.faults):
        headers[FAULT_HEADER] = fault
    body = b""
    if kind.models:
        body = msgspec.json.encode(_body(kind, _prompt(kind, text, rng), rng))[: -1 if kind.spoilt else None]
        headers["content-length"] = str(len(body))
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join((f"{'POST' if kind.models else 'GET'} {kind.path} HTTP/1.1", *lines, "", ""))
    return head.encode() + body


def _body(kind: _Kind, prompt: str, rng: random.Random) -> dict[str, Any]:
    model = rng.choice(kind.models)
    if model in _OPENAI and rng.random() < _NEVER_SEEN:
        model = f"ft:{model}:{rng.getrandbits(64):x}"
    body: dict[str, Any] = {"model": model}
    if kind.path in {RESPONSES, EMBEDDINGS}:
        body["input"] = prompt
    else:
        body["messages"] = [{"role": "user", "content": prompt}]
        body["max_tokens"] = 300
    if kind.stream:
        body["stream"] = True
    return body


def _prompt(kind: _Kind, text: str, rng: random.Random) -> str:
    size = min(_MOST_BYTES, int(rng.lognormvariate(math.log(_MEDIAN_BYTES), _SPREAD)))
    if kind.leave_after_s is None and rng.random() < _LARGE:
        size = rng.randint(*_LARGE_BYTES)
    start = rng.randrange(len(text) - size)
    return text[start : start + size]
