"""What is said to a proxy so that it opens a way to the upstream: CONNECT, SOCKS4(a), SOCKS5(h). Sans-I/O.

A handshake is a generator. It yields what is to be sent (bytes) or what it must read next (`Exactly`,
`Until`), and is sent what was read. It returns when the tunnel is open, and raises `Refused` when the proxy
says no or says something else. It never reads past the proxy's own words: what follows is the upstream's.

RFC 9110 section 9.3.6 (CONNECT), RFC 1928 and 1929 (SOCKS5), OpenSSH's socks4.protocol and socks4a.protocol.
"""

import ipaddress
import struct
from collections.abc import Generator
from dataclasses import dataclass

from lessllm_gateway.egress.hops import Hop, Kind, authority

MAX_REPLY_HEAD_BYTES = 64 * 1024  # of CONNECT: proxies add headers, some of them many


@dataclass(frozen=True, slots=True)
class Exactly:
    """Read this many bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class Until:
    """Read up to and including a delimiter, and not a byte further."""

    delimiter: bytes
    limit_bytes: int


Step = bytes | Exactly | Until
Handshake = Generator[Step, bytes, None]


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """The proxy did not open the way. `code` is that of the call's error, `text` says why."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def handshake(hop: Hop, host: str, port: int) -> Handshake:
    """For a tunnel to host:port. `host` is an address unless the proxy resolves names."""
    return _HANDSHAKES[hop.kind](hop, host, port)


def refusal(kind: Kind, reply: int) -> Refused:
    """What a proxy means by a status or a reply code that does not open the way."""
    if kind in {Kind.HTTP, Kind.HTTPS}:
        code, text = _CONNECT_REFUSALS.get(reply, _CONNECT_REFUSED)
        return Refused(code, f"{text} (it answered CONNECT with {reply})")
    table = _SOCKS4_REFUSALS if kind in {Kind.SOCKS4, Kind.SOCKS4A} else _SOCKS5_REFUSALS
    return Refused(*table.get(reply, ("proxy_protocol_error", f"it answered {reply}")))


def _connect(hop: Hop, host: str, port: int) -> Handshake:
    target = authority(_name(host).decode(), port).encode()
    lines = [b"CONNECT %b HTTP/1.1" % target, b"Host: %b" % target]
    if hop.credentials is not None:
        lines.append(b"Proxy-Authorization: " + hop.credentials.basic)
    yield b"\r\n".join((*lines, b"", b""))
    status = 100
    while 100 <= status < 200:
        head = yield Until(b"\r\n\r\n", MAX_REPLY_HEAD_BYTES)
        status = _status(head)
    if not 200 <= status < 300:
        raise refusal(hop.kind, status)


def _status(head: bytes) -> int:
    line = head.partition(b"\r\n")[0]
    version, _, rest = line.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit() or rest[3:4] not in {b"", b" "}:
        raise _not_understood("HTTP")
    return int(rest[:3])


def _socks4(hop: Hop, host: str, port: int) -> Handshake:
    user = hop.credentials.username.encode() if hop.credentials else b""
    try:
        address, name = ipaddress.IPv4Address(host).packed, b""
    except ValueError:
        if hop.kind is Kind.SOCKS4 or ":" in host:
            text = "SOCKS4 knows IPv4 addresses only; use socks5"
            raise Refused("proxy_refused_target", text) from None
        address, name = b"\0\0\0\1", _short_name(host) + b"\0"  # 4a: an address that can't be
    yield struct.pack("!BBH4s", 4, 1, port, address) + user + b"\0" + name
    version, reply = (yield Exactly(8))[:2]
    if version != 0:
        raise _not_understood("SOCKS4")
    if reply != 90:
        raise refusal(hop.kind, reply)


def _socks5(hop: Hop, host: str, port: int) -> Handshake:
    methods = b"\0" if hop.credentials is None else b"\0\2"
    yield bytes((5, len(methods))) + methods
    version, method = yield Exactly(2)
    if version != 5:
        raise _not_understood("SOCKS5")
    if method == 2 and hop.credentials is not None:
        user, password = hop.credentials.username.encode(), hop.credentials.password.encode()
        yield bytes((1, len(user))) + user + bytes((len(password),)) + password
        _, status = yield Exactly(2)
        if status != 0:
            raise Refused("proxy_auth_failed", "it does not accept the user name and password")
    elif method != 0:
        text = "it wants a user name and password, or a method of its own that is not supported"
        raise Refused("proxy_auth_failed", text)
    yield struct.pack("!BBB", 5, 1, 0) + _socks5_address(host) + struct.pack("!H", port)
    version, reply, _, kind = yield Exactly(4)
    if version != 5:
        raise _not_understood("SOCKS5")
    if reply != 0:
        raise refusal(hop.kind, reply)
    size = (yield Exactly(1))[0] if kind == 3 else _SOCKS5_ADDRESS_SIZES.get(kind)
    if size is None:
        raise _not_understood("SOCKS5")
    yield Exactly(size + 2)


def _socks5_address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = _short_name(host)
        return bytes((3, len(name))) + name
    return bytes((1 if address.version == 4 else 4,)) + address.packed


def _short_name(host: str) -> bytes:
    name = _name(host)
    if len(name) > 255:
        raise Refused("proxy_refused_target", "SOCKS has no room for a name this long")
    return name


def _name(host: str) -> bytes:
    try:
        return host.encode() if host.isascii() else host.encode("idna")
    except UnicodeError:
        raise Refused("upstream_unreachable", f"{host} can't be a name") from None


def _not_understood(protocol: str) -> Refused:
    return Refused("proxy_protocol_error", f"what it answered is not {protocol}: is it such a proxy?")


_HANDSHAKES = {
    Kind.HTTP: _connect,
    Kind.HTTPS: _connect,
    Kind.SOCKS4: _socks4,
    Kind.SOCKS4A: _socks4,
    Kind.SOCKS5: _socks5,
    Kind.SOCKS5H: _socks5,
}

_CONNECT_REFUSED = ("proxy_refused_target", "it refuses to open a way to the upstream")
_BEHIND = "upstream_unreachable"
_CONNECT_REFUSALS = {
    401: ("proxy_auth_failed", "it does not accept the user name and password"),  # tinyproxy
    407: ("proxy_auth_failed", "it wants another user name and password"),
    500: (_BEHIND, "it can't reach the upstream"),  # tinyproxy
    502: (_BEHIND, "it can't reach the upstream"),
    503: (_BEHIND, "it can't reach the upstream"),
    504: (_BEHIND, "the upstream did not answer it in time"),
}
_SOCKS4_REFUSALS = {
    91: (_BEHIND, "it refuses to open a way to the upstream, or can't reach it"),
    92: ("proxy_auth_failed", "it could not ask this machine's identd who we are"),
    93: ("proxy_auth_failed", "it does not accept the user name"),
}
_SOCKS5_REFUSALS = {
    1: (_BEHIND, "it failed, or can't reach the upstream"),
    2: ("proxy_refused_target", "its rules do not allow the upstream"),
    3: (_BEHIND, "it can't reach the upstream's network"),
    4: (_BEHIND, "it can't reach the upstream's host"),
    5: (_BEHIND, "the upstream refuses its connection"),
    6: (_BEHIND, "its way to the upstream is too long"),
    7: ("proxy_protocol_error", "it does not open ways to others"),
    8: ("proxy_refused_target", "it does not know this kind of address"),
}
_SOCKS5_ADDRESS_SIZES = {1: 4, 4: 16}
