"""HTTP/2, by httpx's own transports and httpx-socks: for providers that are configured so.

The same interface as our own transport: an Exchange is filled from httpcore's trace events, and failures
become the same exceptions. Both go less far: names are resolved inside `tcp_connect_ns`, and httpx-socks
tells nothing of how it connects, so those phases stay unknown.
"""

import asyncio
import re
import socket
import time
from collections.abc import Mapping
from typing import Any

import anyio
import httpx
from httpx_socks import AsyncProxyTransport
from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType

from lessllm_gateway.egress.dialer import DialError, Patience, Place
from lessllm_gateway.egress.exchange import Exchange, Phase
from lessllm_gateway.egress.handshake import Refused, refusal
from lessllm_gateway.egress.hops import Hop, Kind
from lessllm_gateway.egress.pool import Limits, PoolFull


class Http2Transport(httpx.AsyncBaseTransport):
    """Requests to one place, multiplexed where the server can."""

    def __init__(self, place: Place, patience: Patience, limits: Limits, *, http2: bool = True) -> None:
        self._hop = place.hop
        self._tunnels = place.hop is not None and place.hop.speaks_http and place.tls is not None
        self._connect_s = patience.connect_s + (patience.handshake_s if place.hop else 0)
        self._handshake_s = patience.handshake_s
        self._transport = _library_transport(place, limits, http2=http2)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As `Transport.handle_async_request`."""
        exchange: Exchange = request.extensions["exchange"]
        if self._hop is not None:
            exchange.remote_dns = self._hop.resolves_names
        request.url = _Url(request.url, request.extensions.pop("target"))
        request.extensions["timeout"]["connect"] = self._connect_s
        tracer = _Tracer(exchange, self._handshake_s if self._tunnels else None)
        request.extensions["trace"] = tracer.trace
        try:
            async with tracer.limit:
                return await self._transport.handle_async_request(request)
        except httpx.PoolTimeout as error:
            raise PoolFull("all pool.max_per_host connections to it are in use") from error
        except (httpx.TransportError, *_SOCKS_ERRORS) as error:
            if exchange.phase in _SENT:
                raise
            failure = _not_connected(error, exchange.phase, self._hop)
            exchange.phase = failure.phase
            raise failure from error
        finally:
            tracer.fill(knows_connections=self._hop is None or self._hop.speaks_http)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._transport.aclose()


def _library_transport(place: Place, limits: Limits, *, http2: bool) -> httpx.AsyncBaseTransport:
    bounds = httpx.Limits(
        max_connections=limits.per_place,
        max_keepalive_connections=limits.per_place,
        keepalive_expiry=limits.keepalive_s,
    )
    verify = place.tls if place.tls is not None else False
    hop = place.hop
    if hop is None:
        return httpx.AsyncHTTPTransport(verify, http2=http2, limits=bounds)
    user = hop.credentials
    if hop.speaks_http:
        auth = (user.username, user.password) if user is not None else None
        proxy = httpx.Proxy(str(hop), ssl_context=place.hop_tls, auth=auth)
        return httpx.AsyncHTTPTransport(verify, http2=http2, limits=bounds, proxy=proxy)
    return AsyncProxyTransport(
        proxy_type=ProxyType.SOCKS4 if hop.kind in {Kind.SOCKS4, Kind.SOCKS4A} else ProxyType.SOCKS5,
        proxy_host=hop.host,
        proxy_port=hop.port,
        username=user.username if user is not None else None,
        password=user.password if user is not None else None,
        rdns=hop.resolves_names,
        verify=verify,
        http2=http2,
        limits=bounds,
    )


class _Url(httpx.URL):
    """One whose path goes out byte for byte. httpcore would take the extension `target` for CONNECT's too."""

    def __init__(self, url: httpx.URL, target: bytes) -> None:
        super().__init__(url)
        self._target = target

    @property
    def raw_path(self) -> bytes:
        """As httpx's transports ask for it."""
        return self._target


