"""The process `lessllm-collector`: configuration, the port, the database, the socket, uvicorn."""

import logging
from types import FrameType

import uvicorn
from lessllm_shared.config import CollectorSettings, ConfigError
from lessllm_shared.curve import collector_keys
from lessllm_shared.exposure import check_exposure
from lessllm_shared.protocol import BoundedProtocol
from lessllm_shared.service import end_on_signals, fail, keep_private, listen, settings_from_arguments

from lessllm_collector.app import create_app
from lessllm_collector.entrance import Entrance, EntranceError
from lessllm_collector.store import Store, StoreError

_NAME = "collector"
_DOES = "Interprets call records, keeps them in one DuckDB file and answers questions about them."


class _Server(uvicorn.Server):
    """It waits for the answers to what was asked: those that may take long are told to end."""

    def __init__(self, config: uvicorn.Config, store: Store) -> None:
        super().__init__(config)
        self._store = store

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._store.closing.set()
        super().handle_exit(sig, frame)


def main() -> None:
    """Run until SIGTERM. Exit codes: 0 done, 1 could not start, 2 the configuration is wrong."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    keep_private()
    end_on_signals()
    settings = settings_from_arguments(CollectorSettings, name=_NAME, does=_DOES)
    try:
        keys = collector_keys(settings.collector)
        check_exposure(settings.collector)
    except ConfigError as error:
        fail(_NAME, f"configuration: {error}", exit_code=2)
    listener = listen(_NAME, settings.collector.host, settings.collector.port)
    try:
        store = Store(settings.logging.db_path, settings.collector.query)
        entrance = Entrance(settings.collector.endpoint, keys)
    except (StoreError, EntranceError) as error:
        fail(_NAME, str(error))
    config = uvicorn.Config(
        create_app(settings, store, entrance),
        http=BoundedProtocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=10,
    )
    _Server(config, store).run([listener])
