"""The dialer: opens a connection to a place, phase by phase, each of them timed and its failure named.

A place enters, a transport leaves that carries the upstream's bytes, under the protocol that was given. A
failure is one DialError: which hop, which phase, why. Nothing has been sent to the upstream by then.
"""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import httpx

from lessllm_gateway.egress import tcp
from lessllm_gateway.egress.certificates import describe_verification
from lessllm_gateway.egress.exchange import Exchange, Phase
from lessllm_gateway.egress.handshake import Refused, handshake
from lessllm_gateway.egress.hops import Hop, Kind, Origin
from lessllm_gateway.egress.talk import Talk


@dataclass(frozen=True, slots=True)
class Place:
    """Where connections are interchangeable: an origin by way of a hop, with these certificates."""

    hop: Hop | None
    origin: Origin | None  # None: a proxy that forwards plain requests, wherever they go
    tls: ssl.SSLContext | None = None  # for an origin with TLS
    hop_tls: ssl.SSLContext | None = None  # for an https:// proxy

    @classmethod
    def of(
        cls, hop: Hop | None, origin: Origin, tls: ssl.SSLContext | None, hop_tls: ssl.SSLContext | None
    ) -> "Place":
        """Where a way leads: a proxy that speaks HTTP forwards plain requests, all else is tunnelled."""
        if not origin.is_tls:
            is_forwarded = hop is not None and hop.speaks_http
            return cls(hop, None if is_forwarded else origin, None, hop_tls)
        return cls(hop, origin, tls, hop_tls)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds."""

    connect_s: float  # for names and TCP, and again for TLS with the upstream
    handshake_s: float


class DialError(httpx.ConnectError):
    """No connection. `code` is that of the call's error."""

    def __init__(self, phase: Phase, code: str, text: str) -> None:
        super().__init__(text)
        self.phase = phase
        self.code = code
        self.text = text  # our own words, fit for the client

    @property
    def blames_proxy(self) -> bool:
        """Whether another upstream by this proxy would fare no better."""
        return self.code in _PROXY_FAULTS

    @property
    def is_lasting(self) -> bool:
        """Whether only a change of the configuration helps, here or at the other end."""
        return self.code in _LASTING


class Dialer:
    """Opens connections."""

    def __init__(self, patience: Patience, resolve: tcp.Resolve = tcp.resolve) -> None:
        self._patience = patience
        self._resolve = resolve

    async def dial(self, place: Place, protocol: asyncio.Protocol, exchange: Exchange) -> asyncio.Transport:
        """Open one, and tell the protocol. `exchange` gets what is measured. Raises DialError."""
        hop, origin = place.hop, place.origin
        target = origin.host if origin is not None else ""
        if hop is not None:
            is_name = origin is None or tcp.literal(target, origin.port) is None
            exchange.remote_dns = hop.resolves_names and is_name
            if origin is not None and not hop.resolves_names:
                async with _limited(exchange, None, self._patience.connect_s):
                    target = await self._address_for(hop, origin, exchange)
        async with _limited(exchange, hop, self._patience.connect_s):
            connected = await self._connect(hop, hop or origin, exchange)
        loop = asyncio.get_running_loop()
        transport: asyncio.Transport
        transport, talk = await loop.create_connection(Talk, sock=connected)
        try:
            if hop is not None:
                async with _limited(exchange, hop, self._patience.handshake_s):
                    transport = await self._open_way(place, target, transport, talk, exchange)
            if origin is not None and place.tls is not None:
                async with _limited(exchange, hop, self._patience.connect_s):
                    transport = await self._secure(place.tls, origin.host, transport, protocol, exchange)
            else:
                transport.set_protocol(protocol)
        except BaseException:
            transport.abort()
            raise
        protocol.connection_made(transport)
        if origin is not None:  # behind a proxy, only TLS takes one round trip with the upstream
            exchange.round_trip_ns = exchange.tcp_connect_ns if hop is None else exchange.tls_ns
        return transport

    async def _address_for(self, hop: Hop, origin: Origin, exchange: Exchange) -> str:
        """The upstream's address, for a proxy that does not take names."""
        try:
            addresses = await self._addresses(origin, exchange, None)
        except DialError as error:
            text = f"{error.text} here; to let the proxy resolve names, write {hop.kind.resolving}://"
            raise DialError(error.phase, error.code, text) from error
        of_v4 = [address for address in addresses if address[0] == socket.AF_INET]
        if hop.kind is Kind.SOCKS4 and not of_v4:
            text = f"{origin.host} has no IPv4 address, and SOCKS4 knows no others: use socks5"
            raise DialError(Phase.DNS, "proxy_refused_target", text)
        return str((of_v4 or addresses)[0][4][0])  # whether the proxy has IPv6 is not known

    async def _addresses(self, to: Origin | Hop, exchange: Exchange, hop: Hop | None) -> list[tcp.Address]:
        """Of the upstream or, if `hop` is given, of that proxy."""
        if (literal := tcp.literal(to.host, to.port)) is not None:
            return literal
        exchange.phase = Phase.DNS
        start = time.monotonic_ns()
        try:
            found = await self._resolve(to.host, to.port)
        except (OSError, UnicodeError) as error:
            reason = _reason(error)
            raise _unreachable(Phase.DNS, hop, f"the name {to.host} does not resolve: {reason}") from error
        finally:
            exchange.dns_ns = (exchange.dns_ns or 0) + time.monotonic_ns() - start
        if not found:
            raise _unreachable(Phase.DNS, hop, f"the name {to.host} has no address")
        return found

    async def _connect(self, hop: Hop | None, to: Origin | Hop | None, exchange: Exchange) -> socket.socket:
        assert to is not None  # noqa: S101 - a place has a hop or an origin
        addresses = await self._addresses(to, exchange, hop)
        exchange.phase = Phase.CONNECT
        with _timed(exchange, "tcp_connect_ns"):
            try:
                return await tcp.connect(addresses)
            except (OSError, RuntimeError) as error:  # the latter from uvloop
                raise _unreachable(Phase.CONNECT, hop, f"no connection: {_reason(error)}") from error

    async def _open_way(
        self, place: Place, target: str, transport: asyncio.Transport, talk: Talk, exchange: Exchange
    ) -> asyncio.Transport:
        """TLS to the proxy if it wants that, and the tunnel unless it forwards."""
        hop, origin = place.hop, place.origin
        assert hop is not None  # noqa: S101 - the caller has looked
        if place.hop_tls is None and origin is None:
            return transport
        exchange.phase = Phase.PROXY_HANDSHAKE
        with _timed(exchange, "proxy_handshake_ns"):
            if place.hop_tls is not None:
                try:
                    transport = await _start_tls(transport, talk, place.hop_tls, hop.host)
                except OSError as error:
                    reason = _tls_reason(error).replace("tls.ca_file", "proxy.tls.ca_file")
                    text = f"TLS with the proxy failed: {reason}"
                    raise DialError(exchange.phase, "proxy_tls_failed", text) from error
            if origin is not None:
                try:
                    await talk.run(transport, handshake(hop, target, origin.port))
                except Refused as refused:
                    text = f"the proxy did not open the way: {refused.text}"
                    raise DialError(exchange.phase, refused.code, text) from refused
        return transport

    async def _secure(
        self,
        context: ssl.SSLContext,
        host: str,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        exchange: Exchange,
    ) -> asyncio.Transport:
        exchange.phase = Phase.TLS
        with _timed(exchange, "tls_ns"):
            try:
                return await _start_tls(transport, protocol, context, host)
            except OSError as error:
                text = f"TLS with the upstream failed: {_tls_reason(error)}"
                raise DialError(Phase.TLS, "upstream_tls_failed", text) from error


