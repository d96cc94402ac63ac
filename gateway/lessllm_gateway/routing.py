"""Where a call goes, and with whose key. Pure: settings and a request in, a target or a Rejection out.

A client's key goes only to the provider that its endpoint belongs to, and nowhere else. Upstream
addresses come from configuration only.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from lessllm_shared.config import ConfigError, GatewaySettings
from lessllm_shared.config.sections import Key
from lessllm_shared.record import ApiFormat

from lessllm_gateway.credentials import Caller
from lessllm_gateway.errors import Rejection
from lessllm_gateway.request import INTERPRETED, Asked, Endpoint
from lessllm_gateway.translate import TRANSLATIONS
from lessllm_gateway.upstreams import Upstream, resolve

# Formats whose streams hold everything that the plain answer holds.
MEASURABLE = frozenset((ApiFormat.CHAT, ApiFormat.COMPLETIONS, ApiFormat.RESPONSES, ApiFormat.MESSAGES))


@dataclass(frozen=True, slots=True)
class Target:
    """Where one call goes, and with which key."""

    upstream: Upstream
    origin: str  # scheme and authority, from configuration
    path: str  # raw
    api_format: ApiFormat  # that the client speaks
    upstream_format: ApiFormat
    model: str | None
    key: str | None  # the provider's, from configuration or environment
    passes_credentials: bool  # the client's own go on, as they came
    measured: bool  # a plain call that is streamed upstream, to measure it
    drops_params: bool  # when formats cross: what can't be kept is left out


def check_scope(key: Key, endpoint: Endpoint, asked: Asked) -> None:
    """Whether the client key is for the model, as clients call it. Raises Rejection.

    At /{provider}/… a model is called provider/model, as it could be at /v1/… too. Lists are cut later.
    """
    if not key.models or endpoint.lists_models or (key.passthrough and not _is_inference(endpoint)):
        return
    model = endpoint.described_model or asked.model
    name = model or ""
    if endpoint.provider is not None:
        name = f"{endpoint.provider}/{name}"
    if name and _is_inference(endpoint) and key.is_for(name):
        return
    what = f"the model {name!r}" if model else "calls that name no model"
    raise Rejection(
        403,
        "model_not_allowed",
        f"the client key {key.name} is not for {what}; it is for: {', '.join(key.models)}",
    )


def _is_inference(endpoint: Endpoint) -> bool:
    return endpoint.api_format is not ApiFormat.OTHER or endpoint.tells_of_models


class Router:
    """Resolves the configuration once; `target` decides for each call."""

    def __init__(self, settings: GatewaySettings, environ: Mapping[str, str]) -> None:
        self.upstreams = resolve(settings, environ)
        self.formats = {name: upstream.format for name, upstream in self.upstreams.items()}
        self.models = settings.models
        self._gateway = settings.gateway
        self._provider_by_name = lru_cache(1024)(self._find_provider_by_name)
        for alias, model in settings.models.items():
            self._check_provider(f"models.{alias}.provider", model.provider)
            for name in model.fallbacks:
                self._check_fallback(alias, name)
        self._check_provider("gateway.default_provider", settings.gateway.default_provider)

    def targets(self, endpoint: Endpoint, asked: Asked, caller: Caller) -> list[Target]:
        """The target of one call, and those of its fallbacks that can be called. Raises Rejection."""
        targets = [self._target(endpoint, asked, caller, asked.model)]
        alias = self.models.get(asked.model or "")
        if alias is not None and endpoint.provider is None and endpoint.api_format in INTERPRETED:
            for name in alias.fallbacks:
                with contextlib.suppress(Rejection):  # no key for it, or a format that doesn't cross
                    targets.append(self._target(endpoint, asked, caller, name))
        return targets

    def estimates(self, endpoint: Endpoint, asked: Asked) -> bool:
        """Whether tokens are ours to count: the provider that the model goes to has no endpoint for it."""
        if endpoint.api_format is not ApiFormat.COUNT_TOKENS or endpoint.provider is not None:
            return False
        return self._by_model(asked.model, self._home(endpoint))[0].format == "openai"

    def _target(self, endpoint: Endpoint, asked: Asked, caller: Caller, name: str | None) -> Target:
        home = self._home(endpoint)
        if endpoint.provider is not None:
            upstream, model, address = home, name, home.passthrough
            path, upstream_format = endpoint.path, endpoint.api_format
        else:
            is_known = endpoint.api_format in INTERPRETED
            upstream, model = self._by_model(name, home) if is_known else (home, name)
            address = upstream.base
            path, upstream_format = _path(endpoint, upstream)
        key, passes_credentials = self._key(upstream, home, caller, endpoint, name)
        return Target(
            upstream=upstream,
            origin=address.origin,
            path=address.path + path or "/",
            api_format=endpoint.api_format,
            upstream_format=upstream_format,
            model=model,
            key=key,
            passes_credentials=passes_credentials,
            measured=(
                endpoint.provider is None
                and endpoint.api_format in MEASURABLE
                and not asked.streaming
                and self._measures(name, upstream)
            ),
            drops_params=self._gateway.drop_params,
        )

    def _check_provider(self, key: str, name: str) -> None:
        if name not in self.upstreams:
            raise ConfigError(f"{key}: {name!r} is not a provider with a base_url")

    def _check_fallback(self, alias: str, name: str) -> None:
        is_alias = name in self.models and name != alias
        prefix, slash, rest = name.partition("/")
        is_path = slash and rest and prefix in self.upstreams
        if not is_alias and not is_path and self._provider_by_name(name) is None:
            raise ConfigError(
                f"models.{alias}.fallbacks: {name!r} is neither another alias nor a known provider's model;"
                " write provider/model"
            )

    def _home(self, endpoint: Endpoint) -> Upstream:
        """The provider that the endpoint belongs to: only this one may get the client's own key."""
        if endpoint.provider is not None:
            return self.upstreams[endpoint.provider]
        if endpoint.dialect == "anthropic":
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
        known = self._provider_by_name(model)
        # A home without model names of its own (a local server, a reseller) may have any model: it is
        # asked rather than a provider for which there is no key.
        if known is None or (known.needs_clients_key and not home.models):
            return home, model
        return known, known.aliases.get(model, model)

    def _find_provider_by_name(self, model: str) -> Upstream | None:
        for upstream in self.upstreams.values():
            if any(fnmatchcase(model, pattern) for pattern in upstream.models):
                return upstream
        return None

    def _measures(self, model: str | None, upstream: Upstream) -> bool:
        """Whether a plain call is streamed upstream: not where the usage would be lost by it."""
        alias = self.models.get(model or "")
        wanted = alias.measure_non_streaming if alias else None
        if wanted is None:
            wanted = self._gateway.measure_non_streaming
        return wanted and upstream.stream_options

    def _key(
        self, upstream: Upstream, home: Upstream, caller: Caller, endpoint: Endpoint, model: str | None
    ) -> tuple[str | None, bool]:
        """The provider's key that we hold, and whether the client's own goes on."""
        if upstream is home and caller.provider_key is not None and upstream.configured_key is None:
            return None, True
        if upstream.needs_clients_key:
            for_model = f"model {model!r} goes to" if model else "this call goes to"
            raise Rejection(
                401,
                "no_key_for_provider",
                f"{for_model} {upstream.name}, for which there is no key: set"
                f" providers.{upstream.name}.api_key, or send your own to that provider's own endpoint",
            )
        key = caller.key
        if key is not None and not (key.passthrough or _is_inference(endpoint)):
            raise Rejection(
                403,
                "endpoint_not_allowed",
                "a shared provider key opens inference endpoints only: others hold what everybody stored"
                " there; send a provider key of your own beside x-lessllm-key, or have passthrough set for"
                " this key",
            )
        return upstream.configured_key or upstream.environment_key, False


