"""The gateway's wiring: the FastAPI app, and the resources that its lifespan opens and closes."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from lessllm_shared.config import GatewaySettings
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from lessllm_gateway.delivery import Delivery
from lessllm_gateway.metrics import RECORDS_PENDING, RECORDS_PENDING_BYTES
from lessllm_gateway.outbound import Outbound
from lessllm_gateway.outbox import Outbox
from lessllm_gateway.proxy import Message, Proxy, Receive
from lessllm_gateway.recorder import Recorder
from lessllm_gateway.relay import Send
from lessllm_gateway.routing import Router

DRAIN_S = 5.0
OWN_PATHS = frozenset(("/healthz", "/readyz", "/metrics", "/flush", "/routes", "/openapi.json", "/docs"))


def create_app(settings: GatewaySettings) -> FastAPI:
    """The gateway as an ASGI app. Raises ConfigError."""
    router = Router(settings, os.environ)
    outbound = Outbound(settings.pool, os.environ)
    outbox = Outbox(secrets.token_hex(8), settings.gateway.record_buffer_bytes)
    delivery = Delivery(outbox, settings.collector.endpoint)
    recording = settings.logging.enabled
    recorder = Recorder(delivery if recording else None, settings.logging.max_body_bytes)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        task = asyncio.create_task(delivery.run()) if recording else None
        yield
        await outbound.close()
        if task is not None:
            await delivery.drain(DRAIN_S)
            task.cancel()
            await asyncio.wait([task])

    app = FastAPI(title="LessLLM gateway", lifespan=lifespan)
    RECORDS_PENDING.set_function(lambda: outbox.pending)
    RECORDS_PENDING_BYTES.set_function(lambda: outbox.pending_bytes)
    _add_own_endpoints(app, router, outbound, delivery, outbox)
    app.add_middleware(Front, proxy=Proxy(settings, router, outbound, recorder))
    return app


class Front:
    """API paths go to the proxy, past the framework; the gateway's own ones to FastAPI."""

    def __init__(self, app: Any, proxy: Proxy) -> None:
        self._own = app
        self._proxy = proxy

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Dispatch by path."""
        if scope["type"] != "http" or scope["path"] in OWN_PATHS:
            await self._own(scope, receive, send)
        else:
            await self._proxy(scope, receive, send)


def _add_own_endpoints(
    app: FastAPI, router: Router, outbound: Outbound, delivery: Delivery, outbox: Outbox
) -> None:
    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz")
    def readyz() -> dict[str, str]:
        """Calls are taken. Recording never decides about that."""
        return {"status": "ok"}

    @app.get("/metrics")
    def metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @app.post("/flush")
    async def flush(timeout_s: float = 10.0) -> JSONResponse:
        """Wait until every call so far is in the database."""
        flushed = await delivery.drain(min(timeout_s, 60.0))
        return JSONResponse({"flushed": flushed, "pending": outbox.pending})

    @app.get("/routes")
    def routes() -> dict[str, Any]:
        """Each provider's address, way out, and whose key is used."""
        return {
            "providers": {
                name: {
                    "base_url": upstream.base_url,
                    "route": outbound.route(upstream, upstream.base_url),
                    "key": (upstream.configured_key and "configured")
                    or (upstream.environment_key and "environment")
                    or "client",
                }
                for name, upstream in router.upstreams.items()
            }
        }
