"""Where a call goes, and with whose key. Pure: settings and a request in, a target or a Rejection out.

A client's key goes only to the provider that its endpoint belongs to, and nowhere else. Upstream
addresses come from configuration only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from lessllm_shared.config import ConfigError, GatewaySettings
from lessllm_shared.config.sections import Provider, Proxy
from lessllm_shared.providers import PRESETS, Preset, WireFormat
from lessllm_shared.record import ApiFormat

from lessllm_gateway.credentials import Credential
from lessllm_gateway.errors import Rejection
from lessllm_gateway.request import Asked, Endpoint

# Formats whose streams hold everything that the plain answer holds.
MEASURABLE = frozenset((ApiFormat.CHAT, ApiFormat.COMPLETIONS, ApiFormat.RESPONSES, ApiFormat.MESSAGES))


@dataclass(frozen=True, slots=True)
class Upstream:
    """A provider, resolved from configuration, preset and environment. Never log its keys."""

    name: str
    format: WireFormat
    base_url: str
    passthrough_url: str
    configured_key: str | None
    environment_key: str | None
    key_header: str
    proxy: Proxy | None  # None: direct
    stream_options: bool
    models: tuple[str, ...]
    aliases: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """Where one call goes. `key` None: the client's own headers pass through."""

    upstream: Upstream
    url: str
    api_format: ApiFormat  # that the client speaks
    upstream_format: ApiFormat
    model: str | None
    key: str | None
    measured: bool  # a plain call that is streamed upstream, to measure it


class Router:
    """Resolves the configuration once; `target` decides for each call."""

    def __init__(self, settings: GatewaySettings, environ: Mapping[str, str]) -> None:
        self.upstreams = _resolve(settings, environ)
        self.names = frozenset(self.upstreams)
        self.models = settings.models
        self._gateway = settings.gateway
        self._keys_required = bool(settings.auth.keys)
        for alias, model in settings.models.items():
            if model.provider not in self.upstreams:
                raise ConfigError(
                    f"models.{alias}.provider: {model.provider!r} is not a provider with a base_url"
                )
        if self._gateway.default_provider not in self.upstreams:
            raise ConfigError(
                f"gateway.default_provider: {self._gateway.default_provider!r} is not a provider"
            )

    def target(self, endpoint: Endpoint, asked: Asked, credential: Credential | None) -> Target:
        """The target of one call. Raises Rejection."""
        home = self._home(endpoint)
        if endpoint.provider is not None:
            upstream, model = home, asked.model
            url, upstream_format = upstream.passthrough_url + endpoint.path, endpoint.api_format
        else:
            upstream, model = self._by_model(asked.model, home)
            url, upstream_format = self._address(endpoint, upstream)
        measured = endpoint.provider is None and not asked.streaming and self._measures(asked.model, upstream)
        key = self._key(upstream, home, credential, asked.model)
        return Target(
            upstream,
            url,
            endpoint.api_format,
            upstream_format,
            model,
            key,
            measured=measured and endpoint.api_format in MEASURABLE,
        )

    def _home(self, endpoint: Endpoint) -> Upstream:
        """The provider that the endpoint belongs to: only this one may get the client's own key."""
        if endpoint.provider is not None:
            return self.upstreams[endpoint.provider]
        if endpoint.api_format in {ApiFormat.MESSAGES, ApiFormat.COUNT_TOKENS}:
            return self.upstreams["anthropic"]
        return self.upstreams[self._gateway.default_provider]

    def _by_model(self, model: str | None, home: Upstream) -> tuple[Upstream, str | None]:
        if model is None:
            return home, None
        if model in self.models:
            alias = self.models[model]
            return self.upstreams[alias.provider], alias.model or model
        prefix, slash, rest = model.partition("/")
        if slash and rest and prefix in self.upstreams:
            return self.upstreams[prefix], rest
        for upstream in self.upstreams.values():
            if any(fnmatchcase(model, pattern) for pattern in upstream.models):
                return upstream, upstream.aliases.get(model, model)
        return home, model

    def _address(self, endpoint: Endpoint, upstream: Upstream) -> tuple[str, ApiFormat]:
        """The URL, and the format to speak there."""
        speaks_anthropic = endpoint.api_format in {ApiFormat.MESSAGES, ApiFormat.COUNT_TOKENS}
        if upstream.format == "openai" and not speaks_anthropic:
            return upstream.base_url + endpoint.path, endpoint.api_format
        if upstream.format == "anthropic" and speaks_anthropic:
            return f"{upstream.base_url}/v1{endpoint.path}", endpoint.api_format
        if upstream.format == "anthropic" and endpoint.api_format is ApiFormat.CHAT:
            return f"{upstream.base_url}/v1/messages", ApiFormat.MESSAGES
        raise self._wrong_format(endpoint, upstream)

    def _measures(self, model: str | None, upstream: Upstream) -> bool:
        """Whether a plain call is streamed upstream: not where the usage would be lost by it."""
        alias = self.models.get(model or "")
        wanted = alias.measure_non_streaming if alias else None
        if wanted is None:
            wanted = self._gateway.measure_non_streaming
        return wanted and upstream.stream_options

    @staticmethod
    def _wrong_format(endpoint: Endpoint, upstream: Upstream) -> Rejection:
        return Rejection(
            400,
            "format_not_supported",
            f"{upstream.name} speaks the {upstream.format} format, and this endpoint "
            f"({endpoint.api_format}) can't be translated to it",
        )

    def _key(
        self, upstream: Upstream, home: Upstream, credential: Credential | None, model: str | None
    ) -> str | None:
        if upstream.configured_key is not None:
            return upstream.configured_key
        if credential is not None and upstream is home and not self._keys_required:
            return None
        if upstream.environment_key is not None:
            return upstream.environment_key
        if upstream.base_url.startswith(("http://127.", "http://localhost", "http://[::1]")):
            return None  # local servers want none
        for_model = f"model {model!r} goes to" if model else "this call goes to"
        raise Rejection(
            401,
            "no_key_for_provider",
            f"{for_model} {upstream.name}, for which there is no key: set providers.{upstream.name}.api_key, "
            "or send your own to that provider's own endpoint",
        )


