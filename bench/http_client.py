"""A client so cheap that what it measures is the other side: requests as bytes, answers read by httptools.

It keeps connections, one call at a time on each, and notes when the first byte of a body came and when all of
it was there. It can leave before that.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import httptools

_REQUEST_ID = b"x-lessllm-request-id"


@dataclass(slots=True)
class Reply:
    """What came of a call. Times are of time.monotonic()."""

    began_s: float
    status: int | None = None  # None: not even a head came
    request_id: str | None = None
    body_bytes: int = 0
    first_s: float | None = None  # when the first byte of the body came
    end_s: float | None = None  # when the last one was there; None: it broke off, or was left

    @property
    def is_whole(self) -> bool:
        """Whether all of it came."""
        return self.end_s is not None


class Client:
    """Of one server on loopback. Make it on the running loop."""

    def __init__(self, port: int) -> None:
        self._connections = Connections(port, _Connection)

    async def ask(self, request: bytes, leave_after_s: float | None = None) -> Reply:
        """The reply, as far as it comes. With `leave_after_s` the client hangs up then if it is not whole."""
        connection = await self._connections.take()
        reply = await connection.exchange(request, leave_after_s)
        self._connections.give_back(connection)
        return reply

    def close(self) -> None:
        """Close what is kept."""
        self._connections.close()


class Connection(asyncio.Protocol):
    """Carries one call at a time, which ends with it at the latest."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ended: asyncio.Future[None] | None = None  # of the call
        self.is_closed = False

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.close()

    def close(self) -> None:
        """At once."""
        self.is_closed = True
        self._transport.close()
        self._end()

    def _end(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)


ConnectionT = TypeVar("ConnectionT", bound=Connection)


class Connections(Generic[ConnectionT]):
    """To a server on loopback, kept for the next call."""

    def __init__(self, port: int, protocol: Callable[[], ConnectionT]) -> None:
        self._port = port
        self._protocol = protocol
        self._idle: list[ConnectionT] = []

    async def take(self) -> ConnectionT:
        """For one call."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed:
                return connection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(self._protocol, "127.0.0.1", self._port)
        return connection

    def give_back(self, connection: ConnectionT) -> None:
        """After the call."""
        if not connection.is_closed:
            self._idle.append(connection)

    def close(self) -> None:
        """Close what is kept."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()


class _Connection(Connection):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._reply = Reply(0.0)

    async def exchange(self, request: bytes, leave_after_s: float | None) -> Reply:
        loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._ended = loop.create_future()
        self._reply = Reply(time.monotonic())
        self._transport.write(request)
        if leave_after_s is None:
            await self._ended
        else:
            leaving = loop.call_later(leave_after_s, self.close)
            await self._ended
            leaving.cancel()
        return self._reply

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == _REQUEST_ID:
            self._reply.request_id = value.decode()

    def on_headers_complete(self) -> None:
        self._reply.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        if self._reply.first_s is None:
            self._reply.first_s = time.monotonic()
        self._reply.body_bytes += len(body)

    def on_message_complete(self) -> None:
        self._reply.end_s = time.monotonic()
        if not self._parser.should_keep_alive():
            self.close()
        self._end()
