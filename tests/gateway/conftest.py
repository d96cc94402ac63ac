"""A gateway in this process, an upstream that answers what a test wants, and the records that came out."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import uvicorn
from lessllm_gateway.keys.gate import Gate
from lessllm_gateway.keys.ring import KeyRing
from lessllm_gateway.memory import Budget
from lessllm_gateway.outbound import Outbound
from lessllm_gateway.proxy import Proxy
from lessllm_gateway.recorder import Recorder
from lessllm_gateway.routing import Router
from lessllm_shared import record as rec
from lessllm_shared.browser import Rules
from lessllm_shared.config import GatewaySettings, load
from lessllm_shared.protocol import BoundedProtocol


class Records:
    """A sink that keeps what it is offered, decoded."""

    wants_opened = False

    def __init__(self) -> None:
        self.all: list[rec.CallRecord] = []
        self._came = asyncio.Event()

    def begin(self, request_id: str, t0_unix_ns: int) -> None:
        pass

    def offer(self, request_id: str, data: bytes) -> bool:
        del request_id
        self.all.append(rec.decode(data))
        self._came.set()
        return True

    async def one(self) -> rec.CallRecord:
        """The only record, once it is there; it is taken out."""
        async with asyncio.timeout(5):
            await self._came.wait()
        self._came.clear()
        assert len(self.all) == 1
        return self.all.pop()


class Upstream:
    """A raw TCP upstream: answers every connection with bytes, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: bytes | Callable[[asyncio.StreamWriter], object] = b""
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()
        self.closed = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (
                    int(line[15:])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                ),
                0,
            )
            self.requests.append(head + await reader.readexactly(length))
            self.asked.set()
            watcher = asyncio.create_task(self._close_when_left(reader, writer))
            try:
                if callable(self.answer):
                    await self.answer(writer)
                else:
                    writer.write(self.answer)
                    await writer.drain()
            finally:
                watcher.cancel()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.closed.set()
            writer.close()

    async def _close_when_left(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()


def http_answer(
    body: bytes, status: str = "200 OK", content_type: str = "application/json", **headers
) -> bytes:
    extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n{extra}"
    return head.encode() + b"connection: close\r\n\r\n" + body


@pytest.fixture
def answer():
    return http_answer


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    state = Upstream()
    server = await asyncio.start_server(state.serve, "127.0.0.1", 0)
    state.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield state


@pytest.fixture
def records() -> Records:
    return Records()


class Gateway:
    """Call it with configuration sections to get a client of a running gateway."""

    def __init__(self, stack, upstream, records) -> None:
        self._stack = stack
        self._upstream = upstream
        self._records = records

    async def app(self, environ=None, requests=None, **sections) -> Proxy:
        document = {
            "providers": {
                "openai": {"base_url": f"{self._upstream.url}/v1"},
                "anthropic": {"base_url": self._upstream.url},
            },
            "proxy": {"trust_env": False},
            **sections,
        }
        settings = load(GatewaySettings, document, {})
        outbound = Outbound(settings, {})
        self._stack.push_async_callback(outbound.close)
        budget = Budget(settings.gateway.record_buffer_bytes)
        recorder = Recorder(self._records, settings.logging.max_body_bytes, budget)
        rules = Rules(settings.gateway.allowed_hosts)
        router = Router(settings, environ or {})
        self.gate = Gate(KeyRing(settings.auth.keys))
        return Proxy(settings, rules, self.gate, router, outbound, recorder, requests or Budget(1 << 30))

    async def __call__(self, environ=None, requests=None, **sections) -> httpx.AsyncClient:
        app = await self.app(environ, requests, **sections)
        url = await self._stack.enter_async_context(_serving(app))
        return await self._stack.enter_async_context(
            httpx.AsyncClient(base_url=url, trust_env=False, verify=False)
        )


@pytest.fixture
async def gateway(upstream, records):
    async with contextlib.AsyncExitStack() as stack:
        yield Gateway(stack, upstream, records)


@pytest.fixture
def serving():
    return _serving


@contextlib.asynccontextmanager
async def _serving(app, keep_alive_s=5, lifespan="off") -> AsyncIterator[str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        log_level="critical",
        lifespan=lifespan,
        ws="none",
        server_header=False,
        timeout_keep_alive=keep_alive_s,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await task
    listener.close()
