"""A client and the upstream in one process, so cheap that neither is what is measured, and with one clock.

Whatever a gateway makes of the upstream's answer, the client finds its end and the stamps in it: when each
chunk was written and when it came back, read from the same clock. A stream is whole if all its stamps came.
"""

import asyncio
import re
import time
from dataclasses import dataclass, field

import upstream
from http_client import Connection, Connections
from upstream import Answer

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STAMPS = re.compile(rb"@(\d{10}\.\d{6})")
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_IN_AN_ANSWER = b"lorem ipsum"


@dataclass(slots=True)
class Reply:
    """What came of a call. Times are of time.monotonic()."""

    began_s: float
    end_s: float | None = None  # None: it broke off
    status: bytes = b""
    start: bytes = b""  # of what came, for a message
    is_answer: bool = False  # whether the upstream's words are in it
    stamps: list[tuple[float, float]] = field(default_factory=list)  # written, read


class Target:
    """A server on loopback, and the request that it gets. Make it on the running loop."""

    def __init__(self, port: int, request: bytes) -> None:
        self._request = request
        self._connections = Connections(port, _Connection)

    async def call(self) -> Reply:
        """The reply, as far as it comes."""
        connection = await self._connections.take()
        reply = await connection.exchange(self._request)
        self._connections.give_back(connection)
        return reply

    def close(self) -> None:
        """Close what is kept."""
        self._connections.close()


class Upstream:
    """Answers whatever is asked with what was last set."""

    def __init__(self) -> None:
        self.answer = Answer(())

    async def listen(self) -> int:
        """The port. The running loop never sleeps from then on."""
        server = await upstream.listen(lambda _head, _body: self.answer, is_awake=True)
        return upstream.port_of(server)


class _Connection(Connection):
    async def exchange(self, request: bytes) -> Reply:
        self._head: bytes | None = None
        self._tail = self._carry = b""
        self._left_bytes: int | None = None  # None: until the last chunk
        self._ended = asyncio.get_running_loop().create_future()
        self._reply = Reply(time.monotonic())
        self._transport.write(request)
        await self._ended
        return self._reply

    def data_received(self, data: bytes) -> None:
        now_s = time.monotonic()
        if self._head is None:
            data = self._tail + data
            head_bytes = data.find(b"\r\n\r\n") + 4
            if head_bytes < 4:
                self._tail = data
                return
            self._begin(data, head_bytes)
            data = data[head_bytes:]
        reply = self._reply
        text = self._carry + data
        if b"@" in text:
            reply.stamps += [(float(stamp), now_s) for stamp in _STAMPS.findall(text)]
        if not reply.is_answer:
            reply.is_answer = _IN_AN_ANSWER in text
        self._carry = text[1 - len(upstream.STAMP) :]  # of what is cut, and never a whole stamp
        if self._left_bytes is None:
            self._tail = (self._tail + data)[-len(_LAST_CHUNK) :]
            if self._tail != _LAST_CHUNK:
                return
        else:
            self._left_bytes -= len(data)
            if self._left_bytes > 0:
                return
        reply.end_s = now_s
        self._end()

    def _begin(self, data: bytes, head_bytes: int) -> None:
        self._head = data[:head_bytes]
        self._reply.status = self._head[9:12]
        self._reply.start = data[:2000]
        length = _LENGTH.search(self._head)
        self._left_bytes = int(length[1]) if length else None
        self._tail = b"\r\n"  # which the last chunk could follow at once


async def several(target: Target, at_once: int, seconds: float, most: int) -> list[Reply]:
    """So many calls at a time, each followed by the next, until then; those that have begun are finished."""
    end_s = time.monotonic() + seconds
    replies: list[Reply] = []
    begun = 0

    async def call_on() -> None:
        nonlocal begun
        while begun < most and (time.monotonic() < end_s or not replies):
            begun += 1
            replies.append(await target.call())

    await asyncio.gather(*(call_on() for _ in range(at_once)))
    return replies


def is_right(reply: Reply, chunks: int) -> bool:
    """Whether it is the upstream's answer, whole."""
    is_whole = reply.end_s is not None and len(reply.stamps) == chunks
    return is_whole and reply.is_answer and reply.status == b"200"
