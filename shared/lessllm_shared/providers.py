"""Provider presets, read from providers.toml once at import."""

import tomllib
from importlib.resources import files
from typing import Literal

import msgspec

WireFormat = Literal["openai", "anthropic"]


class ChatTraits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In what a provider's chat completions differ from others'. The fields are explained in providers.toml.

    Keys of maps are patterns of model names, the first that fits holds; what is not there is not sent.
    """

    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    output_limits: dict[str, int] = {}
    efforts: dict[str, tuple[str, ...]] = {}
    thinking: dict[str, Literal["thinking", "enable_thinking"]] = {}
    cache_marks: dict[str, Literal["cache_control", "prompt_cache_breakpoint"]] = {}
    tools_without_effort: tuple[str, ...] = ()
    reasoning: Literal["never", "kept", "always"] = "never"
    thought_signatures: bool = False
    system_anywhere: bool = False
    tool_ids: str = ".{1,40}"
    user: bool = True
    top_k: bool = False
    service_tier: bool = False
    refuses_sampling: bool = False


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
    responses: bool = False
    chat: ChatTraits = ChatTraits()
    price_id: str | None = None


def _load() -> dict[str, Preset]:
    data = tomllib.loads(files(__package__).joinpath("providers.toml").read_text("utf-8"))
    return msgspec.convert(data, dict[str, Preset])


PRESETS: dict[str, Preset] = _load()
