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
from urllib.parse import quote, urlsplit

import httpx
from httpx_socks import AsyncProxyTransport
from lessllm_shared.config.sections import Pool, Proxy, ProxyAuth
from lessllm_shared.record import NetworkMarks
from pydantic import SecretStr

from lessllm_gateway.routing import Upstream

DIRECT = "direct"


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

    def network(self) -> NetworkMarks:
        """The connection phases that were seen."""
        connect = self._span("connection.connect_tcp")
        tls = self._span("connection.start_tls")
        sending = self.marks.get("http11.send_request_headers.started")
        return NetworkMarks(
            tcp_connect_ns=connect,
            tls_ns=tls,
            connection_reused=None if sending is None or connect is not None else True,
            round_trip_ns=connect,
        )

    def _span(self, name: str) -> int | None:
        start, end = self.marks.get(f"{name}.started"), self.marks.get(f"{name}.complete")
        return None if start is None or end is None else end - start


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

    def route(self, upstream: Upstream, url: str) -> str:
        """The route to a URL, fit to be shown: no credentials."""
        return shown_route(proxy_for(upstream.proxy, url, self._environ))

    async def send(self, upstream: Upstream, request: httpx.Request) -> httpx.Response:
        """One attempt along the upstream's route. Raises httpx's and python-socks' exceptions."""
        proxy = proxy_for(upstream.proxy, str(request.url), self._environ)
        transport = self._transports.get(proxy or DIRECT)
        if transport is None:
            transport = self._transports[proxy or DIRECT] = self._transport(proxy)
        return await transport.handle_async_request(request)

    def _transport(self, proxy: str | None) -> httpx.AsyncBaseTransport:
        if proxy is not None and proxy.startswith("socks"):
            url = "socks5://" + proxy.removeprefix("socks://") if proxy.startswith("socks://") else proxy
            return AsyncProxyTransport.from_url(url, verify=self._ssl_context, limits=self._limits)
        return httpx.AsyncHTTPTransport(verify=self._ssl_context, proxy=proxy, limits=self._limits)

    async def close(self) -> None:
        """Close every connection."""
        for transport in self._transports.values():
            await transport.aclose()


def proxy_for(proxy: Proxy | None, url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy's URL, credentials included, or None for direct."""
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
        return _with_auth(chosen, proxy.auth)
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
    return variable(f"{scheme}_proxy") or variable("all_proxy") or None


def _excluded(host: str, patterns: tuple[str, ...] | list[str]) -> bool:
    names = [pattern.strip().lstrip("*").lstrip(".") for pattern in patterns]
    return "*" in [p.strip() for p in patterns] or any(
        n and (host == n or host.endswith(f".{n}")) for n in names
    )
