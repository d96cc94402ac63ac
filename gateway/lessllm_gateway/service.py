"""The process `lessllm-gateway`: configuration, the port, workers, uvicorn."""

import gc
import logging
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from lessllm_shared.config import ConfigError, GatewaySettings
from lessllm_shared.protocol import BoundedProtocol
from lessllm_shared.service import end_on_signals, fail, keep_private, listen, settings_from_arguments

from lessllm_gateway.app import create_app
from lessllm_gateway.colleagues import Colleagues
from lessllm_gateway.workers import Workers

GARBAGE = (10_000, 10, 10)  # objects before it is looked for: a call makes hundreds, and hardly any garbage
KEEP_ALIVE_S = 75  # longer than clients and load balancers keep theirs, so that they close first

_NAME = "gateway"
_DOES = "Proxies and times LLM API calls, and hands their records to a collector."
_OPTIONS = {"workers": "processes at the same port, each a gateway of its own (default: 1)"}


def main() -> None:
    """Run until SIGTERM. Exit codes: 0 done, 1 could not start, 2 the configuration is wrong."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    keep_private()
    end_on_signals()
    settings = settings_from_arguments(GatewaySettings, name=_NAME, does=_DOES, options=_OPTIONS)
    gc.collect()
    gc.freeze()  # what is here stays, and need not be looked through
    gc.set_threshold(*GARBAGE)
    with listen(_NAME, settings.gateway.host, settings.gateway.port) as listener:
        if settings.gateway.workers == 1:
            _serve(settings, [listener])
            return
        with TemporaryDirectory(prefix="lessllm-gateway-") as folder:
            code = Workers(settings.gateway.workers, partial(_work, settings, listener, Path(folder))).run()
    sys.exit(code)


def _work(
    settings: GatewaySettings,
    listener: socket.socket,
    folder: Path,
    worker: int,
    is_ready: Callable[[], None],
) -> None:
    colleagues = Colleagues(folder, worker, settings.gateway.workers)
    _serve(settings, [listener, colleagues.listen()], colleagues, is_ready)


def _serve(
    settings: GatewaySettings,
    listeners: list[socket.socket],
    colleagues: Colleagues | None = None,
    is_ready: Callable[[], None] = lambda: None,
) -> None:
    try:
        app = create_app(settings, colleagues)
    except ConfigError as error:
        fail(_NAME, f"configuration: {error}", exit_code=2)
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        log_level="error",  # its warnings are about clients' mistakes, which clients are told
        access_log=False,
        server_header=False,
        date_header=False,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.gateway.stop_s,
    )
    _Server(config, is_ready).run(listeners)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, is_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._is_ready = is_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._is_ready()
