"""An API over a database of one's own."""

import httpx
import pytest
from fastapi import FastAPI
from lessllm_collector import rows
from lessllm_collector.api import create_api, install_errors
from lessllm_collector.backup import Backups
from lessllm_collector.interpret import Prices, interpret
from lessllm_collector.reading import Reading
from lessllm_collector.store import Store
from lessllm_collector.switches import Switches
from lessllm_shared.config.sections import Cache, Logging, Query


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "calls.duckdb", Query())
    yield store
    store.close()


@pytest.fixture
def put(store):
    """Commits calls."""

    def put(records):
        prices = Prices({})
        made = [interpret(one, gateway_id="g", sequence=n, prices=prices) for n, one in enumerate(records, 1)]
        with store.cursor() as connection:
            rows.insert(connection, made)

    return put


@pytest.fixture
def client(store):
    app = FastAPI()
    install_errors(app)
    switches, backups = Switches.configured(Logging()), Backups(store, lambda: None)
    app.include_router(create_api(store, Reading(store, Query(), Cache()), switches, None, backups, "secret"))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"authorization": "Bearer secret"}
    return httpx.AsyncClient(transport=transport, base_url="http://collector", headers=headers, timeout=60)
