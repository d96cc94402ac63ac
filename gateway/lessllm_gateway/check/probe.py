"""One way to a provider, tried: names, the proxy, TLS, and the list of models with the provider's key.

A Way enters, a Tried leaves: how long each phase took, who issued the certificate and who trusts it, what
became of the key and, if the way leads nowhere, at which stage it ends and what to do. What is asked is a GET
by HTTP/1.1, which costs nothing. No key and no password leaves here but for its provider or proxy.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace

import httpx
from lessllm_shared.config.sections import Timeouts
from lessllm_shared.record import ApiFormat

from lessllm_gateway import failures, headers
from lessllm_gateway.check import verdict
from lessllm_gateway.check.authority import Authorities, Certificate, WatchingDialer
from lessllm_gateway.check.verdict import MAX_READ_BYTES, Answer, KeyCheck, Problem, Verdict
from lessllm_gateway.credentials import RawHeaders
from lessllm_gateway.egress.dialer import DialError, Place
from lessllm_gateway.egress.exchange import Exchange, Phase
from lessllm_gateway.egress.pool import Limits, Pool
from lessllm_gateway.egress.transport import Transport
from lessllm_gateway.outbound import Outbound, Way
from lessllm_gateway.routing import Target
from lessllm_gateway.upstreams import Upstream

_ONE_CONNECTION = Limits(connections=1, per_place=1, keepalive_s=60)
_ASKING: RawHeaders = [(b"accept", b"application/json"), (b"user-agent", b"lessllm-check")]
_LISTS: Mapping[str, tuple[str, RawHeaders]] = {  # by format: how its SDKs ask for the models
    "openai": ("/models", _ASKING),
    "anthropic": ("/v1/models", [*_ASKING, (b"anthropic-version", b"2023-06-01")]),
}


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one way. Milliseconds; None for what did not happen or can't be seen."""

    route: str
    reachable: bool
    dns_ms: float | None
    connect_ms: float | None
    proxy_ms: float | None
    tls_ms: float | None
    round_trip_ms: float | None
    certificate: Certificate | None
    status: int | None  # of the list of models
    key: KeyCheck
    error: Problem | None


class Probe:
    """Tries ways. No stage of one takes longer than `limit_s`."""

    def __init__(self, outbound: Outbound, limit_s: float) -> None:
        self._outbound = outbound
        self._limit_s = limit_s
        self._authorities = Authorities(limit_s)

    async def attempt(self, upstream: Upstream, way: Way) -> Tried:
        """Try one way of a provider."""
        place = self._outbound.place(replace(upstream, http2=False), upstream.base.origin, way.hop)
        line = _Line(upstream, way, place, self._limit_s)
        key = KeyCheck(Verdict.NOT_TRIED) if line.key else verdict.without_key()
        answer, error, certificate = None, None, None
        try:
            answer = await line.first_answer()
            if answer is not None:
                error = verdict.stranger(answer, is_forwarded=place.origin is None)
                key = key if error else await line.judge(answer)
        except httpx.TransportError as failure:
            issuer = await self._authorities.of_refused(place, failure)
            error = _problem(failure, line.exchange, self._limit_s, issuer)
            certificate = Certificate(issuer, None) if issuer and error.stage is Phase.TLS else None
        finally:
            await line.close()
        if line.certificate is not None:
            certificate = await self._authorities.of_verified(line.certificate, place, upstream.tls)
        return _tried(way, line.exchange, certificate, answer, key, error)


class _Line:
    """A provider at the other end of a way."""

    def __init__(self, upstream: Upstream, way: Way, place: Place, limit_s: float) -> None:
        self.key = upstream.configured_key or upstream.environment_key
        self.exchange = Exchange()
        self._upstream = upstream
        self._way = way
        self._place = place
        self._limits = Timeouts(connect_s=limit_s, first_byte_s=limit_s)
        self._dialer = WatchingDialer(limit_s)
        self._pool = Pool(self._dialer, _ONE_CONNECTION)

    @property
    def certificate(self) -> bytes | None:
        """The upstream's, once it was accepted."""
        return self._dialer.certificate

    async def first_answer(self) -> Answer | None:
        """What it says to the key; None if there is none to show, and an open way tells enough.

        A proxy that forwards opens no way, and a server on this machine may want no key: they are asked.
        Raises httpx.TransportError.
        """
        if self.key or self._upstream.is_local or self._place.origin is None:
            return await self._ask(self.key, self.exchange)
        transport = await self._dialer.dial(self._place, asyncio.Protocol(), self.exchange)
        transport.abort()
        return None

    async def judge(self, answer: Answer) -> KeyCheck:
        """What the answer says of the key. A list that is there for everybody says nothing."""
        if self.key is None:
            return verdict.without_key(answer)
        is_for_all = False
        if answer.is_list:
            with contextlib.suppress(httpx.TransportError):
                is_for_all = (await self._ask(None, Exchange())).is_list
        secrets = [self.key]
        if self._way.hop is not None and (user := self._way.hop.credentials) is not None:
            secrets += [user.password, user.basic.decode()]
        return verdict.judge(answer, self._upstream, secrets, is_for_all=is_for_all)

    async def close(self) -> None:
        await self._pool.close()

    async def _ask(self, key: str | None, exchange: Exchange) -> Answer:
        path, asking = _LISTS[self._upstream.format]
        target = Target(
            upstream=self._upstream,
            origin=self._upstream.base.origin,
            path=self._upstream.base.path + path,
            api_format=ApiFormat.OTHER,
            upstream_format=ApiFormat.OTHER,
            model=None,
            key=key,
            passes_credentials=False,
            measured=False,
            drops_params=False,
        )
        raw = headers.to_upstream(asking, target, b"identity", 0)
        request = self._way.request("GET", target.path, raw, b"", self._limits, exchange)
        response = await Transport(self._pool, self._place).handle_async_request(request)
        body = await _beginning(response, self._limits.first_byte_s)
        return Answer(response.status_code, response.headers.get("content-type", ""), body)