def _resolve(settings: GatewaySettings, environ: Mapping[str, str]) -> dict[str, Upstream]:
    upstreams = {}
    for name in dict.fromkeys((*settings.providers, *PRESETS)):
        configured = settings.providers.get(name, Provider())
        preset = PRESETS.get(name, Preset())
        base_url = configured.base_url or preset.base_url
        if base_url is None:
            if name in settings.providers:
                raise ConfigError(f"providers.{name}.base_url: is needed, {name} has no default")
            continue
        upstreams[name] = _upstream(name, base_url.rstrip("/"), configured, preset, settings, environ)
    return upstreams


def _upstream(
    name: str,
    base_url: str,
    configured: Provider,
    preset: Preset,
    settings: GatewaySettings,
    environ: Mapping[str, str],
) -> Upstream:
    wire_format = configured.format or preset.format
    own_address = configured.base_url is not None
    stream_options = configured.stream_options
    return Upstream(
        name=name,
        format=wire_format,
        base_url=base_url,
        passthrough_url=(None if own_address else preset.passthrough_url) or base_url.removesuffix("/v1"),
        configured_key=configured.api_key.get_secret_value() if configured.api_key else None,
        environment_key=environ.get(preset.api_key_env or "") or None,
        key_header=configured.key_header
        or preset.key_header
        or ("x-api-key" if wire_format == "anthropic" else "authorization"),
        proxy=None if configured.proxy == "direct" else configured.proxy or settings.proxy,
        stream_options=preset.stream_options if stream_options is None else stream_options,
        models=preset.models,
        aliases=preset.aliases,
    )
