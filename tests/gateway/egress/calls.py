"""Calls by a transport, as the gateway makes them, and pools of which nothing may be left."""

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
from gateway.egress.servers import until
from lessllm_gateway.egress.dialer import Dialer, Patience, Place
from lessllm_gateway.egress.exchange import Exchange
from lessllm_gateway.egress.hops import Hop, Kind, Origin
from lessllm_gateway.egress.pool import Limits, Pool
from lessllm_gateway.egress.transport import Transport

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
) -> httpx.Request:
    host = httpx.URL(url).netloc
    length = [(b"content-length", b"%d" % len(body))]
    return httpx.Request(
        method,
        url,
        headers=[(b"host", host), *length, *(headers or [])],
        stream=httpx.ByteStream(body),
        extensions={
            "target": httpx.URL(url).raw_path,
            "timeout": {"pool": pool_s, "read": read_s},
            "exchange": Exchange(),
        },
    )


def place_of(hop: Hop | None, origin: Origin, trusting: ssl.SSLContext) -> Place:
    """With the same trust in the upstream and in an https:// proxy."""
    return Place.of(hop, origin, trusting, trusting if hop is not None and hop.kind is Kind.HTTPS else None)


async def called(transport: httpx.AsyncBaseTransport, asked: httpx.Request | None = None) -> Called:
    """The whole answer."""
    asked = asked or request()
    response = await transport.handle_async_request(asked)
    try:
        body = b"".join([chunk async for chunk in response.stream])
    finally:
        await response.aclose()
    return Called(response.status_code, response.headers.raw, body, asked.extensions["exchange"])


@contextlib.asynccontextmanager
async def pooled(
    place: Place, limits: Limits = LIMITS, dialer: Dialer | None = None
) -> AsyncIterator[tuple[Pool, Transport]]:
    """A pool, and a transport to one place. At the end nothing may be lent."""
    pool = Pool(dialer or Dialer(PATIENCE), limits)
    try:
        yield pool, Transport(pool, place)
        await until(lambda: pool.open_count == pool.idle_count and not pool.waiting_count)
    finally:
        await pool.close()
    assert pool.open_count == 0
