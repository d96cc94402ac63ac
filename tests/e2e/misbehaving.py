"""Upstreams and proxies that misbehave, each in its own way, and how a call that meets one must end.

They run in a thread while the block does, each on a port of its own: what is left of them in the gateway is
the gateway's. A provider of the peer's name leads to it.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from e2e.delays import Serve, content_length, hold, listening, read_request
from e2e.upstream import Certificate

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Then = Callable[[Reader, Writer], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
EMPTY = OK + b"content-length: 2\r\n\r\n{}"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
SOCKS5_OPEN = b"\x05\x00" + b"\x05\x00\x00\x01" + bytes(6)

COMPLETE = ("complete", None)
BROKEN = ("upstream_error", "upstream_protocol_error")
TRUNCATED = ("truncated", "upstream_truncated")
FIELD = b"x: %b\r\n" % (b"y" * 1000)
TIMED_OUT = ("upstream_timeout", "upstream_timeout")
NO_PROXY = ("proxy_error", "proxy_protocol_error")
PROXY_TIMED_OUT = ("proxy_error", "proxy_timeout")
NO_TLS = ("connect_error", "upstream_tls_failed")


@dataclass(frozen=True, slots=True)
class Peer:
    """One that misbehaves."""

    serve: Serve
    status: int  # that the client sees
    ends: tuple[str, str | None]  # end_reason and error_code of the row
    upstream: str = "http"  # scheme
    proxy: str | None = None  # scheme; None: it is the upstream
    may_end: tuple[tuple[str, str | None], ...] = ()  # also, where it is a race
    body_bytes: int = 0  # of a large request
    has_tls: bool = False

    def provider(self, port: int, shown: Certificate) -> dict[str, Any]:
        """The configuration that leads there."""
        host = f"127.0.0.1:{port}" if self.proxy is None else "192.0.2.1"
        chain = [] if self.proxy is None else [f"{self.proxy}://127.0.0.1:{port}"]
        return {
            "format": "openai",
            "base_url": f"{self.upstream}://{host}/v1",
            "api_key": "sk-x",
            "tls": {"ca_file": str(shown.ca_file)},
            "proxy": {"chain": chain, "trust_env": False},
        }


async def close(_reader: Reader, _writer: Writer) -> None:
    """What follows is the end of the connection."""


async def reset(_reader: Reader, writer: Writer) -> None:
    await writer.drain()
    await hold(5)  # so that what was said arrives
    connected = writer.get_extra_info("socket")
    if connected is None:  # over TLS: the other side went first
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang(reader: Reader, _writer: Writer) -> None:
    """Silence, until the other side has had enough."""
    while await reader.read(65536):
        pass


async def half_close(reader: Reader, writer: Writer) -> None:
    writer.write_eof()
    await hang(reader, writer)


async def speak_unasked(reader: Reader, writer: Writer) -> None:
    await hold(5)
    writer.write(b"garbage\r\n\r\n")
    await hang(reader, writer)


def endless(data: bytes) -> Then:
    async def then(_reader: Reader, writer: Writer) -> None:
        while not writer.is_closing():
            writer.write(data * 1000)
            await writer.drain()

    return then


def answers(data: bytes, then: Then = close) -> Serve:
    """An upstream that says this to a request."""

    async def serve(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        writer.write(data)
        await then(reader, writer)

    return serve


def says(data: bytes, then: Then = close, *, after_bytes: int = 1) -> Serve:
    """Anybody who says this when something has come."""

    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.readexactly(after_bytes)
        writer.write(data)
        await then(reader, writer)

    return serve


def keeps(data: bytes) -> Serve:
    """An upstream that says this to each request of a connection."""

    async def serve(reader: Reader, writer: Writer) -> None:
        while True:
            await read_request(reader)
            writer.write(data)

    return serve


async def stale(reader: Reader, writer: Writer) -> None:
    """A kept connection's second request is not answered."""
    await read_request(reader)
    writer.write(EMPTY)
    await read_request(reader)


