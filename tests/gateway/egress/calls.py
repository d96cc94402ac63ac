"""Calls by a transport, as the gateway makes them, and pools of which nothing may be left."""

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.egress.servers import until
from lessllm_gateway.egress.dialer import Dialer, Patience, Place
from lessllm_gateway.egress.exchange import Exchange
from lessllm_gateway.egress.hops import Hop, Kind, Origin
from lessllm_gateway.egress.message import Request, Response, Transport
from lessllm_gateway.egress.pool import Limits, Pool
from lessllm_gateway.egress.transport import PooledTransport

PATIENCE = Patience(5, 5)
LIMITS = Limits(connections=10, per_place=10, keepalive_s=60)


@dataclass
class Called:
    """A call's outcome."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    exchange: Exchange


def request(
    url: str = "http://localhost/a",
    method: str = "POST",
    body: bytes = b"",
    *,
    read_s: float = 5,
    pool_s: float = 5,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> Request:
    parts = urlsplit(url)
    target = url.partition("://")[2].removeprefix(parts.netloc) or "/"
    length = [(b"content-length", b"%d" % len(body))]
    all_headers = [(b"host", parts.netloc.encode()), *length, *(headers or [])]
    origin = f"{parts.scheme}://{parts.netloc}"
    return Request(method, origin, target.encode(), all_headers, body, Exchange(), pool_s, read_s)


def place_of(hop: Hop | None, origin: Origin, trusting: ssl.SSLContext) -> Place:
    """With the same trust in the upstream and in an https:// proxy."""
    return Place.of(hop, origin, trusting, trusting if hop is not None and hop.kind is Kind.HTTPS else None)


async def called(transport: Transport, asked: Request | None = None) -> Called:
    """The whole answer."""
    asked = asked or request()
    response = await transport.ask(asked)
    try:
        body = b"".join([chunk async for chunk in pieces(response)])
    finally:
        await response.aclose()
    return Called(response.status, response.headers, body, asked.exchange)


async def pieces(response: Response, idle_s: float = 5) -> AsyncIterator[bytes]:
    """The body's, one for each network read."""
    while piece := await response.read(idle_s):
        yield piece


@contextlib.asynccontextmanager
async def pooled(
    place: Place, limits: Limits = LIMITS, dialer: Dialer | None = None
) -> AsyncIterator[tuple[Pool, PooledTransport]]:
    """A pool, and a transport to one place. At the end nothing may be lent."""
    pool = Pool(dialer or Dialer(PATIENCE), limits)
    try:
        yield pool, PooledTransport(pool, place)
        await until(lambda: pool.open_count == pool.idle_count and not pool.waiting_count)
    finally:
        await pool.close()
    assert pool.open_count == 0