async def _start_tls(
    transport: asyncio.Transport, protocol: asyncio.Protocol, context: ssl.SSLContext, host: str
) -> asyncio.Transport:
    """Raises OSError, which ssl.SSLError is one of."""
    loop = asyncio.get_running_loop()
    secured = None
    if not transport.is_closing():  # else uvloop logs a traceback
        secured = await loop.start_tls(transport, protocol, context, server_hostname=host)
    if secured is None:
        raise ConnectionResetError("closed before or during the handshake")
    return secured


@asynccontextmanager
async def _limited(exchange: Exchange, hop: Hop | None, limit_s: float) -> AsyncIterator[None]:
    """A time limit whose end is a DialError."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError as error:
        raise _timed_out(exchange.phase, hop, limit_s) from error


@contextmanager
def _timed(exchange: Exchange, name: str) -> Iterator[None]:
    start = time.monotonic_ns()
    try:
        yield
    finally:
        setattr(exchange, name, time.monotonic_ns() - start)


def _unreachable(phase: Phase, hop: Hop | None, text: str) -> DialError:
    if hop is None:
        return DialError(phase, "upstream_unreachable", text)
    return DialError(phase, "proxy_unreachable", f"the proxy can't be reached: {text}")


def _timed_out(phase: Phase, hop: Hop | None, limit_s: float) -> DialError:
    if phase is Phase.TLS:
        text = f"TLS with the upstream was not done within timeouts.connect_s ({limit_s:g} s)"
        return DialError(phase, "connect_timeout", text)
    if phase is Phase.PROXY_HANDSHAKE:
        text = f"the proxy did not open the way within timeouts.proxy_handshake_s ({limit_s:g} s)"
        return DialError(phase, "proxy_timeout", text)
    whom, code = ("the upstream", "connect_timeout") if hop is None else ("the proxy", "proxy_timeout")
    what = "'s name did not resolve" if phase is Phase.DNS else " did not answer"
    return DialError(phase, code, f"{whom}{what} within timeouts.connect_s ({limit_s:g} s)")


def _reason(error: Exception) -> str:
    """In the system's words, which hold no address of ours."""
    if isinstance(error, socket.gaierror):
        return str(error.strerror)
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else "its addresses fail for different reasons"
    return type(error).__name__


def _tls_reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate {describe_verification(error)}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or type(error).__name__).lower().replace("_", " ")
    return "the connection was closed during the handshake"


_PROXY_FAULTS = frozenset(
    (
        "proxy_unreachable",
        "proxy_timeout",
        "proxy_auth_failed",
        "proxy_protocol_error",
        "proxy_tls_failed",
    )
)
_LASTING = frozenset(("proxy_auth_failed", "proxy_refused_target", "proxy_tls_failed", "upstream_tls_failed"))
