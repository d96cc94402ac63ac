"""The collector's wiring: the FastAPI app, and the resources that its lifespan opens and closes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any

import duckdb
import zmq.asyncio
from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from lessllm_shared import api_page, disk
from lessllm_shared.browser import BrowserGuard
from lessllm_shared.config import CollectorSettings, sections
from lessllm_shared.wire import Spent
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from lessllm_collector.api import create_api, install_errors
from lessllm_collector.backup import Backups
from lessllm_collector.cache import Predictor, Rules, snapshot
from lessllm_collector.console import Console, Door, create_console
from lessllm_collector.entrance import Entrance
from lessllm_collector.inbox import Inbox
from lessllm_collector.interpret import Prices
from lessllm_collector.interpreting import Interpreter
from lessllm_collector.ledger import Ledger
from lessllm_collector.metrics import DISK_BYTES, DUCKDB_BYTES
from lessllm_collector.quarantine import Quarantine
from lessllm_collector.reading import Reading
from lessllm_collector.reanalyze import reanalyze
from lessllm_collector.receiver import Receiver
from lessllm_collector.retention import Retention
from lessllm_collector.store import Store, StoreError
from lessllm_collector.switches import Switches
from lessllm_collector.writer import Writer

_EVERYWHERE = frozenset(("0.0.0.0", "::"))  # noqa: S104 - only recognised: not names to be called by


class Intake:
    """The way in, from the ZeroMQ socket to the database. Made on the running loop."""

    def __init__(
        self,
        socket: zmq.asyncio.Socket,
        store: Store,
        prices: Prices,
        switches: Switches,
        recording: sections.Logging,
        predictor: Predictor,
    ) -> None:
        inbox = Inbox()
        quarantine = Quarantine(store.path, keeps_content=recording.bodies == "full")
        self._receiver = Receiver(socket, Ledger(store.committed()), inbox, quarantine, self._spent)
        interpreter = Interpreter(prices, switches, recording.bodies, predictor)
        self.writer = Writer(store, inbox, interpreter, switches, self._receiver.committed)
        self._path, self._predictor = store.path, predictor
        self._retention = Retention(store, self.writer, quarantine, recording.retention)

    def _spent(self, keys: list[str]) -> list[Spent]:
        return self.writer.spending.of(keys)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """At the end: what was received is committed and acknowledged."""
        self.writer.start()
        try:
            async with (
                _meanwhile(self._receiver.run()),
                _meanwhile(self._retention.run()),
                _meanwhile(self._keep_predictor()),
            ):
                yield
        finally:
            await self.writer.stop()
            await asyncio.sleep(0)  # the last acknowledgements are waiting in the loop
            await asyncio.to_thread(snapshot.save, self._path, snapshot.pack(self._predictor))

    async def _keep_predictor(self) -> None:
        """What it knows is saved, for a start after a crash."""
        while True:
            await asyncio.sleep(snapshot.INTERVAL_S)
            with contextlib.suppress(StoreError, duckdb.Error):  # the writer says so
                packed = await self.writer.run(lambda _: snapshot.pack(self._predictor))
                await asyncio.to_thread(snapshot.save, self._path, packed)


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """`work` goes on while the block runs."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def create_app(settings: CollectorSettings, store: Store, entrance: Entrance) -> FastAPI:
    """The collector as an ASGI app. It closes the database and the entrance at its end."""
    switches = Switches.configured(settings.logging)
    prices = Prices(settings.prices)
    cache = settings.cache
    new_predictor = partial(Predictor, Rules(cache.providers), cache.workspaces, cache.max_prefixes)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        DISK_BYTES.set_function(lambda: disk.look(store.path.parent).size_bytes)
        DUCKDB_BYTES.labels("cache").set_function(lambda: store.memory_bytes(cache=True))
        DUCKDB_BYTES.labels("work").set_function(lambda: store.memory_bytes(cache=False))
        with contextlib.closing(store), contextlib.closing(entrance):
            predictor = new_predictor()
            snapshot.load(store.path, predictor)
            intake = Intake(entrance.socket, store, prices, switches, settings.logging, predictor)
            async with _meanwhile(entrance.run()), intake.running():
                app.state.writer = intake.writer
                yield

    app = FastAPI(title="LessLLM collector", lifespan=lifespan, docs_url=None, redoc_url=None)
    key = settings.collector.api_key
    install_errors(app)
    _add_own_endpoints(app, store)

    async def work_out_again(since: datetime | None) -> int:
        predictor = new_predictor() if switches.enable_cache_analysis else None
        return await reanalyze(app.state.writer, prices, since, predictor)

    api_key = key.get_secret_value() if key else None
    backups = Backups(store, lambda: app.state.writer)
    reading = Reading(store, settings.collector.query, settings.cache)
    app.include_router(create_api(store, reading, switches, work_out_again, backups, api_key))
    app.include_router(
        create_console(Console(settings, store, reading, lambda: app.state.writer, Door(api_key)))
    )
    hosts = {*settings.collector.allowed_hosts, settings.collector.host} - _EVERYWHERE
    app.add_middleware(BrowserGuard, allowed_hosts=hosts)
    return app


def _add_own_endpoints(app: FastAPI, store: Store) -> None:
    @app.get("/healthz", tags=["service"])
    def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["service"], responses={503: {"description": "Records can't be committed"}})
    def readyz() -> JSONResponse:
        """Records are committed. 503 with the reason while they can't be."""
        trouble = store.trouble or app.state.writer.trouble
        if trouble is None:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "failing", "reason": trouble}, 503)

    @app.get("/metrics", tags=["service"], response_class=PlainTextResponse)
    def metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(api_page.page(app.openapi()), headers=api_page.HEADERS)
