"""An upstream's answer on its way to the client: each network read is marked, recorded and passed on.

Takes an httpx.Response whose headers have arrived; leaves the client with the last byte. Never touches a
byte that no transform was asked for.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import httpx
from lessllm_shared.config.sections import Timeouts
from lessllm_shared.record import CallRecord

from lessllm_gateway.crossing import Whole
from lessllm_gateway.outbound import Clock
from lessllm_gateway.transform import Transform

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)


def end_to_end(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers meant for the far end, names in lower case: no hop-by-hop ones."""
    lowered = [(name.lower(), value) for name, value in headers]
    named = {
        token.strip().lower()
        for name, value in lowered
        if name == b"connection"
        for token in value.split(b",")
    }
    return [(name, value) for name, value in lowered if name not in _HOP_BY_HOP and name not in named]


class Relay:
    """Passes one answer on."""

    def __init__(self, record: CallRecord, clock: Clock, send: Send, timeouts: Timeouts) -> None:
        self._record = record
        self._clock = clock
        self._send = send
        self._timeouts = timeouts
        self.started = False  # the client has been given a status
        self.finished = False  # … and the last byte
        self._kept: list[bytes] | None = None

    async def head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Status and headers to the client."""
        self.started = True
        self._record.status_code = status
        await self._to_client({"type": "http.response.start", "status": status, "headers": headers})

    async def answer_whole(self, response: httpx.Response, convert: Whole) -> None:
        """The upstream's answer, converted when all of it is there. Raises as `answer`, and Rejection."""
        async for _ in self._reads(response):
            pass
        status, body = convert(response.status_code, self._record.response_body)
        headers = [
            (name, value)
            for name, value in end_to_end(response.headers.raw)
            if name not in {b"content-length", b"content-type"}
        ]
        headers += [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"x-lessllm-request-id", self._record.request_id.encode()),
        ]
        await self.head(status, headers)
        await self.body(body, more=False)

    async def answer(self, response: httpx.Response, transform: Transform | None) -> None:
        """The upstream's answer as it comes. Raises httpx's exceptions and TimeoutError."""
        headers = end_to_end(response.headers.raw)
        if transform is not None:
            headers = [(name, value) for name, value in headers if name != b"content-length"]
        headers.append((b"x-lessllm-request-id", self._record.request_id.encode()))
        await self.head(response.status_code, headers)
        async for chunk in self._reads(response):
            out = chunk if transform is None else transform.feed(chunk)
            if out:
                await self.body(out)
        if transform is not None and (rest := transform.finish()):
            await self.body(rest)
        await self.body(b"", more=False)

    def keep_client_body(self) -> None:
        """What the client gets is not what the upstream said: record it too."""
        self._kept = []

    async def body(self, data: bytes, *, more: bool = True) -> None:
        """Bytes to the client."""
        self.finished = not more
        if self._kept is not None:
            self._kept.append(data)
            if not more:
                self._record.client_response_body = b"".join(self._kept)
        await self._to_client({"type": "http.response.body", "body": data, "more_body": more})

    async def _reads(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """The answer's bytes as they come off the network, within the idle and total limits."""
        record, clock = self._record, self._clock
        received: list[bytes] = []
        loop = asyncio.get_running_loop()
        end_of_call = loop.time() + self._timeouts.total_s - clock.now() / 1e9
        chunks = aiter(response.stream)  # type: ignore[arg-type]  # httpx types it as sync or async
        try:
            async with asyncio.timeout(None) as limit:
                while True:
                    limit.reschedule(min(loop.time() + self._timeouts.idle_s, end_of_call))
                    chunk = await anext(chunks, None)
                    if chunk is None:
                        break
                    limit.reschedule(None)
                    record.read_ns.append(clock.now())
                    record.read_bytes.append(len(chunk))
                    received.append(chunk)
                    yield chunk
        finally:
            record.upstream_end_ns = clock.now()
            record.response_body = b"".join(received)

    async def _to_client(self, message: MutableMapping[str, Any]) -> None:
        start = self._clock.now()
        await self._send(message)
        self._record.client_blocked_ns += self._clock.now() - start
