"""The console over a database of one's own, without a browser."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI
from lessllm_collector.console import Console, Door, create_console
from lessllm_collector.errors import install_errors
from lessllm_collector.reading import Reading
from lessllm_collector.store import Store
from lessllm_shared.browser import BrowserGuard
from lessllm_shared.config import CollectorSettings, load
from lessllm_shared.config.sections import Cache, Query

KEY = "the-collectors-key"
URL = "http://127.0.0.1"


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "calls.duckdb", Query())
    yield store
    store.close()


@pytest.fixture
def writer():
    """In its place: nothing is written here but by the tests."""
    return SimpleNamespace(trouble=None, waiting_bytes=0)


@pytest.fixture
def visit(store, writer):
    """A visitor of the console; `api_key` as in the configuration."""

    def visit(api_key=None, **options):
        app = FastAPI()
        install_errors(app)
        reading = Reading(store, Query(), Cache())
        settings = load(CollectorSettings, {}, {})
        app.include_router(create_console(Console(settings, store, reading, lambda: writer, Door(api_key))))
        app.add_middleware(BrowserGuard, allowed_hosts=())
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=URL, timeout=60, **options)

    return visit


@pytest.fixture
def hours_ago():
    """The time so many hours ago."""
    return lambda hours: datetime.now(UTC) - timedelta(hours=hours)
