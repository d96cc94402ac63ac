"""What a demo runs on: the simulated provider, and a local server of its own that knows only that one.

A folder enters; a stage leaves, ready, and gone with everything that it started when the block ends.
The user's own settings and keys must not reach it: nothing of a demo may land in a real database, and no
real provider may be called.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lessllm.demo.workload import ALIAS, ALIAS_MODEL
from lessllm.errors import ServerError
from lessllm.session import Client
from lessllm.simulator import running_simulator
from lessllm.state import ServerState

DATABASE = "lessllm.duckdb"  # the default's name, so that commands given in that folder find it


@dataclass(frozen=True)
class Stage:
    """A client that uses the demo's server, and where that one is."""

    client: Client
    gateway_url: str
    collector_url: str
    database: Path


@contextmanager
def stage(folder: Path, *, is_temporary: bool, seed: int) -> Iterator[Stage]:
    """Raises ServerError."""
    database = folder.resolve() / DATABASE
    with (
        _own_environment(folder if is_temporary else None),
        running_simulator(seed=seed, time_scale=1.0) as provider_url,
    ):
        client = Client()
        try:
            client.configure(configuration(provider_url, database))
            running = ServerState(database).running()
            if running is None or running.collector_url is None:
                raise ServerError("the demo's server ended")
            yield Stage(client, running.url, running.collector_url, database)
        finally:
            client.shutdown()


def configuration(provider_url: str, database: Path) -> dict[str, Any]:
    """Services on free ports whose providers are all the simulated one."""
    simulated = {"api_key": "sk-simulated", "proxy": "direct"}
    return {
        "gateway": {"port": 0},
        "collector": {"port": 0},
        "logging": {"db_path": str(database)},
        "providers": {
            "openai": {**simulated, "base_url": f"{provider_url}/v1"},
            "anthropic": {**simulated, "base_url": provider_url},
        },
        "models": {ALIAS: {"provider": "anthropic", "model": ALIAS_MODEL}},
    }


@contextmanager
def _own_environment(state_folder: Path | None) -> Iterator[None]:
    """Without LESSLLM_…, which would win over our configuration; a temporary server's state is so too."""
    before = dict(os.environ)
    for name in before:
        if name.upper().startswith("LESSLLM_"):
            del os.environ[name]
    if state_folder is not None:
        os.environ["XDG_STATE_HOME"] = str(state_folder)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
