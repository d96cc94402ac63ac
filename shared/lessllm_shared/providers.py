"""Provider presets, read from providers.toml once at import."""

import tomllib
from importlib.resources import files
from typing import Literal

import msgspec

WireFormat = Literal["openai", "anthropic"]


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a provider without configuration. The fields are explained in providers.toml."""

    format: WireFormat = "openai"
    base_url: str | None = None
    passthrough_url: str | None = None
    api_key_env: str | None = None
    key_header: str | None = None
    models: tuple[str, ...] = ()
    aliases: dict[str, str] = {}
    stream_options: bool = True  # the provider takes stream_options.include_usage
    price_id: str | None = None


def _load() -> dict[str, Preset]:
    data = tomllib.loads(files(__package__).joinpath("providers.toml").read_text("utf-8"))
    return msgspec.convert(data, dict[str, Preset])


PRESETS: dict[str, Preset] = _load()
