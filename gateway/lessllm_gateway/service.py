"""The process `lessllm-gateway`: arguments, configuration, uvicorn."""

import argparse
import socket
import sys
from pathlib import Path

import uvicorn
from lessllm_shared.config import ConfigError, GatewaySettings, load, read_document
from lessllm_shared.config.load import parse_document

from lessllm_gateway.app import create_app


def main() -> None:
    """Run until SIGTERM. Exit codes: 0 done, 1 could not start, 2 the configuration is wrong."""
    parser = argparse.ArgumentParser(
        prog="lessllm-gateway",
        description="Proxies and times LLM API calls, and hands their records to a collector.",
        epilog="Every setting is also an environment variable, such as LESSLLM_GATEWAY__PORT=8000.",
    )
    parser.add_argument("--config", metavar="FILE", help="lessllm.yaml; - reads it from standard input")
    arguments = parser.parse_args()
    try:
        settings = load(GatewaySettings, _document(arguments.config))
        app = create_app(settings)
    except ConfigError as error:
        print(f"lessllm-gateway: configuration: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        ws="none",
        timeout_graceful_shutdown=30,
    )
    with _listener(settings.gateway.host, settings.gateway.port) as listener:
        uvicorn.Server(config).run([listener])


def _listener(host: str, port: int) -> socket.socket:
    """Bound here rather than by uvicorn, to say in one line why it can't be."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = error.strerror or error
        sys.exit(f"lessllm-gateway: can't listen on {host}:{port}: {reason}; set gateway.port to a free one")


def _document(path: str | None) -> dict[str, object]:
    if path is None:
        return {}
    if path == "-":
        return parse_document(sys.stdin.read(), source="standard input")
    return read_document(Path(path))
