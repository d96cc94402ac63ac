"""What is known of a provider when all of its ways are tried: configuration in, reports out as they are done.

A configuration with which a service would not start is refused as that service would refuse it. All ways of
all providers are tried at once, MAX_AT_ONCE of them.
"""

import asyncio
import contextlib
import difflib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from lessllm_shared.config import ConfigError, GatewaySettings
from lessllm_shared.config.keys_file import read_keys
from lessllm_shared.config.sections import Key as ClientKey
from lessllm_shared.exposure import check_exposure

from lessllm_gateway.check.client_keys import Remark, remarks
from lessllm_gateway.check.probe import Probe, Tried
from lessllm_gateway.check.verdict import Verdict
from lessllm_gateway.keys.safety import check_safety
from lessllm_gateway.link import Link
from lessllm_gateway.outbound import Outbound, Way
from lessllm_gateway.routing import Router
from lessllm_gateway.upstreams import Upstream

MAX_AT_ONCE = 16
KeySource = Literal["configured", "environment"]
_USUAL = ("openai", "anthropic")  # when nothing says which


@dataclass(frozen=True, slots=True)
class Key:
    """The key that we hold for a provider, without the key."""

    source: KeySource | None  # None: clients bring theirs
    verdict: Verdict  # by the first way that leads there


@dataclass(frozen=True, slots=True)
class Report:
    """One provider."""

    provider: str
    base_url: str
    ok: bool  # its first way leads there, and its key was not refused
    key: Key
    ways: tuple[Tried, ...]


class Check:
    """One check of a configuration."""

    def __init__(self, settings: GatewaySettings, environ: Mapping[str, str], limit_s: float) -> None:
        """Raises ConfigError with all that keeps a service from starting, a line for each mistake."""
        problems: dict[str, None] = {}
        self.client_keys: tuple[ClientKey, ...] = ()
        with _noting(problems):
            Link(settings.collector)
        with _noting(problems):
            check_exposure(settings.collector)
        with _noting(problems):
            self.client_keys = read_keys(settings.auth, environ)
        try:
            self.upstreams = Router(settings, environ).upstreams
        except ConfigError as error:
            raise ConfigError("\n".join((*problems, str(error)))) from None
        with _noting(problems):
            check_safety(settings, self.client_keys, self.upstreams.values())
        self._settings = settings
        self._outbound = Outbound(settings, environ)
        for upstream in self.upstreams.values():
            with _noting(problems):
                self._ways(upstream)
        if problems:
            raise ConfigError("\n".join(problems))
        self._limit_s = limit_s

    def remarks(self) -> list[Remark]:
        """On what is no mistake, and may not be meant so."""
        return list(remarks(self.client_keys, self._settings, self.upstreams, datetime.now(UTC)))

    def providers(self, names: Sequence[str]) -> list[str]:
        """Whom to check: those named, else those that are configured or have a key. Raises ConfigError."""
        if unknown := [name for name in names if name not in self.upstreams]:
            raise ConfigError("\n".join(_unknown(name, self.upstreams) for name in unknown))
        in_use = [
            name
            for name, upstream in self.upstreams.items()
            if name in self._settings.providers or upstream.environment_key
        ]
        return list(dict.fromkeys(names or in_use or _USUAL))

    async def reports(self, names: Iterable[str]) -> AsyncIterator[Report]:
        """A report on each of these, in the order in which they are done."""
        probe, turns = Probe(self._outbound, self._limit_s), asyncio.Semaphore(MAX_AT_ONCE)

        async def attempt(upstream: Upstream, way: Way) -> Tried:
            async with turns:
                return await probe.attempt(upstream, way)

        async def report(upstream: Upstream) -> Report:
            tried = await asyncio.gather(*(attempt(upstream, way) for way in self._ways(upstream)))
            return _report(upstream, tuple(tried))

        for done in asyncio.as_completed([report(self.upstreams[name]) for name in names]):
            yield await done

    def _ways(self, upstream: Upstream) -> tuple[Way, ...]:
        return self._outbound.ways(upstream, upstream.base.origin)


@contextlib.contextmanager
def _noting(problems: dict[str, None]) -> Iterator[None]:
    """A mistake is noted, once: many providers share a proxy."""
    try:
        yield
    except ConfigError as error:
        problems[str(error)] = None


def _report(upstream: Upstream, ways: tuple[Tried, ...]) -> Report:
    verdict = next((way.key.verdict for way in ways if way.reachable), ways[0].key.verdict)
    is_refused = any(way.key.verdict is Verdict.REFUSED for way in ways)
    return Report(
        provider=upstream.name,
        base_url=str(upstream.base),
        ok=ways[0].reachable and not is_refused,
        key=Key(_source(upstream), verdict),
        ways=ways,
    )


def _source(upstream: Upstream) -> KeySource | None:
    if upstream.configured_key:
        return "configured"
    return "environment" if upstream.environment_key else None


def _unknown(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"{name}: there is no such provider" + (f"; did you mean {close[0]}?" if close else "")
