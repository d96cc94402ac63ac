"""Which headers cross, in both directions. Names leave in lower case. Pure."""

from lessllm_gateway.credentials import RawHeaders
from lessllm_gateway.header_names import KNOWN
from lessllm_gateway.routing import Target


def to_upstream(headers: RawHeaders, target: Target, accept_encoding: bytes, body_bytes: int) -> RawHeaders:
    """The client's headers less what is between it and us, with the key that the target wants."""
    kept = []
    hops = b""
    has_body = body_bytes > 0
    for raw, value in headers:
        name = KNOWN[raw]
        if name.goes_up:
            if target.passes_credentials or not name.is_credential:
                kept.append((name.lower, value))
        elif name.lower == b"content-length":
            has_body = True
        elif name.lower == b"connection":
            hops += b"," + value
    kept = [(b"host", target.origin.partition("://")[2].encode()), *_without(hops, kept)]
    if accept_encoding:
        kept.append((b"accept-encoding", accept_encoding))
    if has_body:
        kept.append((b"content-length", b"%d" % body_bytes))
    if target.key is not None:
        header = target.upstream.key_header
        kept.append(
            (header.encode(), (f"Bearer {target.key}" if header == "authorization" else target.key).encode())
        )
    return kept


def to_client(headers: RawHeaders, request_id: str, server_timing: bytes) -> RawHeaders:
    """The upstream's headers less what is between it and us; its own Server-Timing stands beside ours."""
    kept = []
    hops = b""
    for raw, value in headers:
        name = KNOWN[raw]
        if name.comes_down:
            kept.append((name.lower, value))
        elif name.lower == b"connection":
            hops += b"," + value
    kept = _without(hops, kept)
    kept.append((b"x-lessllm-request-id", request_id.encode()))
    kept.append((b"server-timing", server_timing))
    return kept


def _without(hops: bytes, headers: RawHeaders) -> RawHeaders:
    """Less those that a Connection header says are for one hop only."""
    if hops in _NO_NAMES:
        return headers
    named = {token.strip().lower() for token in hops.split(b",")}
    return [header for header in headers if header[0] not in named]


_NO_NAMES = frozenset((b"", b",keep-alive", b",close", b",Keep-Alive", b",Close"))
