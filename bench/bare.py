"""uvloop and sockets alone: bytes made before go out, reads are collected up to the answer's known end.

No parser, no pool to speak of, no limits. As a contender it shows what Python pays before any HTTP; and it is
so cheap that it can load nginx from the upstream's core.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import traffic
from lessllm_gateway.egress.hops import parse_origin


@asynccontextmanager
async def client(url: str, tls: ssl.SSLContext | None) -> AsyncIterator[Callable[[bytes], Awaitable[int]]]:
    """A contender."""
    origin = parse_origin(url)
    idle: list[_Connection] = []
    lines = [b"%b: %b" % header for header in traffic.REQUEST_HEADERS]
    after_target = b"\r\n".join((b" HTTP/1.1", *lines, b"", b""))

    async def call(target: bytes) -> int:
        if idle:
            connection = idle.pop()
        else:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(_Connection, origin.host, origin.port, ssl=tls)
        reads = await connection.exchange(
            b"POST %b%b%b" % (target, after_target, traffic.request_body(target))
        )
        idle.append(connection)
        if not reads[0].startswith(b"HTTP/1.1 200 "):
            raise ValueError(f"not the answer: {reads[0]!r}")
        is_head_alone = reads[0].endswith(b"\r\n\r\n")
        return len(reads) - is_head_alone

    yield call
    for connection in idle:
        connection.close()


class _Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    async def exchange(self, request: bytes) -> list[bytes]:
        """The reads that the answer came in."""
        self._reads: list[bytes] = []
        self._ended = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        await self._ended
        return self._reads

    def data_received(self, data: bytes) -> None:
        self._reads.append(data)
        if data.endswith(traffic.ANSWER_ENDS):
            self._ended.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_exception(exc or ConnectionError("closed before the answer's end"))

    def close(self) -> None:
        self._transport.close()
