"""The simulated provider as an ASGI application: every call of both APIs, from request to last byte.

It holds what a provider would between calls: prompt caches, rate limits, stored responses. The same seed
and the same calls in the same order give the same answers, ids included; an answer's text depends on
seed, model and prompt alone.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from lessllm.simulator.answers import Answer, answer
from lessllm.simulator.cache import PromptCache
from lessllm.simulator.delivery import Pace, Send, send_html, send_stream, send_whole
from lessllm.simulator.dialects import Dialects
from lessllm.simulator.exchange import Dialect, Exchange, ModelCall
from lessllm.simulator.faults import HEADER, Faults, hang_up, read_faults
from lessllm.simulator.models import Catalogue
from lessllm.simulator.provider import Allowance, ApiError, Provider, RateLimiter
from lessllm.simulator.text import dice
from lessllm.simulator.wire import compact

Receive = Callable[[], Awaitable[dict[str, Any]]]
App = Callable[[Any, Any, Any], Awaitable[None]]  # ASGI; servers differ in how they type its dicts

MODELS = "/v1/models"
WRONG_KEY = "wrong"  # a key that holds this word is nobody's; every other key is somebody's
_LUCK = 0.12  # standard deviation of a call's speed: calls of one model are not all alike


def create_app(
    *,
    seed: int = 0,
    time_scale: float = 1.0,
    requests_per_minute: int = 10_000,
    clock: Callable[[], float] = time.time,
) -> App:
    """The application. `time_scale` 0 answers at once; `clock` is in seconds since the epoch."""
    return _Application(seed, time_scale, requests_per_minute, clock)


@dataclass(frozen=True, kw_only=True)
class _Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None  # None: too large
    provider: Provider
    dialect: Dialect | None
    number: int
    token: str  # random, for ids

    @property
    def id(self) -> str:
        return self.provider.request_id(self.token)


class _Application:
    def __init__(
        self, seed: int, time_scale: float, requests_per_minute: int, clock: Callable[[], float]
    ) -> None:
        self._seed = seed
        self._time_scale = time_scale
        self._clock = clock
        self._requests = 0
        self._catalogue = Catalogue()
        self._dialects = Dialects(self._catalogue)
        self._cache = PromptCache(clock)
        self._limiter = RateLimiter(clock, requests_per_minute)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            request = await self._read(scope, receive)
            if request is not None:
                await _until_gone(self._answer(request, send), receive)

    async def _read(self, scope: dict[str, Any], receive: Receive) -> _Request | None:
        """None: the caller is gone already."""
        self._requests += 1
        number = self._requests
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        provider, dialect = self._dialects.find(scope["path"], headers)
        try:
            body = await _read_body(receive, provider.max_request_bytes)
        except ConnectionError:
            return None
        return _Request(
            method=scope["method"],
            path=scope["path"],
            headers=headers,
            body=body,
            provider=provider,
            dialect=dialect,
            number=number,
            token=f"{dice(self._seed, 'token', number).getrandbits(128):032x}",
        )

    async def _answer(self, request: _Request, send: Send) -> None:
        provider = request.provider
        sender = request.headers.get("authorization") or request.headers.get("x-api-key", "")
        allowance, is_allowed = self._limiter.take(sender)
        try:
            faults = read_faults(request.headers.get(HEADER, ""))
            await asyncio.sleep(faults.slow_first_byte)
            if faults.reset:
                await hang_up(send, reset=True)
            if faults.html:
                await send_html(send, faults.status or 502)
                return
            self._admit(request, faults, is_allowed=is_allowed)
            await self._serve(request, faults, send, allowance)
        except ApiError as error:
            headers = provider.headers(request.id, 0, allowance)
            if error.retry_after_s is not None:
                headers["retry-after"] = str(error.retry_after_s)
            await send_whole(send, error.status, headers, compact(provider.error_body(error, request.id)))

    def _admit(self, request: _Request, faults: Faults, *, is_allowed: bool) -> None:
        """Raises ApiError for what is refused before the body is looked at."""
        provider = request.provider
        key = provider.key(request.headers)
        if WRONG_KEY in key:
            raise provider.wrong_key(key)
        if not is_allowed:
            raise provider.failure(429)
        if faults.status is not None:
            raise provider.failure(faults.status)
        if request.body is None:
            raise provider.failure(413)

    async def _serve(self, request: _Request, faults: Faults, send: Send, allowance: Allowance) -> None:
        if request.path == MODELS or request.path.startswith(f"{MODELS}/"):
            headers = request.provider.headers(request.id, 0, allowance)
            await send_whole(send, 200, headers, compact(self._models(request)), faults)
            return
        if request.dialect is None:
            raise request.provider.failure(404)
        if request.method != "POST":
            raise ApiError(405, f"Method Not Allowed: {request.method}")
        await self._run(request, request.dialect, faults, send, allowance)

    def _models(self, request: _Request) -> dict[str, Any]:
        provider = request.provider
        known = dict(self._catalogue.of(provider.name))
        if request.path == MODELS:
            return provider.list_models([provider.describe(name, model) for name, model in known.items()])
        name = request.path.removeprefix(f"{MODELS}/")
        if name not in known:
            raise provider.unknown_model(name)
        return provider.describe(name, known[name])

    async def _run(
        self, request: _Request, dialect: Dialect, faults: Faults, send: Send, allowance: Allowance
    ) -> None:
        """The model runs: prompt, then tokens."""
        call = dialect.read(request.body or b"")
        exchange = self._exchange(request, call, faults)
        luck = max(0.5, dice(self._seed, "luck", request.number).gauss(1, _LUCK))
        pace = Pace(call.model, self._time_scale * luck)
        await pace.prompt(exchange.cache.prompt_tokens - exchange.cache.read_tokens)
        if dialect.stored_at_start:
            self._cache.commit(exchange.cache, call.model.cache)
        if call.stream and dialect.stream is not None:
            headers = request.provider.headers(request.id, round(pace.spent_ms), allowance)
            failure = partial(dialect.stream.error, request.provider.failure(500), request.id)
            await send_stream(send, headers, list(dialect.stream.beats(exchange)), pace, faults, failure)
        else:
            await pace.output(exchange.output_tokens)
            headers = request.provider.headers(request.id, round(pace.spent_ms), allowance)
            await send_whole(send, 200, headers, compact(dialect.write(exchange)), faults)
        if not dialect.stored_at_start:
            self._cache.commit(exchange.cache, call.model.cache)

    def _exchange(self, request: _Request, call: ModelCall, faults: Faults) -> Exchange:
        scope = repr((request.provider.key(request.headers), call.model.id, call.cache_scope))
        said = dice(self._seed, call.model.id, [block.content for block in call.blocks])
        answers: list[Answer] = []
        for ask in call.asks:
            wanted = replace(ask, length_tokens=faults.tokens or ask.length_tokens, refuse=faults.refusal)
            answers.append(answer(wanted, said))
        return Exchange(
            call=call,
            answers=tuple(answers),
            cache=self._cache.look_up(call.model.cache, scope, call.blocks, call.cache_wishes),
            token=request.token,
            created_unix_s=int(self._clock()),
            dice=said,
        )


async def _read_body(receive: Receive, limit_bytes: int) -> bytes | None:
    """None: larger than the limit. Raises ConnectionError if the caller left."""
    pieces: list[bytes] = []
    size_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        size_bytes += len(message.get("body", b""))
        if size_bytes <= limit_bytes:
            pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces) if size_bytes <= limit_bytes else None


async def _until_gone(work: Awaitable[None], receive: Receive) -> None:
    """Does `work`, or less of it if the caller leaves before it is done."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _lifespan(receive: Receive, send: Send) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            event = (await receive())["type"].removeprefix("lifespan.")
            await send({"type": f"lifespan.{event}.complete"})
            if event == "shutdown":
                return
