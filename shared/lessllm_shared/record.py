"""CallRecord: one call as the gateway saw it: raw bytes, clock marks, who and where.

It holds observations only; the collector derives tokens, timing, cost and cache from it, so a wrong
figure can be worked out again later. It must never hold a credential: headers and URLs are cut to
fingerprints before a record is built (lessllm_gateway.credentials).

All `*_ns` marks are monotonic nanoseconds since t0, the moment at which the client's request headers
were parsed; only `t0_unix_ns` is wall-clock time. None means "did not happen" or "not known".
Fields are only ever added, each with a default: an older reader skips what it does not know.
"""

import os
import time
from enum import StrEnum

import msgspec

Headers = list[tuple[str, str]]


class ApiFormat(StrEnum):
    """The shape of a request and its answer. `other` is relayed and recorded, not interpreted."""

    CHAT = "openai-chat"
    COMPLETIONS = "openai-completions"
    EMBEDDINGS = "openai-embeddings"
    RESPONSES = "openai-responses"
    MESSAGES = "anthropic-messages"
    COUNT_TOKENS = "anthropic-count-tokens"
    GEMINI = "gemini"
    GEMINI_COUNT_TOKENS = "gemini-count-tokens"
    OTHER = "other"


class EndReason(StrEnum):
    """How a call ended."""

    COMPLETE = "complete"
    TRUNCATED = "truncated"  # the upstream closed before the end of the answer
    CLIENT_CANCELLED = "client_cancelled"
    UPSTREAM_ERROR = "upstream_error"  # a 4xx or 5xx, or an error inside a stream
    UPSTREAM_TIMEOUT = "upstream_timeout"
    CONNECT_ERROR = "connect_error"
    PROXY_ERROR = "proxy_error"
    REJECTED = "rejected"  # by us: authentication, bad request, no route
    GATEWAY_ERROR = "gateway_error"  # a defect of ours


class Attempt(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One try at reaching an upstream. `route` names the way without credentials: `direct`, `socks5://host:port`."""

    provider: str
    upstream_model: str | None = None
    url: str
    route: str
    start_ns: int
    end_ns: int | None = None
    # How far it came: pool, dns, connect, proxy_handshake, tls, send, wait, receive, done.
    phase: str = "pool"
    status_code: int | None = None
    error_code: str | None = None
    error_message: str | None = None


class NetworkMarks(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Durations of the connection phases of the attempt that answered, in nanoseconds.

    None where a phase did not happen (a reused connection connects nothing) or can't be seen
    (names resolved by a proxy).
    """

    pool_wait_ns: int | None = None
    dns_ns: int | None = None
    tcp_connect_ns: int | None = None
    proxy_handshake_ns: int | None = None
    tls_ns: int | None = None
    connection_reused: bool | None = None
    remote_dns: bool | None = None
    round_trip_ns: int | None = None  # measured when the connection was opened


class CallRecord(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One call, complete."""

    request_id: str
    t0_unix_ns: int
    end_reason: EndReason

    # who
    user_id: str | None = None
    client_key: str | None = None  # the configured name of the client's key
    session_id: str | None = None
    tags: dict[str, str] = {}
    client_ip: str | None = None
    key_fingerprint: str | None = None  # of the credential that went upstream

    # what was asked
    method: str = "POST"
    endpoint: str = ""  # the path that the client called, credentials cut out of its query
    api_format: ApiFormat = ApiFormat.OTHER
    model: str | None = None  # as the client asked
    streaming: bool = False  # as the client asked
    request_headers: Headers = []
    request_body: bytes = b""  # as the client sent it
    request_body_bytes: int = 0  # its full size; larger than len(request_body) when it was cut

    # sensitive data: what the client's configuration says, and what the gateway found where that made it look
    sensitive_policy: str | None = None
    sensitive_findings: dict[str, int] | None = None

    # where it went
    provider: str | None = None
    upstream_format: ApiFormat | None = None
    upstream_model: str | None = None
    upstream_url: str | None = None
    upstream_streaming: bool = False  # differs from `streaming` when a plain call was streamed to measure it
    usage_requested: bool = False  # stream_options.include_usage was added by the gateway
    upstream_request_body: bytes | None = None  # only when it was translated
    route: str | None = None
    attempts: list[Attempt] = []

    # what came back
    status_code: int | None = None  # as the client saw it
    response_headers: Headers = []  # the upstream's
    response_body: bytes = b""  # the upstream's bytes, still content-encoded
    response_body_bytes: int = 0
    client_response_body: bytes | None = None  # what the client got, only when it was translated
    error_code: str | None = None
    error_message: str | None = None

    # when
    request_received_ns: int | None = None  # the client's body was read whole
    upstream_start_ns: int | None = None  # the first byte of the answering attempt's request was sent
    upstream_sent_ns: int | None = None  # its last byte was sent
    upstream_headers_ns: int | None = None  # the upstream's response headers arrived
    upstream_end_ns: int | None = None  # the upstream's last byte arrived
    end_ns: int = 0  # the last byte was handed to the client's socket
    read_ns: list[int] = []  # one mark per network read of the response body …
    read_bytes: list[int] = []  # … and how many bytes that read brought
    client_blocked_ns: int = 0  # time in which a slow reader held us up
    prior_attempts_ns: int = 0  # time spent on attempts that failed
    network: NetworkMarks = msgspec.field(default_factory=NetworkMarks)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(CallRecord)


def encode(record: CallRecord) -> bytes:
    """The record as msgpack, a map of its non-default fields."""
    return _encoder.encode(record)


def decode(data: bytes) -> CallRecord:
    """The record in `data`. Raises msgspec.DecodeError (a ValueError) on anything else."""
    try:
        return _decoder.decode(data)
    except RecursionError:
        raise msgspec.DecodeError("nested too deeply") from None


_RANDOM = (1 << 76) - 1 & ~(0b11 << 62)
_VERSION_AND_VARIANT = 0x7 << 76 | 0b10 << 62


def new_request_id(unix_ns: int | None = None) -> str:
    """A UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then random, so that ids sort by time."""
    unix_ms = (time.time_ns() if unix_ns is None else unix_ns) // 1_000_000
    text = f"{unix_ms << 80 | _VERSION_AND_VARIANT | int.from_bytes(os.urandom(10)) & _RANDOM:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
