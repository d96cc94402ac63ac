"""Where a connection goes: the upstream's origin, and the proxy before it, if any. Parsed from URLs. Pure.

Nothing here shows a credential: `str()` of a hop is fit for a record, a log and an error.
"""

import base64
import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote, urlsplit


class Kind(StrEnum):
    """What a proxy speaks, as its URL's scheme says it. `socks` is taken as socks5."""

    HTTP = "http"
    HTTPS = "https"  # HTTP inside TLS to the proxy itself
    SOCKS4 = "socks4"
    SOCKS4A = "socks4a"
    SOCKS5 = "socks5"
    SOCKS5H = "socks5h"

    @property
    def resolving(self) -> "Kind":
        """The same, but that the proxy resolves names."""
        return {Kind.SOCKS4: Kind.SOCKS4A, Kind.SOCKS5: Kind.SOCKS5H}.get(self, self)


_ALIASES = {"socks": Kind.SOCKS5}
_PORTS = {Kind.HTTP: 80, Kind.HTTPS: 443}
_SOCKS_PORT = 1080
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_RESOLVING = frozenset((Kind.HTTP, Kind.HTTPS, Kind.SOCKS4A, Kind.SOCKS5H))


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user of a proxy."""

    username: str
    password: str = field(repr=False)

    @property
    def basic(self) -> bytes:
        """The value of a Proxy-Authorization header (RFC 7617)."""
        return b"Basic " + base64.b64encode(f"{self.username}:{self.password}".encode())


@dataclass(frozen=True, slots=True)
class Hop:
    """One proxy."""

    kind: Kind
    host: str
    port: int
    credentials: Credentials | None = field(default=None, repr=False)

    @property
    def resolves_names(self) -> bool:
        """Whether the proxy gets the upstream's name; otherwise it gets an address that we resolved."""
        return self.kind in _RESOLVING

    @property
    def speaks_http(self) -> bool:
        """Whether plain requests are forwarded whole, and tunnels opened by CONNECT."""
        return self.kind in {Kind.HTTP, Kind.HTTPS}

    def __str__(self) -> str:
        return f"{self.kind}://{authority(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class Origin:
    """An upstream's server."""

    is_tls: bool
    host: str
    port: int

    def __str__(self) -> str:
        return authority(self.host, self.port)


def authority(host: str, port: int) -> str:
    """`host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_hop(url: str, credentials: Credentials | None = None) -> Hop:
    """The proxy of a URL; `credentials` are for one that names none.

    Raises ValueError, whose text says what is wrong and holds nothing of the URL.
    """
    if not url.isprintable():
        raise ValueError("holds a character that must be quoted, such as a line break (%0A)")
    scheme, separator, _ = url.partition("://")
    kind = _ALIASES.get(scheme.lower()) or next((k for k in Kind if k == scheme.lower()), None)
    if not separator or kind is None:
        raise ValueError(f"write scheme://host:port with {', '.join((*_ALIASES, *Kind))}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("its address or port is none; write scheme://host:port") from None
    if not parts.hostname or port == 0:
        raise ValueError("has no host or no port; write scheme://host:port")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(
            "holds more than scheme://user:password@host:port; quote what is special (%23 for #)"
        )
    if parts.username or parts.password:
        credentials = Credentials(unquote(parts.username or ""), unquote(parts.password or ""))
    if credentials is not None:
        _check(kind, credentials)
    return Hop(kind, parts.hostname, port or _PORTS.get(kind, _SOCKS_PORT), credentials)


def _check(kind: Kind, credentials: Credentials) -> None:
    """What the proxy's protocol can't carry would reach it as something else."""
    username, password = credentials.username, credentials.password
    try:
        sizes_bytes = len(username.encode()), len(password.encode())
    except UnicodeEncodeError:
        raise ValueError("has a user name or password that is not UTF-8") from None
    if kind in {Kind.HTTP, Kind.HTTPS}:  # RFC 7617 section 2
        if ":" in username:
            raise ValueError("has a user name with a colon, which HTTP can't carry")
        if _CONTROL.search(username + password):
            raise ValueError("has a user name or password with a control character, which HTTP can't carry")
    elif kind in {Kind.SOCKS5, Kind.SOCKS5H}:  # RFC 1929: lengths are single bytes, a name has at least one
        if not username or max(sizes_bytes) > 255:
            raise ValueError("has a user name that is empty, or one or a password of more than 255 bytes")
    elif "\0" in username:  # SOCKS4 ends the name with it. It has no passwords: one is not sent.
        raise ValueError("has a user name with a NUL, which SOCKS4 can't carry")


def parse_origin(url: str) -> Origin:
    """The server of an http:// or https:// URL, which configuration has checked."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    return Origin(is_tls, parts.hostname or "", parts.port or (443 if is_tls else 80))