async def early(reader: Reader, writer: Writer) -> None:
    """Answers large requests before it has read them."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(EMPTY)
        await reader.readexactly(content_length(head))


async def socks_cut(reader: Reader, writer: Writer) -> None:
    """A tunnel that ends in the middle of an answer."""
    await reader.readexactly(3)
    writer.write(SOCKS5_OPEN[:2])
    await reader.readexactly(10)
    writer.write(SOCKS5_OPEN[2:])
    await read_request(reader)
    writer.write(STREAM + CHUNK)


UPSTREAMS = {
    "fine": Peer(keeps(EMPTY), 200, COMPLETE),
    "stale": Peer(stale, 200, COMPLETE, may_end=(BROKEN,)),
    "closes-after": Peer(answers(EMPTY), 200, COMPLETE, may_end=(BROKEN,)),
    "half-closes": Peer(answers(EMPTY, half_close), 200, COMPLETE, may_end=(BROKEN,)),
    "says-it-closes": Peer(
        answers(EMPTY.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")), 200, COMPLETE
    ),
    "close-delimited": Peer(answers(OK + b"\r\n{}"), 200, COMPLETE),
    "informs-first": Peer(
        keeps(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + EMPTY),
        200,
        COMPLETE,
    ),
    "answers-early": Peer(early, 200, COMPLETE, body_bytes=1 << 20),
    "garbage-after": Peer(answers(EMPTY + b"garbage\r\n\r\n", hang), 200, COMPLETE),
    "answers-twice": Peer(answers(EMPTY * 2, hang), 200, COMPLETE),
    "speaks-unasked": Peer(answers(EMPTY, speak_unasked), 200, COMPLETE, may_end=(BROKEN,)),
    "closes": Peer(answers(b""), 502, BROKEN),
    "resets": Peer(answers(b"", reset), 502, BROKEN),
    "garbage": Peer(answers(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", hang), 502, BROKEN),
    "switches": Peer(answers(b"HTTP/1.1 101 X\r\nupgrade: x\r\n\r\n", hang), 502, BROKEN),
    "two-framings": Peer(answers(STREAM[:-2] + b"content-length: 2\r\n\r\n{}", hang), 502, BROKEN),
    "endless-head": Peer(answers(OK, endless(FIELD)), 502, BROKEN),
    "endless-line": Peer(answers(OK + b"x: ", endless(b"y" * 32)), 502, BROKEN),
    "informs-for-ever": Peer(answers(b"", endless(b"HTTP/1.1 103 X\r\n" + FIELD + b"\r\n")), 502, BROKEN),
    "silent": Peer(answers(b"", hang), 504, TIMED_OUT),
    "silent-in-head": Peer(answers(OK, hang), 504, TIMED_OUT),
    "silent-in-stream": Peer(answers(STREAM + CHUNK, hang), 200, TIMED_OUT),
    "cut-chunk": Peer(answers(STREAM + CHUNK[:-9]), 200, TRUNCATED),
    "cut-stream": Peer(answers(STREAM + CHUNK), 200, TRUNCATED),
    "cut-length": Peer(answers(OK + b"content-length: 9\r\n\r\n{}"), 200, TRUNCATED),
    "reset-in-stream": Peer(answers(STREAM + CHUNK, reset), 200, TRUNCATED),
    "bad-chunk": Peer(answers(STREAM + CHUNK + b"zz\r\n", hang), 200, TRUNCATED),
    "endless-trailer": Peer(answers(STREAM + CHUNK + b"0\r\n", endless(FIELD)), 200, TRUNCATED),
    "tls-garbage": Peer(says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), 502, NO_TLS, "https"),
    "tls-closes": Peer(says(b""), 502, NO_TLS, "https"),
    "tls-silent": Peer(says(b"", hang), 504, ("connect_error", "connect_timeout"), "https"),
    "tls-cut": Peer(answers(STREAM + CHUNK, reset), 200, TRUNCATED, "https", has_tls=True),
}
PROXIES = {
    f"{scheme}-{name}": Peer(serve, status, ends, "https" if scheme == "http" else "http", scheme)
    for scheme in ("http", "socks4", "socks5h")
    for name, serve, status, ends in (
        ("silent", says(b"", hang), 504, PROXY_TIMED_OUT),
        ("garbage", says(b"garbage\r\n\r\n", hang), 502, NO_PROXY),
        ("closes", says(b""), 502, NO_PROXY),
        ("resets", says(b"", reset), 502, NO_PROXY),
    )
} | {
    "http-endless": Peer(says(b"HTTP/1.1 200 OK\r\n", endless(FIELD)), 502, NO_PROXY, "https", "http"),
    "http-goes-on": Peer(says(b"HTTP/1.1 200 OK\r\n\r\nmore", hang), 502, NO_PROXY, "https", "http"),
    "http-cut": Peer(says(b"HTTP/1.1 200 OK\r\n\r\n", after_bytes=40), 502, NO_TLS, "https", "http"),
    "https-silent": Peer(says(b"", hang), 504, PROXY_TIMED_OUT, "https", "https"),
    "https-closes": Peer(says(b""), 502, ("proxy_error", "proxy_tls_failed"), "https", "https"),
    "socks5h-cut": Peer(socks_cut, 200, TRUNCATED, "http", "socks5h"),
}
PEERS = UPSTREAMS | PROXIES


@contextlib.contextmanager
def running_peers(shown: Certificate) -> Iterator[dict[str, dict[str, Any]]]:
    """All of them while the block runs. Gives the providers that lead to them."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(shown.pem_file)
    providers: dict[str, dict[str, Any]] = {}
    are_ready = threading.Event()
    loop, end = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for name, peer in PEERS.items():
                port = await stack.enter_async_context(
                    listening(peer.serve, context if peer.has_tls else None)
                )
                providers[name] = peer.provider(port, shown)
            are_ready.set()
            await end.wait()

    def run() -> None:
        with contextlib.closing(loop):
            loop.run_until_complete(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert are_ready.wait(10)
    try:
        yield providers
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
