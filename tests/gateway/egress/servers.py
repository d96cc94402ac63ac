"""What connections lead to: upstreams that do what a test says, and a proxy of every kind, on loopback.

They count what comes, and at a server's end nothing of it is left. The proxy is written from the protocols'
specifications, not from our side of them.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from lessllm_gateway.egress.hops import Credentials, Kind

HOST = "127.0.0.1"
HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_GONE = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)


class Server:
    """Listens, and counts."""

    def __init__(self, handle: Handle) -> None:
        self.accepted = 0
        self.port = 0
        self._handle = handle
        self._tasks: set[asyncio.Task[None] | None] = set()

    @property
    def open_count(self) -> int:
        return len(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._tasks.add(asyncio.current_task())
        try:
            with contextlib.suppress(*_GONE, asyncio.CancelledError):
                await self._handle(reader, writer)
        finally:
            self._tasks.discard(asyncio.current_task())
            writer.close()

    @contextlib.asynccontextmanager
    async def listening(
        self, context: ssl.SSLContext | None = None, buffer_bytes: int | None = None
    ) -> AsyncIterator["Server"]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # or asyncio delays
        listener.bind((HOST, 0))
        if buffer_bytes is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        server = await asyncio.start_server(self._serve, sock=listener, ssl=context, limit=1 << 20)
        self.port = listener.getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            tasks = [task for task in self._tasks if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def black_hole():
    """A port that answers no SYN: its backlog is full."""
    with socket.socket() as hole, contextlib.ExitStack() as stack:
        hole.bind((HOST, 0))
        hole.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
        yield hole.getsockname()[1]


async def until(condition: Callable[[], object]) -> None:
    """Return when it has come true."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - whatever it is
            await asyncio.sleep(0.002)


@dataclass
class Asked:
    """A request, as its bytes came."""

    connection: int
    head: bytes
    body: bytes

    @property
    def target(self) -> str:
        return self.head.split(b" ", 2)[1].decode()


@dataclass
class Upstream:
    """Reads requests and answers them."""

    answer: bytes | Handle = HELLO
    connections: int = 0
    asked: list[Asked] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = self.connections
        while True:
            self.asked.append(Asked(connection, *await read_request(reader)))
            if callable(self.answer):
                await self.answer(reader, writer)
            else:
                writer.write(self.answer)
            await writer.drain()


async def quiet(reader, writer):
    """A server that reads, and never answers."""
    del writer
    while await reader.read(1 << 16):
        pass


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head, await reader.readexactly(int(lengths[0]) if lengths else 0)


@dataclass
class Proxy:
    """A proxy of one kind. `went` says whereto, as it was asked."""

    kind: Kind
    credentials: Credentials | None = None
    before_reply: Callable[[], Awaitable[None]] | None = None
    went: list[str] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        way = _KINDS[self.kind]
        opened = await way(self, reader, writer)
        if opened is not None:
            await relay(reader, writer, *opened)

    async def open_way(self, host: str, port: int):
        self.went.append(f"{host}:{port}")
        if self.before_reply is not None:
            await self.before_reply()
        return await asyncio.open_connection(host, port, limit=1 << 20, family=socket.AF_INET)


async def _http(proxy: Proxy, reader, writer):
    head, body = await read_request(reader)
    lines = head.split(b"\r\n")
    method, target, _ = lines[0].split(b" ")
    if proxy.credentials is not None:
        pair = f"{proxy.credentials.username}:{proxy.credentials.password}".encode()
        if b"Proxy-Authorization: Basic " + b64encode(pair) not in lines:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            return None
    if method == b"CONNECT":
        host, _, port = target.decode().rpartition(":")
        way = await proxy.open_way(host.strip("[]"), int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return way
    _, _, rest = target.partition(b"://")
    authority, slash, path = rest.partition(b"/")
    host, _, port = authority.decode().partition(":")
    way = await proxy.open_way(host, int(port or 80))
    own = [line for line in lines if not line.startswith(b"Proxy-Authorization")]
    own[0] = b"%b %b HTTP/1.1" % (method, slash + path)
    way[1].write(b"\r\n".join(own) + body)
    return way  # what comes after the first request is passed on as it is: absolute targets are legal


async def _socks4(proxy: Proxy, reader, writer):
    version, command, port = struct.unpack("!BBH", await reader.readexactly(4))
    address = await reader.readexactly(4)
    user = (await reader.readuntil(b"\0"))[:-1].decode()
    assert (version, command) == (4, 1)
    if proxy.credentials is not None and user != proxy.credentials.username:
        writer.write(bytes((0, 93)) + bytes(6))
        return None
    host = socket.inet_ntoa(address)
    if address[:3] == bytes(3) and address[3]:
        assert proxy.kind is Kind.SOCKS4A
        host = (await reader.readuntil(b"\0"))[:-1].decode()
    way = await proxy.open_way(host, port)
    writer.write(bytes((0, 90)) + bytes(6))
    return way


async def _socks5(proxy: Proxy, reader, writer):
    version, count = await reader.readexactly(2)
    methods = await reader.readexactly(count)
    assert version == 5
    if proxy.credentials is not None:
        if 2 not in methods:
            writer.write(b"\5\xff")
            return None
        writer.write(b"\5\2")
        given = []
        assert await reader.readexactly(1) == b"\1"
        for _ in range(2):
            (size,) = await reader.readexactly(1)
            given.append((await reader.readexactly(size)).decode())
        accepted = given == [proxy.credentials.username, proxy.credentials.password]
        writer.write(bytes((1, not accepted)))
        if not accepted:
            return None
    else:
        writer.write(b"\5\0")
    version, command, _, kind = await reader.readexactly(4)
    assert (version, command) == (5, 1)
    if kind == 3:
        (size,) = await reader.readexactly(1)
        host = (await reader.readexactly(size)).decode()
    else:
        family, size = {1: (socket.AF_INET, 4), 4: (socket.AF_INET6, 16)}[kind]
        host = socket.inet_ntop(family, await reader.readexactly(size))
    (port,) = struct.unpack("!H", await reader.readexactly(2))
    way = await proxy.open_way(host, port)
    bound = b"\3\x0abound.test\0\1"  # an address that is as long as what some proxies give
    writer.write(b"\5\0\0" + bound)
    return way


async def relay(reader, writer, far_reader, far_writer) -> None:
    """Until either end is done."""
    pumps = [
        asyncio.ensure_future(_pump(reader, far_writer)),
        asyncio.ensure_future(_pump(far_reader, writer)),
    ]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        far_writer.close()
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(reader, writer) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


_KINDS = {
    Kind.HTTP: _http,
    Kind.HTTPS: _http,
    Kind.SOCKS4: _socks4,
    Kind.SOCKS4A: _socks4,
    Kind.SOCKS5: _socks5,
    Kind.SOCKS5H: _socks5,
}
