"""The process `lessllm-gateway`: configuration, the port, uvicorn."""

import uvicorn
from lessllm_shared.config import ConfigError, GatewaySettings
from lessllm_shared.service import end_on_signals, fail, listen, settings_from_arguments

from lessllm_gateway.app import create_app

_NAME = "gateway"
_DOES = "Proxies and times LLM API calls, and hands their records to a collector."


def main() -> None:
    """Run until SIGTERM. Exit codes: 0 done, 1 could not start, 2 the configuration is wrong."""
    end_on_signals()
    settings = settings_from_arguments(GatewaySettings, name=_NAME, does=_DOES)
    try:
        app = create_app(settings)
    except ConfigError as error:
        fail(_NAME, f"configuration: {error}", exit_code=2)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        ws="none",
        timeout_graceful_shutdown=30,
    )
    with listen(_NAME, settings.gateway.host, settings.gateway.port) as listener:
        uvicorn.Server(config).run([listener])
