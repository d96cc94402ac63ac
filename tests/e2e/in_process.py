"""A gateway in the test's own process and event loop, which are the gateway's real ones: uvloop.

A configuration enters; what a client's calls leave are rows, by the collector's interpretation of their
records. Its pool can be looked into, its tasks counted, and its name resolution is the test's.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from lessllm_collector.interpret import Prices, interpret
from lessllm_gateway.egress import tcp
from lessllm_gateway.egress.dialer import Dialer
from lessllm_gateway.egress.pool import Pool
from lessllm_gateway.keys.gate import Gate
from lessllm_gateway.keys.ring import KeyRing
from lessllm_gateway.memory import Budget
from lessllm_gateway.outbound import Outbound
from lessllm_gateway.proxy import Proxy
from lessllm_gateway.recorder import Recorder
from lessllm_gateway.routing import Router
from lessllm_shared import record
from lessllm_shared.browser import Rules
from lessllm_shared.config import GatewaySettings, load
from lessllm_shared.protocol import BoundedProtocol

Row = dict[str, Any]


class Rows:
    """Where the recorder's records go: interpreted, and handed out in the order in which calls ended."""

    wants_opened = False

    def __init__(self) -> None:
        self._rows: asyncio.Queue[Row] = asyncio.Queue()

    def begin(self, request_id: str, t0_unix_ns: int) -> None:
        """A call begins."""

    def offer(self, request_id: str, data: bytes) -> bool:
        """A call's record."""
        call = record.decode(data)
        assert call.request_id == request_id
        self._rows.put_nowait(interpret(call, gateway_id="g", sequence=1, prices=Prices({})))
        return True

    async def next(self) -> Row:
        """The next call's, once it has ended."""
        async with asyncio.timeout(10):
            return await self._rows.get()


class Inside:
    """A running gateway."""

    def __init__(self, url: str, pool: Pool, rows: Rows) -> None:
        self.url = url
        self.pool = pool
        self.rows = rows


@contextlib.asynccontextmanager
async def gateway(document: dict[str, Any], resolve: tcp.Resolve = tcp.resolve) -> AsyncIterator[Inside]:
    """A gateway while the block runs."""
    settings = load(GatewaySettings, {"proxy": {"trust_env": False}, **document}, {})
    outbound = Outbound(settings, {})
    outbound.pool = Pool(Dialer(outbound._patience, resolve), outbound._limits)
    router = Router(settings, {})
    for upstream in router.upstreams.values():  # as `create_app` does: it loads certificates
        outbound.ways(upstream, upstream.base.origin)
    rows, records = Rows(), Budget(settings.gateway.record_buffer_bytes)
    app = Proxy(
        settings,
        Rules(()),
        Gate(KeyRing(settings.auth.keys)),
        router,
        outbound,
        Recorder(rows, settings.logging.max_body_bytes, records),
        Budget(1 << 30),
    )
    async with _serving(app) as url:
        try:
            yield Inside(url, outbound.pool, rows)
        finally:
            await outbound.close()


@contextlib.asynccontextmanager
async def _serving(app: Any) -> AsyncIterator[str]:
    config = uvicorn.Config(app, http=BoundedProtocol, log_level="critical", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve([listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
