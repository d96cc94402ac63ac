"""The ways to make a call that are compared, each as the gateway would use it and set up to do no more.

An upstream's URL enters, a `Call` leaves: given a target, it asks and takes the answer chunk by chunk. It
returns how many chunks there were, and fails if they are not the answer. HTTP clients bound the wait for an
answer; httpx and aiohttp also the wait for each chunk, which ours leaves to its caller.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import cast

import bare
import httpx
import traffic
from lessllm_gateway.egress.dialer import Dialer, Patience, Place
from lessllm_gateway.egress.exchange import Exchange
from lessllm_gateway.egress.hops import parse_origin
from lessllm_gateway.egress.pool import Limits, Pool
from lessllm_gateway.egress.transport import Transport

try:
    import aiohttp
except ImportError:
    aiohttp = None  # type: ignore[assignment]

Call = Callable[[bytes], Awaitable[int]]
Contender = Callable[[str, ssl.SSLContext | None], AbstractAsyncContextManager[Call]]

CONNECTIONS = 200
KEEPALIVE_S = 600  # longer than a run: nobody dials while it is measured
CONNECT_S, READ_S = 10.0, 30.0


@asynccontextmanager
async def ours(url: str, tls: ssl.SSLContext | None) -> AsyncIterator[Call]:
    """lessllm_gateway.egress."""
    pool = Pool(Dialer(Patience(CONNECT_S, CONNECT_S)), Limits(CONNECTIONS, CONNECTIONS, KEEPALIVE_S))
    transport = Transport(pool, Place(hop=None, origin=parse_origin(url), tls=tls))
    address = httpx.URL(url)

    async def call(target: bytes) -> int:
        timeout = {"pool": CONNECT_S, "read": READ_S}
        extensions = {"target": target, "timeout": timeout, "exchange": Exchange()}
        return await _over_httpx(transport, address, target, extensions)

    yield call
    await pool.close()


@asynccontextmanager
async def of_httpx(url: str, tls: ssl.SSLContext | None) -> AsyncIterator[Call]:
    """httpx's own transport, without the client above it."""
    limits = httpx.Limits(
        max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=KEEPALIVE_S
    )
    address = httpx.URL(url)
    timeout = {"connect": CONNECT_S, "pool": CONNECT_S, "write": READ_S, "read": READ_S}
    async with httpx.AsyncHTTPTransport(tls or False, limits=limits) as transport:

        async def call(target: bytes) -> int:
            return await _over_httpx(transport, address, target, {"target": target, "timeout": timeout})

        yield call


async def _over_httpx(
    transport: httpx.AsyncBaseTransport, url: httpx.URL, target: bytes, extensions: dict[str, object]
) -> int:
    stream = httpx.ByteStream(traffic.request_body(target))
    request = httpx.Request(
        "POST", url, headers=traffic.REQUEST_HEADERS, stream=stream, extensions=extensions
    )
    response = await transport.handle_async_request(request)
    chunks = size_bytes = 0
    async for chunk in cast("httpx.AsyncByteStream", response.stream):
        chunks += 1
        size_bytes += len(chunk)
    await response.aclose()
    _check(target, response.status_code, size_bytes)
    return chunks


@asynccontextmanager
async def of_aiohttp(url: str, tls: ssl.SSLContext | None) -> AsyncIterator[Call]:
    """aiohttp's client, with nothing decoded, kept or added."""
    headers = [(name.decode(), value.decode()) for name, value in traffic.REQUEST_HEADERS]
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEEPALIVE_S, ssl=tls or False)
    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=READ_S)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:

        async def call(target: bytes) -> int:
            chunks = size_bytes = 0
            address = url + target.decode()
            async with session.post(address, data=traffic.request_body(target), headers=headers) as response:
                async for chunk in response.content.iter_any():
                    chunks += 1
                    size_bytes += len(chunk)
            _check(target, response.status, size_bytes)
            return chunks

        yield call


def _check(target: bytes, status: int, size_bytes: int) -> None:
    if (status, size_bytes) != (200, traffic.answer_bytes(target)):
        raise ValueError(f"not the answer: {size_bytes} bytes with status {status}")


CONTENDERS: dict[str, Contender] = {
    "ours": ours,
    "httpx": of_httpx,
    **({} if aiohttp is None else {"aiohttp": of_aiohttp}),
    "bare": bare.client,
}
