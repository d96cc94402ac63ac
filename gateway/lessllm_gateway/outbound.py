"""The way out: one transport for each route, behind httpx.AsyncBaseTransport, and the clock marks of a call.

A route is where packets go first: `direct`, or a proxy. Which one a provider takes is decided here and
nowhere else. Marks come from httpcore's trace events, as far as they go: httpx-socks emits none while it
connects, so those phases stay unknown.
"""

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx
from httpx_socks import AsyncProxyTransport
from lessllm_shared.config import ConfigError
from lessllm_shared.config.sections import Pool, Proxy, ProxyAuth, Timeouts
from lessllm_shared.record import NetworkMarks
from pydantic import SecretStr
from python_socks import ProxyType

from lessllm_gateway.credentials import RawHeaders
from lessllm_gateway.upstreams import Upstream

DIRECT = "direct"
SOCKS_PORT = 1080
_SCHEMES = ("http", "https", "socks", "socks4", "socks4a", "socks5", "socks5h")


@dataclass(slots=True)
class Clock:
    """Nanoseconds since t0, and the marks that one attempt leaves."""

    t0: int = field(default_factory=time.monotonic_ns)
    marks: dict[str, int] = field(default_factory=dict)

    def now(self) -> int:
        """Nanoseconds since t0."""
        return time.monotonic_ns() - self.t0

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Takes httpcore's trace events; the first of each name counts."""
        del info
        self.marks.setdefault(event, self.now())

    def network(self, route: str) -> NetworkMarks:
        """The connection phases that were seen."""
        connect = self._span("connection.connect_tcp")
        tls = self._span("connection.start_tls")
        sending = self.marks.get("http11.send_request_headers.started")
        return NetworkMarks(
            tcp_connect_ns=connect,
            tls_ns=tls,
            connection_reused=None if sending is None or route.startswith("socks") else connect is None,
            round_trip_ns=connect,
        )

    def _span(self, name: str) -> int | None:
        start, end = self.marks.get(f"{name}.started"), self.marks.get(f"{name}.complete")
        return None if start is None or end is None else end - start


@dataclass(frozen=True, slots=True)
class Way:
    """How one provider's address is reached."""

    route: str  # fit to be shown: no credentials
    url: httpx.URL
    prefix: str  # of the request's target: a proxy for plain HTTP wants the whole URL
    transport: httpx.AsyncBaseTransport

    def request(
        self, method: str, path: str, raw: RawHeaders, body: bytes, limits: Timeouts, clock: Clock
    ) -> httpx.Request:
        """A request whose path goes out byte for byte. `raw` must hold host and content-length."""
        return httpx.Request(
            method,
            self.url,
            headers=raw,
            stream=httpx.ByteStream(body),
            extensions={
                "target": (self.prefix + path).encode("latin-1"),
                # Reads are limited by the call itself, which tells the first byte from the idle time after.
                "timeout": {"connect": limits.connect_s, "pool": limits.connect_s, "write": limits.idle_s},
                "trace": clock.trace,
            },
        )


class Outbound:
    """Owns the transports, made on first use and kept until `close`."""

    def __init__(self, pool: Pool, environ: Mapping[str, str]) -> None:
        self._limits = httpx.Limits(
            max_connections=pool.max_connections,
            max_keepalive_connections=pool.max_connections,
            keepalive_expiry=pool.keepalive_s,
        )
        self._environ = environ
        self._ssl_context: ssl.SSLContext = httpx.create_ssl_context()
        self._transports: dict[str, httpx.AsyncBaseTransport] = {}
        self._ways: dict[tuple[str, str], Way] = {}

    def way(self, upstream: Upstream, origin: str) -> Way:
        """The way to an origin of an upstream. Raises ConfigError for a proxy that can't be one."""
        known = self._ways.get((upstream.name, origin))
        if known is not None:
            return known
        proxy = proxy_for(upstream.proxy, origin, self._environ)
        transport = self._transports.get(proxy or DIRECT)
        if transport is None:
            transport = self._transports[proxy or DIRECT] = self._transport(proxy)
        is_forwarded = proxy is not None and proxy.startswith("http") and origin.startswith("http://")
        way = Way(shown_route(proxy), httpx.URL(origin), origin if is_forwarded else "", transport)
        self._ways[upstream.name, origin] = way
        return way

    def _transport(self, proxy: str | None) -> httpx.AsyncBaseTransport:
        if proxy is None or not proxy.startswith("socks"):
            return httpx.AsyncHTTPTransport(verify=self._ssl_context, proxy=proxy, limits=self._limits)
        parts = urlsplit(proxy)
        return AsyncProxyTransport(
            proxy_type=ProxyType.SOCKS4 if parts.scheme.startswith("socks4") else ProxyType.SOCKS5,
            proxy_host=parts.hostname or "",
            proxy_port=parts.port or SOCKS_PORT,
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            rdns=parts.scheme != "socks4",  # SOCKS4 knows addresses only
            verify=self._ssl_context,
            limits=self._limits,
        )

    async def close(self) -> None:
        """Close every connection."""
        for transport in self._transports.values():
            await transport.aclose()


def proxy_for(proxy: Proxy | None, url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy's URL, credentials included, or None for direct. Raises ConfigError."""
    if proxy is None:
        return None
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _excluded(host, proxy.no_proxy):
        return None
    chosen = proxy.socks_proxy or (
        proxy.http_proxy if parts.scheme == "http" else proxy.https_proxy or proxy.http_proxy
    )
    if chosen is not None:
        return _usable(_with_auth(chosen, proxy.auth), "proxy")
    return _from_environment(parts.scheme, host, environ) if proxy.trust_env else None


def shown_route(proxy: str | None) -> str:
    """A proxy's URL without its credentials, or `direct`."""
    if proxy is None:
        return DIRECT
    parts = urlsplit(proxy)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _with_auth(proxy: SecretStr, auth: ProxyAuth | None) -> str:
    url = proxy.get_secret_value()
    parts = urlsplit(url)
    if auth is None or "@" in parts.netloc:
        return url
    user = quote(auth.username, safe="")
    password = quote(auth.password.get_secret_value(), safe="")
    return parts._replace(netloc=f"{user}:{password}@{parts.netloc}").geturl()


def _from_environment(scheme: str, host: str, environ: Mapping[str, str]) -> str | None:
    def variable(name: str) -> str:
        return environ.get(name.lower()) or environ.get(name.upper()) or ""

    if host in {"localhost", "127.0.0.1", "::1"} or _excluded(host, variable("no_proxy").split(",")):
        return None
    for name in (f"{scheme}_proxy", "all_proxy"):
        if url := variable(name).strip():
            return _usable(url if "://" in url else f"http://{url}", name)
    return None


def _usable(url: str, where: str) -> str:
    """The URL as it came; its text stays out of the error, since it may hold a password."""
    try:
        parts = urlsplit(url)
        if parts.scheme in _SCHEMES and parts.hostname and parts.port != 0:
            return parts.geturl()
    except ValueError:
        pass
    raise ConfigError(f"{where}: is not a proxy's URL; write scheme://host:port with {', '.join(_SCHEMES)}")


def _excluded(host: str, patterns: tuple[str, ...] | list[str]) -> bool:
    names = [pattern.strip().lstrip("*").lstrip(".") for pattern in patterns]
    return "*" in [p.strip() for p in patterns] or any(
        n and (host == n or host.endswith(f".{n}")) for n in names
    )
