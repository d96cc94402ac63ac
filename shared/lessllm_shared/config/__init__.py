"""The configuration: lessllm.yaml, the environment, defaults. See `load` for how they come together."""

from lessllm_shared.config.load import (
    ClientSettings,
    CollectorSettings,
    ConfigError,
    GatewaySettings,
    load,
    read_document,
)

__all__ = [
    "ClientSettings",
    "CollectorSettings",
    "ConfigError",
    "GatewaySettings",
    "load",
    "read_document",
]
