"""CURVE, ZeroMQ's encryption: the section `collector` in, the keys that a service uses out.

The collector has a pair of keys, and the gateways have one together. Each side knows its own secret key and
the other side's public key, and talks to nobody else. Beyond this machine there must be keys, or a waiver.
"""

from dataclasses import dataclass, field

import zmq
from pydantic import SecretStr

from lessllm_shared.addresses import is_loopback
from lessllm_shared.config import ConfigError
from lessllm_shared.config.sections import Collector, Curve


@dataclass(frozen=True, slots=True)
class Keys:
    """Of one side, in Z85."""

    secret: bytes = field(repr=False)
    peer: bytes  # the other side's public key

    @property
    def public(self) -> bytes:
        return zmq.curve_public(self.secret)


def make_keys() -> Curve:
    """Both pairs, new."""
    collector_public, collector_secret = _pair()
    gateway_public, gateway_secret = _pair()
    return Curve(
        collector_public_key=collector_public,
        collector_secret_key=collector_secret,
        gateway_public_key=gateway_public,
        gateway_secret_key=gateway_secret,
    )


def gateway_keys(collector: Collector) -> Keys | None:
    """None: it is plaintext, and may be. Raises ConfigError."""
    return _keys(collector, "gateway", "collector")


def collector_keys(collector: Collector) -> Keys | None:
    """None: it is plaintext, and may be. Raises ConfigError."""
    return _keys(collector, "collector", "gateway")


def _keys(collector: Collector, side: str, other: str) -> Keys | None:
    keys: dict[str, SecretStr] = collector.curve.model_dump(exclude_none=True)
    if not keys:
        if not (collector.allow_plaintext or _stays_here(collector.endpoint)):
            raise ConfigError(
                f"collector.endpoint: records would pass {collector.endpoint} unencrypted: set the keys that"
                " `lessllm keys` makes, or collector.allow_plaintext: true"
            )
        return None
    secret, peer = f"{side}_secret_key", f"{other}_public_key"
    if missing := [name for name in (secret, peer) if name not in keys]:
        raise ConfigError(
            f"collector.curve: the {side} needs {' and '.join(missing)} as well;"
            " `lessllm keys` makes them all"
        )
    return Keys(*(keys[name].get_secret_value().encode() for name in (secret, peer)))


def _stays_here(endpoint: str) -> bool:
    transport, _, address = endpoint.partition("://")
    return transport == "ipc" or is_loopback(address.rpartition(":")[0].strip("[]"))


def _pair() -> tuple[SecretStr, SecretStr]:
    """Public and secret. Z85 has a dollar sign, which begins a variable where they are to be written."""
    public, secret = zmq.curve_keypair()
    if b"$" in public + secret:
        return _pair()
    return SecretStr(public.decode()), SecretStr(secret.decode())
