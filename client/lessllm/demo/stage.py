"""What a demo runs on: the simulated provider, and a local server of its own that knows only that one.

A folder enters, a Client leaves that is configured, ready, and gone with everything it started when the
block ends. The user's own settings and keys must not reach it: nothing of a demo may land in a real
database, and no real provider may be called.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lessllm.demo.workload import ALIAS, ALIAS_MODEL
from lessllm.session import Client
from lessllm.simulator import running_simulator

DATABASE = "lessllm.duckdb"  # the default's name, so that commands in that folder find it


@contextmanager
def stage(folder: Path, *, is_temporary: bool, seed: int) -> Iterator[Client]:
    with (
        _own_environment(folder if is_temporary else None),
        running_simulator(seed=seed, time_scale=1.0) as provider_url,
    ):
        client = Client()
        try:
            client.configure(_configuration(provider_url, folder))
            yield client
        finally:
            client.shutdown()


def _configuration(provider_url: str, folder: Path) -> dict[str, Any]:
    simulated = {"api_key": "sk-simulated", "proxy": "direct"}
    return {
        "gateway": {"port": 0},
        "collector": {"port": 0},
        "logging": {"db_path": str(folder / DATABASE)},
        "providers": {
            "openai": {**simulated, "base_url": f"{provider_url}/v1"},
            "anthropic": {**simulated, "base_url": provider_url},
        },
        "models": {ALIAS: {"provider": "anthropic", "model": ALIAS_MODEL}},
    }


@contextmanager
def _own_environment(state_folder: Path | None) -> Iterator[None]:
    """Without LESSLLM_…, which would win over our configuration; its state goes with its folder."""
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