async def _beginning(response: httpx.Response, limit_s: float) -> bytes:
    """Of the body. Raises httpx.TransportError."""
    body = b""
    try:
        async with asyncio.timeout(limit_s):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) >= MAX_READ_BYTES:
                    break
    except TimeoutError:
        raise httpx.ReadTimeout("the answer does not go on") from None
    finally:
        await response.aclose()
    return body[:MAX_READ_BYTES]


def _problem(failure: httpx.TransportError, exchange: Exchange, limit_s: float, issuer: str) -> Problem:
    """In the words that calls use, but for the limit, which is another here."""
    if isinstance(failure, DialError):
        phase, code, text = failure.phase, failure.code, failure.text
        if code in _TIMEOUTS:
            text = f"{_WAITED[phase]} timed out after {limit_s:g} s"
        elif issuer:
            text += f". The certificate says that it was issued by {issuer}"
        return Problem(phase, code, text, _remedy(failure))
    if isinstance(failure, httpx.TimeoutException):
        text = f"the answer timed out after {limit_s:g} s"
        return Problem(exchange.phase, "upstream_timeout", text, _WHO_ANSWERS)
    text = f"the upstream could not be asked for its models: {failure}"
    return Problem(exchange.phase, "upstream_protocol_error", text, _WHO_ANSWERS)


def _remedy(failure: DialError) -> str:
    cause = failure.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):  # its text says more than the code
        return _UNKNOWN_ISSUER if cause.verify_code in _UNKNOWN_ISSUER_CODES else ""
    return _REMEDIES.get((failure.code, failure.phase)) or failures.remedy(failure)


def _tried(
    way: Way,
    exchange: Exchange,
    certificate: Certificate | None,
    answer: Answer | None,
    key: KeyCheck,
    error: Problem | None,
) -> Tried:
    return Tried(
        route=way.route,
        reachable=error is None,
        dns_ms=_ms(exchange.dns_ns),
        connect_ms=_ms(exchange.tcp_connect_ns),
        proxy_ms=_ms(exchange.proxy_handshake_ns),
        tls_ms=_ms(exchange.tls_ns),
        round_trip_ms=_ms(exchange.round_trip_ns),
        certificate=certificate,
        status=None if answer is None else answer.status,
        key=key,
        error=error,
    )


def _ms(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else round(duration_ns / 1e6, 3)


_TIMEOUTS = frozenset(("connect_timeout", "proxy_timeout"))
_WAITED = {
    Phase.DNS: "looking up a name",
    Phase.CONNECT: "connecting",
    Phase.PROXY_HANDSHAKE: "opening the way by the proxy",
    Phase.TLS: "TLS with the upstream",
}
_WHO_ANSWERS = "is it the provider that base_url names, and is it up?"
_REMEDIES = {  # where a phase tells more than the code
    ("upstream_unreachable", Phase.DNS): "check base_url; if only a proxy knows the name, set proxy",
    ("upstream_unreachable", Phase.CONNECT): (
        "is it up, and base_url right? If this network lets nothing out by itself, set proxy"
    ),
    ("upstream_unreachable", Phase.PROXY_HANDSHAKE): (
        "check base_url; if that is right, ask who runs the proxy what it can reach"
    ),
    ("connect_timeout", Phase.TLS): "ask who runs this network, or the proxy, what it does to TLS",
    ("upstream_tls_failed", Phase.TLS): (
        "does it speak TLS at this port? A firewall may cut connections by the host's name: set proxy"
    ),
    ("proxy_protocol_error", Phase.PROXY_HANDSHAKE): (
        "check the scheme and port of its URL, and its user name and password"  # which some close upon
    ),
}
_UNKNOWN_ISSUER = "ask whoever runs this network for its authority's certificate, a PEM file"
_UNKNOWN_ISSUER_CODES = frozenset((2, 19, 20, 21))  # OpenSSL's X509_V_ERR_*
