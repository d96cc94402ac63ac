"""Whose key: found in a request, looked up, and cut to a fingerprint before anything is recorded.

Nothing that leaves this module for a record, a log or an error holds a credential.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from lessllm_shared.config.sections import Key
from lessllm_shared.record import Headers

from lessllm_gateway.errors import Rejection
from lessllm_gateway.header_names import CLIENT_KEY_HEADER, KEY_HEADERS, known
from lessllm_gateway.keys.ring import KeyRing

RawHeaders = list[tuple[bytes, bytes]]

_SECRET_PARAMETERS = frozenset({"key", "api_key", "api-key", "access_token", "token"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and the provider's key that came along: never a key of the gateway's own."""

    key: Key | None  # the configured client key
    provider_key: str | None

    @property
    def name(self) -> str | None:
        """The client key's."""
        return self.key.name if self.key else None


def fingerprint(secret: str) -> str:
    """64 bits of SHA-256: tells keys apart, and an API key can't be found from it."""
    return "fp_" + hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def authenticate(ring: KeyRing, headers: RawHeaders, query: str) -> Caller:
    """Who calls, by the client keys; anybody may if none is asked for. Raises Rejection.

    A client shows its key in x-lessllm-key, or else where its SDK puts the provider's.
    """
    shown = _shown_key(headers, query)
    if not ring.asks:
        return Caller(None, shown)
    own = next(
        (value.decode("latin-1").strip() for name, value in headers if name == CLIENT_KEY_HEADER), None
    )
    key = ring.find(shown or "" if own is None else own)
    if key is None:
        raise Rejection(
            401,
            "invalid_client_key",
            "this gateway asks for one of its own keys, as the SDK's api_key or in x-lessllm-key",
        )
    is_provider_key = own is not None and shown is not None and ring.find(shown) is None
    return Caller(key, shown if is_provider_key else None)


def _shown_key(headers: RawHeaders, query: str) -> str | None:
    """The key that a client sent, wherever its SDK puts it."""
    for name, value in headers:
        if name in KEY_HEADERS:
            key = value.decode("latin-1").strip()
            if name == b"authorization" and key[:7].lower() == "bearer ":
                key = key[7:].strip()
            if key:
                return key
    return dict(parse_qsl(query)).get("key") if "key=" in query else None


def recordable_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers as text, with each credential cut to its fingerprint."""
    recorded = []
    for raw, value in headers:
        name, text = known(raw), value.decode("latin-1")
        if name.is_credential:
            text = fingerprint(text)
        elif name.holds_url:
            text = recordable_url(text)
        recorded.append((name.text, text))
    return recorded


def recordable_url(url: str) -> str:
    """A URL without user info, and with the credentials in its query cut to fingerprints."""
    beginning, mark, query = url.partition("?")
    scheme, slashes, rest = beginning.partition("//")
    authority, slash, path = rest.partition("/")
    address = scheme + slashes + authority.rpartition("@")[2] + slash + path if slashes else beginning
    return address + mark + recordable_query(query)


def recordable_query(query: str) -> str:
    """A query string with the credentials in it cut to fingerprints; the rest keeps its bytes."""
    return "&".join(_recordable_part(part) for part in query.split("&")) if query else query


def _recordable_part(part: str) -> str:
    name, equals, value = part.partition("=")
    if unquote(name).lower() not in _SECRET_PARAMETERS:
        return part
    return name + equals + fingerprint(unquote(value))


def without_key(query: str) -> str:
    """The query string less the parameters that carry credentials."""
    return "&".join(
        part
        for part in query.split("&")
        if part and unquote(part.partition("=")[0]).lower() not in _SECRET_PARAMETERS
    )
