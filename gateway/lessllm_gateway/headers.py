"""Which headers cross, in both directions. Names leave in lower case. Pure."""

from lessllm_gateway.credentials import RawHeaders
from lessllm_gateway.header_names import known
from lessllm_gateway.routing import Target

_NOTHING: frozenset[bytes] = frozenset()


def to_upstream(headers: RawHeaders, target: Target, accept_encoding: bytes, body_bytes: int) -> RawHeaders:
    """The client's headers less what is between it and us, with the key that the target wants."""
    hops = _named_by_connection(headers)
    kept = [(b"host", target.origin.partition("://")[2].encode())]
    has_body = body_bytes > 0
    for raw, value in headers:
        name = known(raw)
        if name.goes_up:
            if (target.passes_credentials or not name.is_credential) and name.lower not in hops:
                kept.append((name.lower, value))
        elif name.lower == b"content-length":
            has_body = True
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
    hops = _named_by_connection(headers)
    kept = []
    for raw, value in headers:
        name = known(raw)
        if name.comes_down and name.lower not in hops:
            kept.append((name.lower, value))
    return [*kept, (b"x-lessllm-request-id", request_id.encode()), (b"server-timing", server_timing)]


def _named_by_connection(headers: RawHeaders) -> frozenset[bytes]:
    """What a Connection header says is for this hop only."""
    values = [value for name, value in headers if len(name) == 10 and name.lower() == b"connection"]
    if not values:
        return _NOTHING
    return frozenset(token.strip().lower() for value in values for token in value.split(b","))
