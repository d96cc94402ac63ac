"""Servers that let a known time pass in one phase of a call each: proxies, TLS, an upstream.

They speak just enough of their protocols, and run while their block does.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

EVENT = b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
LAST = b"data: [DONE]\n\n"
_ANSWER = b"HTTP/1.1 200 OK\r\n"
EMPTY = _ANSWER + b"content-length: 0\r\n\r\n"
CLOSING = _ANSWER + b"connection: close\r\ncontent-length: 0\r\n\r\n"
_STREAM = _ANSWER + b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_SOCKS5_OPEN = b"\x05\x00\x00\x01" + bytes(6)


@dataclass(frozen=True, slots=True)
class Delays:
    """Milliseconds, in the order in which they pass. No two of them can be taken for one another."""

    upload: int = 60
    prior: int = 85
    dns: int = 110
    proxy: int = 135
    tls: int = 160
    wait: int = 185
    receive: int = 210  # half of it before the first token


async def hold(delay_ms: float) -> None:
    """Let a time pass."""
    await asyncio.sleep(delay_ms / 1000)


@contextlib.asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a server that keeps nothing open when the block ends."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()
        tasks.discard(task)

    listener = small_socket()
    listener.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(connected, sock=listener, ssl=tls)
    try:
        yield listener.getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks)


def small_socket() -> socket.socket:
    """What is not read from it soon waits at the sender."""
    made = socket.socket(proto=socket.IPPROTO_TCP)  # else asyncio leaves Nagle's algorithm on
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    return made


@contextlib.contextmanager
def deaf() -> Iterator[int]:
    """A port whose queue is full: the kernel answers nobody any more."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def streaming_upstream(delays: Delays) -> Serve:
    """Streams after a while and in pieces."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            await hold(delays.wait)
            writer.write(_STREAM)
            for event in (EVENT, EVENT + LAST):
                await hold(delays.receive / 2)
                writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            writer.write(b"0\r\n\r\n")

    return serve


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Its head and body. What speaks for a proxy sends none."""
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(content_length(head))


def content_length(head: bytes) -> int:
    """As a head says it."""
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)


def large_upstream(size_bytes: int) -> Serve:
    """Answers at once, with more than buffers hold."""
    answer = _ANSWER + b"content-length: %d\r\n\r\n" % size_bytes + bytes(size_bytes)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()

    return serve


def slow_reader(delay_ms: float) -> Serve:
    """An upstream that takes its time to read a large request's body."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await hold(delay_ms)
        left_bytes = content_length(head)
        while left_bytes:
            left_bytes -= len(await reader.read(1 << 20))
        writer.write(EMPTY)

    return serve


def gated_upstream(gate: asyncio.Event, answer: bytes) -> Serve:
    """Answers when the gate is open."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            await gate.wait()
            writer.write(answer)

    return serve


def relay(port: int, delay_ms: float) -> Serve:
    """Before a TLS server: its first bytes come late."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _join(reader, writer, port, delay_ms)

    return serve


def http_proxy(delays: Delays) -> Serve:
    """Opens tunnels."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = int((await read_request(reader)).split()[1].rpartition(b":")[2])
        await hold(delays.proxy)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await _join(reader, writer, port)

    return serve


def socks_proxy(delays: Delays) -> Serve:
    """SOCKS5 with names and IPv4 addresses, without passwords."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.write(b"\x05\x00")
        kind = (await reader.readexactly(4))[3]
        size = (await reader.readexactly(1))[0] if kind == 3 else 4
        address = await reader.readexactly(size + 2)
        await hold(delays.proxy)
        writer.write(_SOCKS5_OPEN)
        await _join(reader, writer, int.from_bytes(address[-2:], "big"))

    return serve


def failing_proxy(delays: Delays) -> Serve:
    """Takes its time to say something that is no answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await hold(delays.prior)
        writer.write(b"garbage\r\n\r\n")

    return serve


async def _join(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, delay_ms: float = 0
) -> None:
    to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
    back = asyncio.create_task(_pump(to_reader, writer, delay_ms))
    try:
        await _pump(reader, to_writer)
    finally:
        back.cancel()
        to_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_ms: float = 0) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            await hold(delay_ms)
            delay_ms = 0
            writer.write(data)
            await writer.drain()
    writer.close()
