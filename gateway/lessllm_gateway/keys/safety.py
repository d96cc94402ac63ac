"""What a gateway does not start with: providers' keys for whoever reaches it, budgets that nobody counts."""

from collections.abc import Iterable

from lessllm_shared.addresses import is_loopback
from lessllm_shared.config import ConfigError, GatewaySettings
from lessllm_shared.config.sections import Key

from lessllm_gateway.upstreams import Upstream


def check_safety(settings: GatewaySettings, keys: Iterable[Key], upstreams: Iterable[Upstream]) -> None:
    """Raises ConfigError."""
    auth, host = settings.auth, settings.gateway.host
    if not (auth.asks_for_keys or auth.allow_anybody or is_loopback(host)):
        held = [one.name for one in upstreams if one.configured_key or one.environment_key]
        if held:
            raise ConfigError(
                f"gateway.host: whoever reaches {host} would use the key that is here for {', '.join(held)}:"
                " set auth.keys (`lessllm client-key NAME` makes one), or auth.allow_anybody: true"
            )
    if not settings.logging.enabled:
        for key in keys:
            if key.budgets or key.tokens_per_minute:
                raise ConfigError(
                    f"auth: the key {key.name} has a budget or a limit of tokens, which nobody counts while"
                    " logging.enabled is false"
                )