def _is_of_responses(endpoint: Endpoint) -> bool:
    return endpoint.path == "/responses" or endpoint.path.startswith("/responses/")


def _path(endpoint: Endpoint, upstream: Upstream) -> tuple[str, ApiFormat]:
    """What is appended to the upstream's base_url, and the format to speak there. Raises Rejection."""
    speaks_anthropic = endpoint.dialect == "anthropic"
    if upstream.format == "openai" and not speaks_anthropic:
        if upstream.responses or not _is_of_responses(endpoint):
            return endpoint.path, endpoint.api_format
        if endpoint.api_format is not ApiFormat.RESPONSES:
            raise Rejection(
                404,
                "responses_not_stored",
                f"{upstream.name} has no Responses API: requests become chat completions, nothing is stored;"
                f" if it has that API after all, set providers.{upstream.name}.responses",
            )
    if upstream.format == "anthropic" and speaks_anthropic:
        return f"/v1{endpoint.path}", endpoint.api_format
    translation = TRANSLATIONS.get((endpoint.api_format, upstream.format))
    if translation is not None:
        return translation.upstream_path, translation.upstream_format
    raise Rejection(
        400,
        "format_not_supported",
        f"{upstream.name} speaks the {upstream.format} format, and this endpoint "
        f"({endpoint.api_format}) can't be translated to it",
    )
