"""The upstream, so cheap that it limits nobody: it writes bytes made before, each piece when it is due.

A request leads to an `Answer` by a function; every piece of it is a write of its own. On loopback whoever
sends to a sleeping process pays for waking it, about as much as for a call: an upstream that is `awake` never
sleeps, at the price of a core, and its pauses are exact. Otherwise they are to the millisecond.
"""

import asyncio
import re
import socket
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Literal, cast

STAMP = b"@0000000000.000000"  # where a stamped answer has this, it says when that was written

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ON_FOR_0_S = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST
_turns = count()


@dataclass(frozen=True, slots=True)
class Answer:
    """What is written for a request."""

    pieces: tuple[bytes, ...]
    after_s: float = 0.0  # before the first piece
    pause_s: float = 0.0  # before each of the others
    then: Literal["keep", "close", "reset"] = "keep"  # the connection
    is_stamped: bool = False


Answering = Callable[[bytes, bytes], Answer]  # from the request's head and body


class Upstream(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, answering: Answering, *, is_awake: bool) -> None:
        self._answering = answering
        self._is_awake = is_awake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        self._request = bytearray()
        self._head_bytes = self._whole_bytes = 0

    def data_received(self, data: bytes) -> None:
        self._request += data
        if not self._whole_bytes:
            self._head_bytes = self._request.find(b"\r\n\r\n") + 4
            if self._head_bytes < 4:
                return
            length = _LENGTH.search(self._request, 0, self._head_bytes)
            self._whole_bytes = self._head_bytes + (int(length[1]) if length else 0)
        if len(self._request) < self._whole_bytes:
            return
        head, body = bytes(self._request[: self._head_bytes]), bytes(self._request[self._head_bytes :])
        self._request.clear()
        self._whole_bytes = 0
        self._begin(self._answering(head, body))

    def _begin(self, answer: Answer) -> None:
        self._answer = answer
        self._pieces = iter(answer.pieces)
        self._piece = next(self._pieces, b"")
        # Streams that were asked for together don't go in step, as those of a real server wouldn't.
        self._extra_s = answer.pause_s * (next(_turns) % 16 / 16)
        self._due_s = time.monotonic() + answer.after_s
        self._go_on()

    def _go_on(self) -> None:
        """Write what is due; come back when more is."""
        pause_s = self._answer.pause_s
        while not self._transport.is_closing():
            now_s = time.monotonic()
            if now_s < self._due_s:
                self._come_back(self._due_s - now_s)
                return
            piece = self._piece
            if self._answer.is_stamped:
                piece = piece.replace(STAMP, b"@%017.6f" % now_s)
            self._transport.write(piece)
            following = next(self._pieces, None)
            if following is None:
                self._end()
                return
            self._piece = following
            self._due_s = now_s + pause_s + self._extra_s
            self._extra_s = 0.0

    def _come_back(self, after_s: float) -> None:
        """A timer could be late, or early by a millisecond; a loop that is awake goes round anyway."""
        if self._is_awake:
            self._loop.call_soon(self._go_on)
        else:
            self._loop.call_later(after_s, self._go_on)

    def _end(self) -> None:
        match self._answer.then:
            case "close":
                self._transport.close()
            case "reset":
                self._transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _ON_FOR_0_S
                )
                self._transport.abort()


async def listen(
    answering: Answering, tls: ssl.SSLContext | None = None, *, is_awake: bool
) -> asyncio.Server:
    """At a free port of loopback, on the running loop."""
    loop = asyncio.get_running_loop()
    factory = partial(Upstream, answering, is_awake=is_awake)
    server = await loop.create_server(factory, "127.0.0.1", 0, ssl=tls, backlog=1024)
    if is_awake:
        _stay_awake(loop)
    return server


def port_of(server: asyncio.Server) -> int:
    """Where it listens."""
    port: int = server.sockets[0].getsockname()[1]
    return port


def _stay_awake(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(_stay_awake, loop)
