"""httpx's AsyncBaseTransport over the pool: one request out, one response in, at a tenth of the cost.

What enters must be whole: the body in memory, Host and Content-Length among the headers. They leave byte
for byte. The request's extensions say more: `target`, the path as raw bytes; `exchange`, where the phases
are noted; `timeout`, as httpx means it: `pool`, and `read` for sending and the answer's head. What comes
after is the caller's to limit. Nothing is sent twice, but for a method that may be, when a kept connection
turns out to be closed.
"""

import asyncio
from collections.abc import AsyncIterator

import httpx

from lessllm_gateway.egress.answer import Broken
from lessllm_gateway.egress.connection import Connection
from lessllm_gateway.egress.dialer import DialError, Place
from lessllm_gateway.egress.exchange import Exchange, Phase
from lessllm_gateway.egress.pool import Pool

_REPEATABLE = frozenset(("GET", "HEAD", "OPTIONS"))


class Transport(httpx.AsyncBaseTransport):
    """Requests to one place. Any number of transports share a pool, which is closed by its owner."""

    def __init__(self, pool: Pool, place: Place) -> None:
        self._pool = pool
        self._place = place

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The response, its body still to come.

        Raises DialError, PoolFull, Broken, and httpx's LocalProtocolError, WriteTimeout and ReadTimeout.
        """
        exchange: Exchange = request.extensions["exchange"]
        timeout: dict[str, float] = request.extensions["timeout"]
        head, body = _head(request, self._place), request.read()
        while True:
            connection = await self._pool.lend(self._place, exchange, timeout["pool"])
            try:
                async with asyncio.timeout(timeout["read"]):
                    answer = await connection.exchange(request.method, head, body, exchange)
            except BaseException as error:
                self._pool.give_back(connection)
                if isinstance(error, TimeoutError):
                    raise _timed_out(exchange) from None
                may_repeat = exchange.reused and request.method in _REPEATABLE
                if isinstance(error, Broken) and not error.received and may_repeat:
                    continue
                raise
            if answer.status == 407 and self._place.origin is None:
                self._pool.give_back(connection)
                text = "the proxy wants another user name and password (it answered with 407)"
                raise DialError(Phase.PROXY_HANDSHAKE, "proxy_auth_failed", text)
            stream = _Body(self._pool, connection)
            return httpx.Response(answer.status, headers=answer.headers, stream=stream)


class _Body(httpx.AsyncByteStream):
    """A response's body, a piece for each network read. The connection goes back with the last one."""

    def __init__(self, pool: Pool, connection: Connection) -> None:
        self._pool = pool
        self._connection: Connection | None = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while self._connection is not None and (chunk := await self._connection.read()):
                yield chunk
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        if self._connection is not None:
            self._pool.give_back(self._connection)
            self._connection = None


def _head(request: httpx.Request, place: Place) -> bytes:
    target: bytes = request.extensions["target"]
    headers = request.headers.raw
    if place.origin is None and place.hop is not None:  # a proxy that forwards wants to know whereto
        target = str(request.url.copy_with(raw_path=b"/")).encode()[:-1] + target
        if place.hop.credentials is not None:
            headers = [*headers, (b"Proxy-Authorization", place.hop.credentials.basic)]
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), target)]
    lines += [b"%b: %b" % header for header in headers]
    head = b"\r\n".join((*lines, b"", b""))
    breaks = len(lines) + 1
    if b" " in target or b"\0" in head or head.count(b"\r") != breaks or head.count(b"\n") != breaks:
        raise httpx.LocalProtocolError("the request's path or a header holds what HTTP does not allow")
    return head


def _timed_out(exchange: Exchange) -> httpx.TimeoutException:
    if exchange.phase is Phase.SEND:
        return httpx.WriteTimeout("the request could not be sent in time")
    return httpx.ReadTimeout("no answer in time")
