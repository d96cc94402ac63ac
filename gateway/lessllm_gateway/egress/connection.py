"""One HTTP/1.1 connection, as an asyncio protocol: a request out, its answer in, then the next.

Bytes of the network enter; `exchange` and `read` hand out what an Answer made of them, a piece for each
read. A connection is idle, busy or closed. One that broke, was left in the middle of an answer, or holds
what nobody asked for is closed, and never used again. It holds no more than HIGH_WATER_BYTES and one read.
"""

import asyncio
import select
import time
from collections import deque
from collections.abc import Callable
from typing import cast

from lessllm_gateway.egress.answer import Answer, Broken
from lessllm_gateway.egress.exchange import Exchange, Phase

HIGH_WATER_BYTES = 64 * 1024  # of an answer that is not taken; then the network waits


class Connection(asyncio.Protocol):
    """Open since `connection_made`."""

    def __init__(self) -> None:
        self.is_closed = False
        self.round_trip_ns: int | None = None
        self.idle_since_s = 0.0
        self._on_closed: Callable[[Connection], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._readable = select.poll()
        self._answer: Answer | None = None  # of a request under way
        self._chunks: deque[bytes] = deque()
        self._held_bytes = 0
        self._is_reading = True
        self._is_writing = False  # what was written is not all sent
        self._error: Broken | None = None
        self._woken: asyncio.Future[None] | None = None
        self._closed = asyncio.Event()

    # The pool calls these.

    def opened(self, on_closed: Callable[["Connection"], None], round_trip_ns: int | None) -> None:
        """The pool has it now: it hears of the end, once, even if that has come already."""
        self.round_trip_ns = round_trip_ns
        if self.is_closed:
            on_closed(self)
        else:
            self._on_closed = on_closed

    @property
    def is_usable(self) -> bool:
        """Whether an idle connection can take a request.

        A server that closed it may not have been heard of yet. There is nothing to read on a good one.
        """
        return not self.is_closed and not self._readable.poll(0)

    def close(self) -> None:
        """At once; what is not sent yet never is."""
        if self._transport is not None:
            self._transport.abort()
        self.is_closed = True

    async def wait_closed(self) -> None:
        """Return when the network has let go of it."""
        await self._closed.wait()

    # The transport calls these.

    async def exchange(self, method: str, head: bytes, body: bytes, exchange: Exchange) -> Answer:
        """Send a request, and read its answer's head. Raises Broken."""
        if self._transport is None or self.is_closed:
            raise Broken("it closed the connection", received=False)
        answer = self._answer = Answer(method)
        exchange.phase = Phase.SEND
        exchange.send_start = time.monotonic_ns()
        is_small = len(body) < HIGH_WATER_BYTES
        await self._send(self._transport, head + body if is_small else head, answer)
        if not is_small:
            await self._send(self._transport, body, answer)
        exchange.sent = time.monotonic_ns()
        exchange.phase = Phase.WAIT
        while not answer.has_head:
            await self._wait()
        exchange.head = time.monotonic_ns()
        exchange.phase = Phase.RECEIVE
        return answer

    async def read(self) -> bytes:
        """The next piece of the answer's body; empty at its end. Raises Broken."""
        answer = self._answer
        assert answer is not None  # noqa: S101 - an exchange is under way
        while not self._chunks:
            if answer.is_complete:
                return b""
            await self._wait()
        chunk = self._chunks.popleft()
        self._held_bytes -= len(chunk)
        if not self._is_reading and self._held_bytes < HIGH_WATER_BYTES:
            self._resume_reading()
        return chunk

    def finish(self) -> bool:
        """The exchange is over, wherever it stands. Returns whether the connection can take another."""
        answer, self._answer = self._answer, None
        self._chunks.clear()
        self._held_bytes = 0
        is_spent = answer is not None and not (answer.is_complete and answer.keeps_alive)
        if answer is not None:
            answer.close()
        if is_spent or self._is_writing:
            self.close()
        if self.is_closed:
            return False
        self._resume_reading()
        return True

    async def _send(self, transport: asyncio.Transport, data: bytes, answer: Answer) -> None:
        """In pieces: TLS takes all that it is given, and calls it sent.

        A server that answers early may want the rest all the same: it is sent beside the answer.
        """
        left = memoryview(data)
        while left and not self.is_closed:
            transport.write(left[:HIGH_WATER_BYTES])
            left = left[HIGH_WATER_BYTES:]
            while self._is_writing and not answer.has_head:
                await self._wait()

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._woken = asyncio.get_running_loop().create_future()
        await self._woken

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _resume_reading(self) -> None:
        if not self._is_reading and self._transport is not None and not self.is_closed:
            self._transport.resume_reading()
            self._is_reading = True

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        # So that resume_writing means that all is sent. With 0, TLS would pause at nothing to send.
        self._transport.set_write_buffer_limits(high=1, low=0)
        self._readable.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        if self.is_closed:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:  # an answer to nothing
            self.close()
            return
        try:
            chunk = answer.feed(data)
        except Broken as error:
            self._error = error
            self.close()
            self._wake()
            return
        if chunk:
            self._chunks.append(chunk)
            self._held_bytes += len(chunk)
            if self._held_bytes >= HIGH_WATER_BYTES and self._transport is not None:
                self._transport.pause_reading()
                self._is_reading = False
        self._wake()

    def eof_received(self) -> bool:
        self._ended(is_cut=False)
        return False  # the transport closes itself

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(is_cut=exc is not None or self.is_closed)  # the latter: by us
        self._transport = None
        if self._on_closed is not None:
            self._on_closed(self)
            self._on_closed = None
        self._closed.set()

    def pause_writing(self) -> None:
        self._is_writing = True

    def resume_writing(self) -> None:
        self._is_writing = False
        self._wake()

    def _ended(self, *, is_cut: bool) -> None:
        """There is nothing more to read: that is the end of some answers, and breaks the others."""
        self.is_closed = True
        if self._answer is not None and self._error is None:
            try:
                self._answer.end(is_cut=is_cut)
            except Broken as error:
                self._error = error
        self._wake()
