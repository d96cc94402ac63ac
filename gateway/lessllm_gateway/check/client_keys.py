"""What may be wrong with client keys, though a gateway starts with them. Pure.

Keys enter, remarks leave: on those that have expired, and on models that no call can be for.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from lessllm_shared.config import GatewaySettings
from lessllm_shared.config.sections import Key

from lessllm_gateway.upstreams import Upstream


@dataclass(frozen=True, slots=True)
class Remark:
    """On a part of the configuration."""

    about: str
    message: str
    remedy: str


def remarks(
    keys: Iterable[Key], settings: GatewaySettings, upstreams: Mapping[str, Upstream], now: datetime
) -> Iterator[Remark]:
    """On each key that is switched on."""
    for key in keys:
        about = f"the client key {key.name}"
        if not key.enabled:
            continue
        if key.expires is not None and key.expires <= now:
            expired = f"it expired at {key.expires.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}: its calls are refused"
            yield Remark(about, expired, "set another `expires`, or remove it")
        for name in key.models:
            if not _may_be_called(name, settings, upstreams):
                message = (
                    f"models: {name!r} is no alias here, no known provider's model and no provider/model"
                )
                yield Remark(about, message, _meant(name, settings, upstreams))


def _may_be_called(pattern: str, settings: GatewaySettings, upstreams: Mapping[str, Upstream]) -> bool:
    """Whether a call for such a name would go anywhere but to a provider that does not know it."""
    if any(fnmatchcase(alias, pattern) for alias in settings.models):
        return True
    prefix, slash, _ = pattern.partition("/")
    if slash and any(fnmatchcase(provider, prefix) for provider in upstreams):
        return True
    if not upstreams[settings.gateway.default_provider].models:
        return True  # a local server, a reseller: what it is asked for, it may have
    named = (name for upstream in upstreams.values() for name in upstream.models)
    return any(fnmatchcase(pattern, name) or fnmatchcase(name, pattern) for name in named)


def _meant(name: str, settings: GatewaySettings, upstreams: Mapping[str, Upstream]) -> str:
    known = [*settings.models, *(f"{provider}/*" for provider in upstreams)]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else "name it as clients do, or take it off the list"
