"""Who issued a server's certificate, and whose trust makes it valid here: how interception of TLS is seen.

A place enters; words that are only shown leave. Connections are opened to look at certificates alone: nothing
is sent over them but what opens the way, and those of a server that is not verified are aborted at once.

The issuer is dug out by hand: the standard library reads no certificate but those that it verified, and
`cryptography`, which does, is several megabytes of compiled code for two names. RFC 5280 section 4.1, X.690.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from lessllm_shared.config.sections import Tls

from lessllm_gateway.check.hearsay import printable
from lessllm_gateway.egress.dialer import Dialer, DialError, Patience, Place
from lessllm_gateway.egress.exchange import Exchange, Phase
from lessllm_gateway.egress.hops import Origin

MAX_ISSUER_CHARS = 60


@dataclass(frozen=True, slots=True)
class Certificate:
    """An upstream's, as far as it is shown."""

    issuer: str  # as it says itself
    trusted_by: str | None  # well_known, tls.ca_file or system; None: nobody, or that could not be seen


class WatchingDialer(Dialer):
    """Keeps the certificate that the last upstream showed."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(Patience(limit_s, limit_s))
        self.certificate: bytes | None = None

    async def dial(self, place: Place, protocol: asyncio.Protocol, exchange: Exchange) -> asyncio.Transport:
        """As Dialer.dial."""
        transport = await super().dial(place, protocol, exchange)
        if place.tls is not None:
            self.certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return transport


class Authorities:
    """Looks at certificates. No stage of that takes longer than `limit_s`."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._well_known = httpx.create_ssl_context(trust_env=False)  # certifi's alone
        self._anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._anybody.check_hostname = False
        self._anybody.verify_mode = ssl.CERT_NONE  # to read a certificate: nothing is sent over it

    async def of_verified(self, certificate: bytes, place: Place, tls: Tls) -> Certificate:
        """Of a certificate that was accepted at that place."""
        return Certificate(issuer(certificate), await self._trusted_by(place, tls))

    async def of_refused(self, place: Place, error: Exception) -> str:
        """The issuer that a certificate names which was not accepted; "" if that is not what failed."""
        if not (isinstance(error, DialError) and isinstance(error.__cause__, ssl.SSLCertVerificationError)):
            return ""
        if error.phase is not Phase.TLS and place.hop is not None:
            # The proxy's own: seen as if it were an upstream, it is told no password.
            place = Place(None, Origin(is_tls=True, host=place.hop.host, port=place.hop.port))
        with contextlib.suppress(DialError):
            return issuer(await self._shown_at(place, self._anybody))
        return ""

    async def _trusted_by(self, place: Place, tls: Tls) -> str | None:
        with contextlib.suppress(DialError):
            if await self._is_accepted(place, self._well_known):
                return "well_known"
            if tls.ca_file is not None and await self._is_accepted(place, _only(tls.ca_file)):
                return "tls.ca_file"
            return "system"
        return None

    async def _is_accepted(self, place: Place, context: ssl.SSLContext) -> bool:
        try:
            await self._shown_at(place, context)
        except DialError as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                return False
            raise
        return True

    async def _shown_at(self, place: Place, context: ssl.SSLContext) -> bytes:
        dialer = WatchingDialer(self._limit_s)
        transport = await dialer.dial(replace(place, tls=context), asyncio.Protocol(), Exchange())
        transport.abort()
        return dialer.certificate or b""


def _only(ca_file: Path) -> ssl.SSLContext:
    """Trusts this file as `certificates.client_context` does, and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca_file)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def issuer(certificate: bytes) -> str:
    """Whom a certificate (DER) names as its issuer, by organization and name; "" if it names nobody."""
    try:
        names = dict(_issuer_names(certificate))
    except (ValueError, IndexError):
        return ""
    organization, name = names.get(_ORGANIZATION, ""), names.get(_COMMON_NAME, "")
    first_word = organization.partition(" ")[0]
    return printable(name if name and first_word in name else f"{organization} {name}", MAX_ISSUER_CHARS)


def _issuer_names(certificate: bytes) -> Iterator[tuple[bytes, str]]:
    (_, signed), *_ = _items(certificate)
    (_, fields), *_ = _items(signed)
    # [version], serial number, signature's algorithm, issuer, …
    _, _, (_, name), *_ = [item for item in _items(fields) if item[0] != _VERSION]
    for _, names in _items(name):
        for _, attribute in _items(names):
            (_, kind), (tag, value), *_ = _items(attribute)
            yield kind, value.decode(_ENCODINGS.get(tag, "utf-8"), "replace")


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and contents, one after the other."""
    at = 0
    while at < len(data):
        tag, size, at = data[at], data[at + 1], at + 2
        if size >= 0x80:
            octets = size - 0x80
            size, at = int.from_bytes(data[at : at + octets], "big"), at + octets
        if at + size > len(data):
            raise ValueError("cut off")
        yield tag, data[at : at + size]
        at += size


_VERSION = 0xA0
_ORGANIZATION, _COMMON_NAME = b"\x55\x04\x0a", b"\x55\x04\x03"  # 2.5.4.10 and 2.5.4.3
_ENCODINGS = {0x1C: "utf-32-be", 0x1E: "utf-16-be"}  # UniversalString, BMPString; most others are UTF-8
