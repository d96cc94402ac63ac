"""`lessllm keys`: new keys for what gateways send to the collector, as environment variables."""

import click
from lessllm_shared.curve import make_keys
from pydantic import SecretStr

from lessllm.cli.command import Command

_GATEWAY = ("collector_public_key", "gateway_secret_key")
_COLLECTOR = ("collector_secret_key", "gateway_public_key")


@click.command("keys", cls=Command)
def command() -> None:
    """Make keys for gateways that send to a collector on another machine.

    \b
    Examples:
      lessllm keys > keys.env
      lessllm keys >> .env             for Docker Compose
      lessllm keys | kubectl create secret generic lessllm-keys \\
        --from-env-file=/dev/stdin

    It prints environment variables: two for every gateway, which all have the same, and two for the
    collector. With them records travel encrypted (CURVE), the collector takes them from these gateways
    alone, and they give them to this collector alone. Nothing is stored: who loses keys makes new ones, and
    restarts both sides with them; records wait meanwhile.
    """
    keys = make_keys().model_dump()
    _print("every gateway", keys, _GATEWAY)
    _print("the collector", keys, _COLLECTOR)


def _print(whose: str, keys: dict[str, SecretStr], names: tuple[str, ...]) -> None:
    print(f"# {whose}")
    for name in names:
        # Quoted: shells and Compose take some of its characters for their own.
        print(f"LESSLLM_COLLECTOR__CURVE__{name.upper()}='{keys[name].get_secret_value()}'")
