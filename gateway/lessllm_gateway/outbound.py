"""The ways out: which hops lead to an upstream, and the transport, certificates and health of each.

Which way a provider's calls take is decided from the configuration, once, by `egress.routes`; which of a
chain's proxies is tried now, by what is known of their health.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import httpx
from lessllm_shared.config import GatewaySettings
from lessllm_shared.config.sections import Timeouts, Tls

from lessllm_gateway.credentials import RawHeaders
from lessllm_gateway.egress import routes
from lessllm_gateway.egress.certificates import Certificates
from lessllm_gateway.egress.dialer import Dialer, Patience, Place
from lessllm_gateway.egress.exchange import Exchange
from lessllm_gateway.egress.health import Health
from lessllm_gateway.egress.hops import Hop, Kind, parse_origin
from lessllm_gateway.egress.pool import Limits, Pool
from lessllm_gateway.egress.transport import Transport
from lessllm_gateway.metrics import PROXY_UP
from lessllm_gateway.tries import Policy, RetryBudget
from lessllm_gateway.upstreams import Upstream

DIRECT = "direct"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One way to one provider's address."""

    url: httpx.URL
    transport: httpx.AsyncBaseTransport
    hop: Hop | None
    health: Health | None  # of the hop; what goes direct has none

    @property
    def route(self) -> str:
        """As it is shown: no credentials."""
        return DIRECT if self.hop is None else str(self.hop)

    def request(
        self, method: str, path: str, raw: RawHeaders, body: bytes, limits: Timeouts, exchange: Exchange
    ) -> httpx.Request:
        """A request whose path goes out byte for byte. `raw` must hold host and content-length."""
        return httpx.Request(
            method,
            self.url,
            headers=raw,
            stream=httpx.ByteStream(body),
            extensions={
                "target": path.encode("latin-1"),
                "timeout": {"pool": limits.connect_s, "read": limits.first_byte_s},
                "exchange": exchange,
            },
        )


class Outbound:
    """Owns the pool and the transports, made on first use and kept until `close`."""

    def __init__(self, settings: GatewaySettings, environ: Mapping[str, str]) -> None:
        timeouts, pool = settings.timeouts, settings.pool
        self._patience = Patience(timeouts.connect_s, timeouts.proxy_handshake_s)
        self._limits = Limits(pool.max_connections, pool.max_per_host, pool.keepalive_s)
        self.pool = Pool(Dialer(self._patience), self._limits)
        self._environ = environ
        self._certificates = Certificates()
        self._http2_certificates = Certificates()  # httpcore sets ALPN on what it is given
        self._transports: dict[tuple[Place, bool], httpx.AsyncBaseTransport] = {}
        self._ways: dict[tuple[str, str], tuple[Way, ...]] = {}
        self._policies: dict[str, Policy] = {}
        self._health: dict[Hop, Health] = {}

    def ways(self, upstream: Upstream, origin: str) -> tuple[Way, ...]:
        """The ways to an origin of an upstream, in order. Raises ConfigError for what can't be one."""
        known = self._ways.get((upstream.name, origin))
        if known is None:
            hops = routes.hops(upstream.proxy, parse_origin(origin), self._environ)
            known = tuple(self._way(upstream, origin, hop) for hop in hops)
            self._ways[upstream.name, origin] = known
        return known

    def _way(self, upstream: Upstream, origin: str, hop: Hop | None) -> Way:
        place = self.place(upstream, origin, hop)
        http2 = upstream.http2 and place.tls is not None
        transport = self._transports.get((place, http2))
        if transport is None:
            transport = self._http2_transport(place) if http2 else Transport(self.pool, place)
            self._transports[place, http2] = transport
        return Way(httpx.URL(origin), transport, hop, None if hop is None else self._health_of(hop))

    def _http2_transport(self, place: Place) -> httpx.AsyncBaseTransport:
        from lessllm_gateway.egress.http2 import Http2Transport  # noqa: PLC0415 - its libraries take 0.2 s

        return Http2Transport(place, self._patience, self._limits)

    def _health_of(self, hop: Hop) -> Health:
        health = self._health.get(hop)
        if health is None:
            health = self._health[hop] = Health(partial(_log_change, str(hop)))
            PROXY_UP.labels(str(hop)).set_function(lambda: health.is_up)
        return health

    def place(self, upstream: Upstream, origin: str, hop: Hop | None) -> Place:
        """Where the way by that hop leads, and with which certificates."""
        certificates = self._http2_certificates if upstream.http2 else self._certificates
        to, hop_tls = parse_origin(origin), None
        if hop is not None and hop.kind is Kind.HTTPS:
            hop_tls = self._certificates.context(upstream.proxy.tls if upstream.proxy else Tls())
        return Place.of(hop, to, certificates.context(upstream.tls) if to.is_tls else None, hop_tls)

    def policy(self, upstream: Upstream) -> Policy:
        """How often, and on whose budget, the upstream is asked again."""
        known = self._policies.get(upstream.name)
        if known is None:
            retries = upstream.retries
            known = self._policies[upstream.name] = Policy(retries, RetryBudget(retries.budget))
        return known

    async def close(self) -> None:
        """Close every connection."""
        for transport in self._transports.values():
            await transport.aclose()
        await self.pool.close()


def _log_change(proxy: str, is_up: bool) -> None:
    if is_up:
        log.info("the proxy %s works again", proxy)
    else:
        log.warning("the proxy %s fails: calls go another way where there is one", proxy)
