"""Whose key: found in a request, compared, and cut to a fingerprint before anything is recorded.

Nothing that leaves this module for a record, a log or an error holds a credential.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from lessllm_shared.config.sections import Key
from lessllm_shared.record import Headers

from lessllm_gateway.errors import Rejection

RawHeaders = list[tuple[bytes, bytes]]

CLIENT_KEY_HEADER = b"x-lessllm-key"
# Where the official SDKs put their keys.
_KEY_HEADERS = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
_SECRET_HEADERS = frozenset(
    (*_KEY_HEADERS, CLIENT_KEY_HEADER, b"cookie", b"set-cookie", b"proxy-authorization")
)
_SECRET_PARAMETERS = frozenset({"key", "api_key", "api-key", "access_token", "token"})


@dataclass(frozen=True, slots=True)
class Credential:
    """A key as it came: `header` carried it (empty: the query string)."""

    header: bytes
    key: str


def fingerprint(secret: str) -> str:
    """64 bits of SHA-256: tells keys apart, and an API key can't be found from it."""
    return "fp_" + hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def find_credential(headers: RawHeaders, query: str) -> Credential | None:
    """The provider key that a client sent, wherever its SDK puts it."""
    for name, value in headers:
        if name in _KEY_HEADERS:
            key = value.decode("latin-1").strip()
            if name == b"authorization":
                key = key.removeprefix("Bearer ").strip()
            if key:
                return Credential(name, key)
    in_query = dict(parse_qsl(query)).get("key")
    return Credential(b"", in_query) if in_query else None


def authenticate(keys: Iterable[Key], headers: RawHeaders, query: str) -> Key | None:
    """The configured client key that a request shows; None if none are configured. Raises Rejection.

    Every configured key is compared, in constant time each, so that timing tells nothing.
    """
    keys = tuple(keys)
    if not keys:
        return None
    own = next((value.decode("latin-1") for name, value in headers if name == CLIENT_KEY_HEADER), None)
    if own is None:
        found = find_credential(headers, query)
        own = found.key if found else ""
    shown = own.strip().encode("latin-1", "replace")
    matches = [key for key in keys if hmac.compare_digest(key.key.get_secret_value().encode(), shown)]
    if not matches:
        raise Rejection(
            401,
            "invalid_client_key",
            "this gateway asks for one of its own keys, as the SDK's api_key or in x-lessllm-key",
        )
    return matches[0]


def is_credential(name: bytes) -> bool:
    """Whether a header (lower case) carries a credential."""
    return name in _SECRET_HEADERS


def recordable_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers as text, with each credential cut to its fingerprint."""
    return [
        (name.decode("latin-1"), fingerprint(text) if name.lower() in _SECRET_HEADERS else text)
        for name, text in ((name, value.decode("latin-1")) for name, value in headers)
    ]


def recordable_url(url: str) -> str:
    """A URL without user info, and with the credentials in its query cut to fingerprints."""
    parts = urlsplit(url)
    netloc = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=netloc, query=recordable_query(parts.query)))


def recordable_query(query: str) -> str:
    """A query string with the credentials in it cut to fingerprints."""
    if not any(name in query.lower() for name in _SECRET_PARAMETERS):
        return query
    return "&".join(
        f"{quote(name)}={fingerprint(value) if name.lower() in _SECRET_PARAMETERS else quote(value)}"
        for name, value in parse_qsl(query, keep_blank_values=True)
    )


def without_key(query: str) -> str:
    """The query string less Gemini's `key`."""
    return "&".join(part for part in query.split("&") if part and not part.startswith("key="))
