"""The upstream: a process of its own, so cheap that it limits nobody: it writes bytes that were made before.

It reads a request up to its known end and parses only the target. An answer is one write; a stream is one
for its head and one for each chunk, with a pause before each so that the other side reads them one by one.
It never sleeps: on loopback the sender of a request would pay for waking it, about as much as for the call.
For the same reason nginx's load comes from here, too.
"""

import asyncio
import os
import ssl
import time
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import measuring
import traffic
import uvloop

_turns = count()


class Upstream(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        self._request = b""

    def data_received(self, data: bytes) -> None:
        self._request += data
        if not data.endswith(traffic.REQUEST_END):
            return
        self._pause_s = traffic.pause_s(self._request.split(b" ", 2)[1])
        self._request = b""
        if not self._pause_s:
            self._transport.write(traffic.CHAT)
            return
        self._transport.write(traffic.STREAM_HEAD)
        self._chunks = iter(traffic.STREAM)
        # Streams that were asked for together don't go in step, as those of a real server wouldn't.
        self._due_s = time.monotonic() + self._pause_s * (1 + next(_turns) % 16 / 16)
        self._write_when_due()

    def _write_when_due(self) -> None:
        """A timer could be late, or early by a millisecond; the loop goes round anyway."""
        now_s = time.monotonic()
        if now_s >= self._due_s:
            self._due_s = now_s + self._pause_s
            chunk = next(self._chunks, None)
            if chunk is None or self._transport.is_closing():
                return
            self._transport.write(chunk)
        self._loop.call_soon(self._write_when_due)


def run(parent: Connection, core: int, pem_file: Path | None) -> None:
    """Serve at a port, which the parent is told, and do the parent's jobs, until it ends this process."""
    os.sched_setaffinity(0, {core})
    tls = None
    if pem_file is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(pem_file)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Upstream, "127.0.0.1", 0, ssl=tls)
        _stay_awake(loop)
        parent.send(server.sockets[0].getsockname()[1])
        while True:
            job = await loop.run_in_executor(None, parent.recv)
            parent.send(await measuring.sample(job))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def _stay_awake(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(_stay_awake, loop)