class _Tracer:
    """Fills an Exchange from httpcore's events: the last of each name, since CONNECT has its own before."""

    def __init__(self, exchange: Exchange, tunnel_s: float | None) -> None:
        self.limit = asyncio.timeout(None)  # of CONNECT: httpcore would wait for it as for an answer
        self._exchange = exchange
        self._tunnel_s = tunnel_s
        self._marks: dict[str, int] = {}

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """httpcore calls it."""
        del info
        layer, _, name = event.partition(".")
        self._marks[event if layer in {"connection", "proxy"} else name] = time.monotonic_ns()
        if event == _SECURED_BY_PROXY:
            self.limit.reschedule(None)
        if self._tunnel_s is None or _CONNECTED not in self._marks or _SECURED_BY_PROXY in self._marks:
            self._exchange.phase = _PHASES.get(name, self._exchange.phase)
            return
        self._exchange.phase = Phase.PROXY_HANDSHAKE
        if name == "send_request_headers.started":  # not before: httpcore leaks what is cancelled during TLS
            self.limit.reschedule(asyncio.get_running_loop().time() + self._tunnel_s)

    def fill(self, *, knows_connections: bool) -> None:
        """When the answer's head has come, or none will."""
        exchange, marks = self._exchange, self._marks
        exchange.tcp_connect_ns = self._span("connection.connect_tcp.started", _CONNECTED)
        exchange.reused = _CONNECTED not in marks if knows_connections else None
        if self._tunnel_s is not None:
            exchange.proxy_handshake_ns = self._span(_CONNECTED, _SECURED_BY_PROXY)
            exchange.tls_ns = self._span(_SECURED_BY_PROXY, "proxy.start_tls.complete")
            exchange.round_trip_ns = exchange.tls_ns
        else:
            exchange.tls_ns = self._span("connection.start_tls.started", "connection.start_tls.complete")
            exchange.round_trip_ns = exchange.tcp_connect_ns
        if exchange.phase in _SENT:
            exchange.send_start = marks.get("send_request_headers.started")
            exchange.sent = marks.get("send_request_body.complete")
            exchange.head = marks.get("receive_response_headers.complete")

    def _span(self, start: str, end: str) -> int | None:
        marks = self._marks
        return marks[end] - marks[start] if start in marks and end in marks else None


def _not_connected(error: Exception, phase: Phase, hop: Hop | None) -> DialError:
    if hop is not None and isinstance(error, (httpx.ProxyError, ProxyError)):
        refused = _refusal(error, hop)
        text = f"the proxy did not open the way: {refused.text}"
        return DialError(Phase.PROXY_HANDSHAKE, refused.code, text)
    if hop is not None and not hop.speaks_http:
        phase = _socks_phase(error)
    is_late = isinstance(error, (httpx.TimeoutException, TimeoutError))
    if phase is Phase.TLS:
        code, text = (
            ("connect_timeout", "is not done in time") if is_late else ("upstream_tls_failed", "failed")
        )
        text = f"TLS with the upstream {text}"
    elif hop is None or phase is Phase.DNS:
        code = "connect_timeout" if is_late else "upstream_unreachable"
        text = "no connection within timeouts.connect_s" if is_late else "no connection"
    elif is_late:
        code, text = "proxy_timeout", "the proxy did not answer in time"
    elif phase is not Phase.PROXY_HANDSHAKE:
        code, text = "proxy_unreachable", "the proxy can't be reached"
    elif isinstance(error, httpx.ConnectError):
        code, text = "proxy_tls_failed", "TLS with the proxy failed"
    else:
        code, text = "proxy_protocol_error", f"the proxy did not open the way: {_NO_ANSWER}"
    return DialError(phase, code, text)


def _socks_phase(error: Exception) -> Phase:
    """What python-socks was doing: all that it has no name for is TLS with the upstream."""
    if isinstance(error, (ProxyConnectionError, ProxyTimeoutError)):
        return Phase.CONNECT
    return Phase.DNS if isinstance(error, socket.gaierror) else Phase.TLS


def _refusal(error: httpx.ProxyError | ProxyError, hop: Hop) -> Refused:
    said = str(error)
    if isinstance(error, httpx.ProxyError):
        return refusal(hop.kind, int(said[:3]))
    if error.error_code is not None:
        return refusal(hop.kind, error.error_code)
    if _AUTH_FAILED.search(said):
        return Refused("proxy_auth_failed", "it does not accept the user name and password")
    return Refused("proxy_protocol_error", _NO_ANSWER)


_CONNECTED = "connection.connect_tcp.complete"
_SECURED_BY_PROXY = "proxy.start_tls.started"
_NO_ANSWER = "it closed the connection, or what it answered is not understood: is it such a proxy?"
_SENT = frozenset((Phase.SEND, Phase.WAIT, Phase.RECEIVE))
_SOCKS_ERRORS = (ProxyError, OSError, anyio.EndOfStream, anyio.BrokenResourceError)
_AUTH_FAILED = re.compile(r"authentication (methods|failure)")
_PHASES = {
    "connect_tcp.started": Phase.CONNECT,
    "start_tls.started": Phase.TLS,
    "send_request_headers.started": Phase.SEND,
    "send_request_body.complete": Phase.WAIT,
    "receive_response_headers.complete": Phase.RECEIVE,
}
