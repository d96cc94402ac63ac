"""What is known of a header by its name: whether it carries a credential, and whether it crosses.

Decided once for each name, since clients and providers send the same ones with every call.
"""

from dataclasses import dataclass

MAX_KEPT, MAX_KEPT_BYTES = 4096, 64  # names, and how long one of them may be: clients make them up

# Where the official SDKs put their keys.
KEY_HEADERS = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
CLIENT_KEY_HEADER = b"x-lessllm-key"

_SECRETS = frozenset((*KEY_HEADERS, CLIENT_KEY_HEADER, b"ocp-apim-subscription-key"))
_SECRET_ENDINGS = (b"-api-key", b"-authorization", b"-auth", b"-token", b"-secret", b"cookie", b"password")
_WITH_URLS = frozenset((b"location", b"content-location", b"referer", b"link"))


def _in_both_spellings(*names: bytes) -> frozenset[bytes]:
    """Some servers take an underscore for a hyphen."""
    return frozenset((*names, *(name.replace(b"-", b"_") for name in names)))


_HOP_BY_HOP = _in_both_spellings(
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
)
# Between client and gateway, or set anew for the upstream.
_NOT_FORWARDED = _in_both_spellings(
    b"host", b"content-length", b"expect", b"forwarded", b"via", b"x-real-ip", b"accept-encoding"
)


@dataclass(frozen=True, slots=True)
class HeaderName:
    """One spelling of a header's name."""

    text: str  # as it came
    lower: bytes
    is_credential: bool
    holds_url: bool
    goes_up: bool  # from client to upstream
    comes_down: bool  # from upstream to client


_kept: dict[bytes, HeaderName] = {}


def known(name: bytes) -> HeaderName:
    """What is known of it."""
    return _kept.get(name) or _learn(name)


def _learn(name: bytes) -> HeaderName:
    lower = name.lower()
    hyphened = lower.replace(b"_", b"-")
    crosses = lower not in _HOP_BY_HOP and not lower.startswith(b"x-lessllm-")
    found = HeaderName(
        text=name.decode("latin-1"),
        lower=lower,
        is_credential=hyphened in _SECRETS or hyphened.endswith(_SECRET_ENDINGS),
        holds_url=lower in _WITH_URLS,
        goes_up=crosses and lower not in _NOT_FORWARDED and not lower.startswith(b"x-forwarded-"),
        comes_down=crosses,
    )
    if len(name) <= MAX_KEPT_BYTES and len(_kept) < MAX_KEPT:
        _kept[name] = found
    return found
