"""The providers, resolved once from configuration, presets and environment. Their keys are never logged."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from lessllm_shared.config import ConfigError, GatewaySettings
from lessllm_shared.config.sections import Provider, Proxy, Retries, Tls
from lessllm_shared.providers import PRESETS, ChatTraits, Preset, WireFormat

_PROVIDER_NAME = re.compile(r"(?!v1$)[A-Za-z0-9._-]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+")
_LOOPBACK = re.compile(r"localhost|127\.[0-9.]+|::1")


@dataclass(frozen=True, slots=True)
class Address:
    """A URL, cut after its authority, so that a path can only ever be appended to the rest."""

    origin: str
    path: str

    def __str__(self) -> str:
        return self.origin + self.path


@dataclass(frozen=True, slots=True)
class Upstream:
    """One provider."""

    name: str
    format: WireFormat
    base: Address  # as the official SDKs mean base_url
    passthrough: Address  # what /{provider}/* is appended to
    configured_key: str | None
    environment_key: str | None
    key_header: str
    is_local: bool  # on this machine: its servers want no key
    proxy: Proxy | None  # None: direct
    tls: Tls
    http2: bool
    retries: Retries
    stream_options: bool
    responses: bool  # has OpenAI's Responses API
    chat: ChatTraits
    models: tuple[str, ...]
    aliases: Mapping[str, str]

    @property
    def needs_clients_key(self) -> bool:
        """Whether only a client can bring a key for it."""
        return not (self.configured_key or self.environment_key or self.is_local)


def resolve(settings: GatewaySettings, environ: Mapping[str, str]) -> dict[str, Upstream]:
    """All providers that have an address, the configured ones first. Raises ConfigError."""
    upstreams = {}
    for name in dict.fromkeys((*settings.providers, *PRESETS)):
        if _PROVIDER_NAME.fullmatch(name) is None:
            raise ConfigError(f"providers.{name}: a name is of letters, digits, '.', '_', '-', and not v1")
        configured = settings.providers.get(name, Provider())
        preset = PRESETS.get(name, Preset())
        if configured.base_url or preset.base_url:
            upstreams[name] = _upstream(name, configured, preset, settings, environ)
        elif name in settings.providers:
            raise ConfigError(f"providers.{name}.base_url: is needed, {name} has no default")
    return upstreams


def _upstream(
    name: str, configured: Provider, preset: Preset, settings: GatewaySettings, environ: Mapping[str, str]
) -> Upstream:
    key = f"providers.{name}"
    base_url = (configured.base_url or preset.base_url or "").rstrip("/")
    # Of another address of the provider's, what the preset's base_url has besides: a mirror, say.
    beyond = (preset.base_url or "").removeprefix(preset.passthrough_url) if preset.passthrough_url else "/v1"
    base = _address(base_url, f"{key}.base_url")
    wire_format = configured.format or preset.format
    key_header = configured.key_header or preset.key_header or _KEY_HEADERS[wire_format]
    if _HEADER_NAME.fullmatch(key_header) is None:
        raise ConfigError(f"{key}.key_header: is not the name of a header")
    stream_options, responses = configured.stream_options, configured.responses
    return Upstream(
        name=name,
        format=wire_format,
        base=base,
        passthrough=_address(base_url.removesuffix(beyond), f"{key}.base_url"),
        configured_key=_usable(
            configured.api_key.get_secret_value() if configured.api_key else None, f"{key}.api_key"
        ),
        environment_key=_usable(environ.get(preset.api_key_env or ""), str(preset.api_key_env)),
        key_header=key_header.lower(),
        is_local=_LOOPBACK.fullmatch(urlsplit(base_url).hostname or "") is not None,
        proxy=None if configured.proxy == "direct" else configured.proxy or settings.proxy,
        tls=configured.tls or settings.tls,
        http2=configured.http2,
        retries=configured.retries or settings.retries,
        stream_options=preset.stream_options if stream_options is None else stream_options,
        responses=preset.responses if responses is None else responses,
        chat=preset.chat,
        models=preset.models,
        aliases=preset.aliases,
    )


def _address(url: str, where: str) -> Address:
    parts = urlsplit(url)
    try:
        valid = parts.port != 0 and bool(parts.hostname) and url.isascii()
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError(f"{where}: is no address that can be called")
    return Address(f"{parts.scheme}://{parts.netloc}", parts.path)


def _usable(key: str | None, where: str) -> str | None:
    key = key.strip() if key else None  # files with secrets end with a line break
    if not key:
        return None
    if _HEADER_VALUE.fullmatch(key) is None:
        raise ConfigError(f"{where}: holds a character that no key has, such as a space")
    return key


_KEY_HEADERS: dict[WireFormat, str] = {"openai": "authorization", "anthropic": "x-api-key"}
