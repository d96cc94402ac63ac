"""Which headers cross, in both directions. Names leave in lower case. Pure."""

from lessllm_gateway.credentials import RawHeaders, is_credential
from lessllm_gateway.routing import Target


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


def to_upstream(headers: RawHeaders, target: Target, accept_encoding: bytes, body_bytes: int) -> RawHeaders:
    """The client's headers less what is between it and us, with the key that the target wants."""
    kept = [
        (name, value)
        for name, value in _end_to_end(headers)
        if name not in _NOT_FORWARDED
        and not name.startswith((b"x-lessllm-", b"x-forwarded-"))
        and (target.passes_credentials or not is_credential(name))
    ]
    if accept_encoding:
        kept.append((b"accept-encoding", accept_encoding))
    if body_bytes or any(name == b"content-length" for name, _ in headers):
        kept.append((b"content-length", b"%d" % body_bytes))
    if target.key is not None:
        name = target.upstream.key_header
        kept.append(
            (name.encode(), (f"Bearer {target.key}" if name == "authorization" else target.key).encode())
        )
    return [(b"host", target.origin.partition("://")[2].encode()), *kept]


def to_client(headers: RawHeaders, request_id: str, server_timing: bytes) -> RawHeaders:
    """The upstream's headers less what is between it and us; its own Server-Timing stands beside ours."""
    kept = [(name, value) for name, value in _end_to_end(headers) if not name.startswith(b"x-lessllm-")]
    return [*kept, (b"x-lessllm-request-id", request_id.encode()), (b"server-timing", server_timing)]


def _end_to_end(headers: RawHeaders) -> RawHeaders:
    lowered = [(name.lower(), value) for name, value in headers]
    named = {
        token.strip().lower()
        for name, value in lowered
        if name == b"connection"
        for token in value.split(b",")
    }
    return [(name, value) for name, value in lowered if name not in _HOP_BY_HOP and name not in named]
