"""The gateway's wiring: the ASGI app, and the resources that its lifespan opens and closes.

API paths go to the proxy, past the framework; the gateway's own ones to FastAPI. Both refuse what a web
page of another origin sends; the proxy does it itself, since it records what it refuses.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from lessllm_shared import api_page
from lessllm_shared.browser import BrowserGuard, Rules
from lessllm_shared.config import GatewaySettings
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from lessllm_gateway.delivery import Delivery
from lessllm_gateway.intake import Message, Receive
from lessllm_gateway.keys.gate import Gate
from lessllm_gateway.keys.safety import check_safety
from lessllm_gateway.keys.watch import Watch
from lessllm_gateway.memory import Budget
from lessllm_gateway.metrics import (
    CALLS_WAITING,
    CONNECTIONS,
    DELIVERY_STALLED_SECONDS,
    RECORDS_BUFFER_LIMIT_BYTES,
    RECORDS_BUFFER_USED_BYTES,
    RECORDS_PENDING,
    REQUESTS_HELD_BYTES,
)
from lessllm_gateway.outbound import Outbound
from lessllm_gateway.outbox import Outbox
from lessllm_gateway.proxy import Proxy
from lessllm_gateway.recorder import Recorder
from lessllm_gateway.recording import Recording
from lessllm_gateway.relay import Send
from lessllm_gateway.routing import Router

SETTLE_S = 0.25
REQUESTS_BYTES = 512 * 1024 * 1024  # for the bodies of all calls under way; four of the largest always fit
OWN_PATHS = frozenset(("/healthz", "/readyz", "/metrics", "/flush", "/routes", "/openapi.json", "/docs"))

AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]


def create_app(settings: GatewaySettings) -> AsgiApp:
    """The gateway as an ASGI app. Raises ConfigError."""
    router = Router(settings, os.environ)
    outbound = Outbound(settings, os.environ)
    for upstream in router.upstreams.values():
        outbound.ways(upstream, upstream.base.origin)  # a proxy that can't be one is said at the start
    records = Budget(settings.gateway.record_buffer_bytes)
    requests = Budget(max(REQUESTS_BYTES, 4 * settings.gateway.max_request_bytes))
    keys = Watch(settings.auth)
    check_safety(settings, keys.ring, router.upstreams.values())
    recording = Recording(settings, records)
    gate = Gate(keys.ring, lambda: recording.outbox.next_seq - 1)
    recording.delivery.tell(gate)
    recorder = Recorder(recording.sink, settings.logging.max_body_bytes, records)
    hosts = (*settings.gateway.allowed_hosts, settings.gateway.host)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        watching = asyncio.create_task(keys.run())
        async with recording.running():
            yield
            watching.cancel()
            await outbound.close()

    own = FastAPI(title="LessLLM gateway", lifespan=lifespan, docs_url=None, redoc_url=None)
    proxy = Proxy(settings, Rules(hosts), gate, router, outbound, recorder, requests)
    _add_own_endpoints(own, proxy, recording.delivery, recording.outbox)
    RECORDS_PENDING.set_function(lambda: recording.outbox.pending)
    DELIVERY_STALLED_SECONDS.set_function(lambda: recording.delivery.stalled_s)
    RECORDS_BUFFER_USED_BYTES.set_function(lambda: records.used_bytes)
    RECORDS_BUFFER_LIMIT_BYTES.set(settings.gateway.record_buffer_bytes)
    REQUESTS_HELD_BYTES.set_function(lambda: requests.used_bytes)
    CONNECTIONS.labels("busy").set_function(lambda: outbound.pool.open_count - outbound.pool.idle_count)
    CONNECTIONS.labels("idle").set_function(lambda: outbound.pool.idle_count)
    CALLS_WAITING.set_function(lambda: outbound.pool.waiting_count)
    return _by_path(BrowserGuard(own, hosts), proxy)


def _by_path(own: AsgiApp, proxy: AsgiApp) -> AsgiApp:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        is_call = scope["type"] == "http" and scope["path"] not in OWN_PATHS
        await (proxy if is_call else own)(scope, receive, send)

    return app


def _add_own_endpoints(app: FastAPI, proxy: Proxy, delivery: Delivery, outbox: Outbox) -> None:
    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz")
    def readyz() -> dict[str, Any]:
        """Calls are taken. The collector never decides about that: `pending` says how far behind it is."""
        return {"status": "ok", "pending": outbox.pending}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """For Prometheus."""
        proxy.gate.measure()
        return Response(await asyncio.to_thread(generate_latest), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(api_page.page(app.openapi()), headers=api_page.HEADERS)

    @app.post("/flush")
    async def flush(timeout_s: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 10.0) -> JSONResponse:
        """Wait until every call so far is in the database."""
        await proxy.settled(SETTLE_S)
        flushed = await delivery.drain(min(timeout_s, 60.0))
        return JSONResponse({"flushed": flushed, "pending": outbox.pending})

    @app.get("/routes")
    def routes() -> dict[str, Any]:
        """Each provider's address, the ways out in order, and whose key is used."""
        return {
            "providers": {
                name: {
                    "base_url": str(upstream.base),
                    "routes": [way.route for way in proxy.outbound.ways(upstream, upstream.base.origin)],
                    "key": (upstream.configured_key and "configured")
                    or (upstream.environment_key and "environment")
                    or "client",
                }
                for name, upstream in proxy.router.upstreams.items()
            }
        }
