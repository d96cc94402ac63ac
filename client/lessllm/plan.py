"""What a local server is to be: worked out from the configuration, before anything is started.

A configuration document and some overrides enter; a Plan leaves, and from it the services, the one first
that the other needs, each with its environment and only its own sections of the document: provider keys
never reach the collector. A wrong configuration ends here, in the caller's process, every mistake named.
"""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from lessllm_shared.config import (
    ClientSettings,
    CollectorSettings,
    ConfigError,
    GatewaySettings,
    load,
    read_document,
)
from pydantic import SecretStr

Document = Mapping[str, Any]
Settings = type[GatewaySettings] | type[CollectorSettings]
DEFAULT_FILE = Path("lessllm.yaml")
STOP_S = 20.0  # beside what running calls are given
SWITCHES = {"debug_mode", "enable_cache_analysis"}  # of `logging`: a running server can change them

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "localhost": "127.0.0.1"}  # noqa: S104 - only recognised


@dataclass(frozen=True)
class Overrides:
    """What the command line or `lessllm.config` sets, over file and environment. None: not set."""

    host: str | None = None
    port: int | None = None
    collector_port: int | None = None
    debug_mode: bool | None = None
    enable_cache_analysis: bool | None = None


@dataclass(frozen=True)
class Service:
    """One service to run: `python -m module --config -`, its document on stdin."""

    name: str
    module: str
    host: str
    port: int
    document: bytes = field(repr=False)  # may hold keys
    environment: Mapping[str, str] = field(repr=False)
    stop_s: float = STOP_S  # it may take so long

    @property
    def url(self) -> str:
        return http_url(self.host, self.port)


@dataclass(frozen=True)
class Plan:
    """A local server, validated. Its representation shows no secrets."""

    document: Document = field(repr=False)
    overrides: Overrides
    gateway: GatewaySettings
    collector: CollectorSettings

    @property
    def database(self) -> Path:
        return self.collector.logging.db_path.resolve()

    @cached_property
    def identity(self) -> bytes:
        """The whole configuration but for what a running server can change. Holds secrets: never keep it."""
        settings = {**self.collector.model_dump(), **self.gateway.model_dump()}
        logging = {name: value for name, value in settings["logging"].items() if name not in SWITCHES}
        ports = (self.overrides.host, self.overrides.port, self.overrides.collector_port)
        return json.dumps([{**settings, "logging": logging}, ports], default=_plain, sort_keys=True).encode()

    def services(self, ipc_folder: Path) -> tuple[Service, ...]:
        """What to start. A port 0 becomes a free one here."""
        host = self.overrides.host or self.gateway.gateway.host
        port = _given_or_free(host, self.overrides.port, self.gateway.gateway.port)
        collector_host = self.collector.collector.host
        collector_port = _given_or_free(
            collector_host, self.overrides.collector_port, self.collector.collector.port
        )
        environment = {
            "LESSLLM_GATEWAY__HOST": host,
            "LESSLLM_GATEWAY__PORT": str(port),
            "LESSLLM_COLLECTOR__PORT": str(collector_port),
            "LESSLLM_LOGGING__DB_PATH": str(self.database),
            **self._switches(),
        }
        if "endpoint" not in self.collector.collector.model_fields_set:
            environment["LESSLLM_COLLECTOR__ENDPOINT"] = f"ipc://{ipc_folder / 'records'}"
        collector = Service(
            "collector",
            "lessllm_collector",
            collector_host,
            collector_port,
            _sections(self.document, CollectorSettings),
            environment,
        )
        gateway = Service(
            "gateway",
            "lessllm_gateway",
            host,
            port,
            _sections(self.document, GatewaySettings),
            environment,
            STOP_S + self.gateway.gateway.stop_s,
        )
        return (collector, gateway) if self.gateway.logging.enabled else (gateway,)

    def _switches(self) -> dict[str, str]:
        return {
            f"LESSLLM_LOGGING__{name.upper()}": str(value).lower()
            for name in sorted(SWITCHES)
            if (value := getattr(self.overrides, name)) is not None
        }


def find_document(configuration: Document | str | os.PathLike[str] | None) -> Document:
    """The configuration as a mapping. None is ./lessllm.yaml if it is there, else the defaults."""
    if isinstance(configuration, Mapping):
        return configuration
    if configuration is not None:
        return read_document(Path(configuration))
    return read_document(DEFAULT_FILE) if DEFAULT_FILE.exists() else {}


def make_plan(document: Document, overrides: Overrides) -> Plan:
    """The server that `document` describes. Raises ConfigError with one line for each mistake."""
    problems: dict[str, None] = {}  # the services share sections: the same mistake is named once
    loaded: list[Any] = []
    for settings in (GatewaySettings, CollectorSettings, ClientSettings):
        try:
            loaded.append(load(settings, document))
        except ConfigError as error:
            problems.update(dict.fromkeys(str(error).splitlines()))
    if problems:
        raise ConfigError("\n".join(problems))
    gateway, collector, _client = loaded
    return Plan(document, overrides, gateway, collector)


def lone_collector(document: Document, ipc_folder: Path) -> Service:
    """A collector to read a database with: no gateway knows it, and its port is free and this machine's.

    Raises ConfigError; what only the gateway needs, such as a provider's key, may be missing.
    """
    host = "127.0.0.1"
    port = _given_or_free(host, None, 0)
    environment = {
        "LESSLLM_COLLECTOR__HOST": host,
        "LESSLLM_COLLECTOR__PORT": str(port),
        "LESSLLM_COLLECTOR__ENDPOINT": f"ipc://{ipc_folder / 'records'}",
        "LESSLLM_LOGGING__DB_PATH": str(load(CollectorSettings, document).logging.db_path.resolve()),
    }
    sections = _sections(document, CollectorSettings)
    return Service("collector", "lessllm_collector", host, port, sections, environment)


def compaction(document: Document) -> Service:
    """What writes the database anew; it listens nowhere. Raises ConfigError."""
    database = load(CollectorSettings, document).logging.db_path.resolve()
    return Service(
        "collector",
        "lessllm_collector.compact",
        "",
        0,
        _sections(document, CollectorSettings),
        {"LESSLLM_LOGGING__DB_PATH": str(database)},
    )


def http_url(host: str, port: int) -> str:
    """Where a service that listens on `host` is reached from this machine."""
    host = _EVERYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _given_or_free(host: str, override: int | None, configured: int) -> int:
    port = configured if override is None else override
    if port:
        return port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _sections(document: Document, settings: Settings) -> bytes:
    own = {name: value for name, value in document.items() if name in settings.model_fields}
    plain = json.loads(json.dumps(own, default=str))  # a dict given in Python may hold paths and tuples
    return yaml.safe_dump(plain).encode()


def _plain(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
