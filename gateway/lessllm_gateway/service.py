"""The process `lessllm-gateway`: configuration, the port, uvicorn."""

import gc
import logging

import uvicorn
from lessllm_shared.config import ConfigError, GatewaySettings
from lessllm_shared.protocol import BoundedProtocol
from lessllm_shared.service import end_on_signals, fail, keep_private, listen, settings_from_arguments

from lessllm_gateway.app import create_app

GARBAGE = (10_000, 10, 10)  # objects before it is looked for: a call makes hundreds, and hardly any garbage
KEEP_ALIVE_S = 75  # longer than clients and load balancers keep theirs, so that they close first

_NAME = "gateway"
_DOES = "Proxies and times LLM API calls, and hands their records to a collector."


def main() -> None:
    """Run until SIGTERM. Exit codes: 0 done, 1 could not start, 2 the configuration is wrong."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    keep_private()
    end_on_signals()
    settings = settings_from_arguments(GatewaySettings, name=_NAME, does=_DOES)
    try:
        app = create_app(settings)
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
    gc.collect()
    gc.freeze()  # what is here stays, and need not be looked through
    gc.set_threshold(*GARBAGE)
    with listen(_NAME, settings.gateway.host, settings.gateway.port) as listener:
        uvicorn.Server(config).run([listener])
