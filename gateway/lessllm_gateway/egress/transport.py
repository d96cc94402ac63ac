"""HTTP/1.1 over the pool: one request out, one answer in.

Nothing is sent twice, but for a method that may be, when a kept connection turns out to be closed.
"""

import httpx

from lessllm_gateway.credentials import RawHeaders
from lessllm_gateway.egress.answer import Broken
from lessllm_gateway.egress.connection import Connection
from lessllm_gateway.egress.dialer import DialError, Place
from lessllm_gateway.egress.exchange import Phase
from lessllm_gateway.egress.message import Request
from lessllm_gateway.egress.pool import Pool

_REPEATABLE = frozenset(("GET", "HEAD", "OPTIONS"))


class PooledTransport:
    """Requests to one place. Any number of transports share a pool, which is closed by its owner."""

    def __init__(self, pool: Pool, place: Place) -> None:
        self._pool = pool
        self._place = place

    async def ask(self, request: Request) -> "PooledResponse":
        """The answer, its body still to come.

        Raises DialError, PoolFull, Broken, and httpx's LocalProtocolError, WriteTimeout and ReadTimeout.
        """
        exchange, head = request.exchange, _head(request, self._place)
        while True:
            connection = await self._pool.lend(self._place, exchange, request.pool_s)
            try:
                answer = await connection.exchange(
                    request.method, head, request.body, exchange, request.first_byte_s
                )
            except BaseException as error:
                self._pool.give_back(connection)
                may_repeat = exchange.reused and request.method in _REPEATABLE
                if isinstance(error, Broken) and not error.received and may_repeat:
                    continue
                raise
            if answer.status == 407 and self._place.origin is None:
                self._pool.give_back(connection)
                text = "the proxy wants another user name and password (it answered with 407)"
                raise DialError(Phase.PROXY_HANDSHAKE, "proxy_auth_failed", text)
            return PooledResponse(answer.status, answer.headers, self._pool, connection)

    async def aclose(self) -> None:
        """The connections are the pool's."""


class PooledResponse:
    """As message.Response. The connection goes back with the last piece."""

    __slots__ = ("_connection", "_pool", "headers", "status")

    def __init__(self, status: int, headers: RawHeaders, pool: Pool, connection: Connection) -> None:
        self.status = status
        self.headers = headers
        self._pool = pool
        self._connection: Connection | None = connection

    @property
    def is_read(self) -> bool:
        return self._connection is None

    async def read(self, idle_s: float) -> bytes:
        connection = self._connection
        if connection is None:
            return b""
        try:
            chunk = await connection.read(idle_s)
        except BaseException:
            self._give_back(connection)
            raise
        if not connection.has_more:
            self._give_back(connection)
        return chunk

    async def aclose(self) -> None:
        if self._connection is not None:
            self._give_back(self._connection)

    def _give_back(self, connection: Connection) -> None:
        self._connection = None
        self._pool.give_back(connection)


def _head(request: Request, place: Place) -> bytes:
    target, headers = request.target, request.headers
    if place.origin is None and place.hop is not None:  # a proxy that forwards wants to know whereto
        target = request.origin.encode() + target
        if place.hop.credentials is not None:
            headers = [*headers, (b"Proxy-Authorization", place.hop.credentials.basic)]
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), target)]
    lines += [b"%b: %b" % header for header in headers]
    head = b"\r\n".join((*lines, b"", b""))
    breaks = len(lines) + 1
    if b" " in target or b"\0" in head or head.count(b"\r") != breaks or head.count(b"\n") != breaks:
        raise httpx.LocalProtocolError("the request's path or a header holds what HTTP does not allow")
    return head
