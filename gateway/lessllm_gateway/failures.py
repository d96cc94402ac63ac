"""What went wrong on the way to an upstream, as a Rejection: which hop failed, and what to do.

One table from exceptions, and one from a dialer's codes. Messages are our own words: an exception's text
may hold a URL with credentials.
"""

import httpx
from lessllm_shared.record import Attempt, EndReason
from lessllm_shared.sse import EventTooLargeError

from lessllm_gateway.egress.dialer import DialError
from lessllm_gateway.egress.pool import PoolFull
from lessllm_gateway.errors import Rejection
from lessllm_gateway.outbound import DIRECT


def failure(error: Exception, attempt: Attempt, *, is_sending: bool) -> Rejection:
    """The Rejection for an exception of the transport; `attempt.phase` says how far it came.

    `is_sending`: it was the client that was waited for. Raises the exception if it is none of these.
    """
    if isinstance(error, TimeoutError) and is_sending:
        text = "the client did not read its answer within timeouts.total_s"
        return Rejection(408, "client_stalled", text, EndReason.CLIENT_CANCELLED)
    where = f"{attempt.provider} by way of {attempt.route}" if attempt.route != DIRECT else attempt.provider
    if isinstance(error, DialError):
        status, end_reason, remedy = _DIALLING[error.code]
        return Rejection(status, error.code, f"{where}: {error.text}{remedy}", end_reason)
    if isinstance(error, PoolFull):
        return Rejection(503, "pool_exhausted", f"{where}: {error}", EndReason.CONNECT_ERROR)
    for kinds, describe in _TABLE:
        if isinstance(error, kinds):
            status, code, text, end_reason = describe(attempt)
            return Rejection(status, code, f"{where}: {text}", end_reason)
    raise error


def remedy(error: DialError) -> str:
    """What to do; "" where its text says it."""
    return _DIALLING[error.code][2].removeprefix(": ")


_Described = tuple[int, str, str, EndReason]


def _timeout(attempt: Attempt) -> _Described:
    limit = "idle_s" if attempt.phase == "receive" else "first_byte_s"
    text = f"the upstream did not go on within timeouts.{limit} or timeouts.total_s"
    return 504, "upstream_timeout", text, EndReason.UPSTREAM_TIMEOUT


def _broken(attempt: Attempt) -> _Described:
    if attempt.phase == "receive":
        text = "the upstream's answer broke off"
        return 502, "upstream_truncated", text, EndReason.TRUNCATED
    text = "the upstream closed the connection or answered something that is not HTTP"
    return 502, "upstream_protocol_error", text, EndReason.UPSTREAM_ERROR


def _not_sent(attempt: Attempt) -> _Described:
    del attempt
    text = "the request's path or a header of it holds what HTTP does not allow"
    return 400, "invalid_request", text, EndReason.REJECTED


def _event_too_large(attempt: Attempt) -> _Described:
    del attempt
    text = "an event of the upstream's stream was too large"
    return 502, "upstream_invalid_answer", text, EndReason.UPSTREAM_ERROR


_TABLE = (
    ((EventTooLargeError,), _event_too_large),
    ((httpx.LocalProtocolError, httpx.UnsupportedProtocol), _not_sent),
    ((TimeoutError, httpx.TimeoutException), _timeout),
    ((httpx.TransportError,), _broken),
)
_DIALLING = {
    "proxy_unreachable": (502, EndReason.PROXY_ERROR, ": is it up, and its address right?"),
    "proxy_timeout": (504, EndReason.PROXY_ERROR, ": is it up, and can it reach the upstream?"),
    "proxy_auth_failed": (502, EndReason.PROXY_ERROR, ": check proxy.auth or the proxy's URL"),
    "proxy_refused_target": (502, EndReason.PROXY_ERROR, ": ask who runs it to allow this upstream"),
    "proxy_protocol_error": (502, EndReason.PROXY_ERROR, ": check the scheme and port of its URL"),
    "proxy_tls_failed": (502, EndReason.PROXY_ERROR, ""),
    "upstream_unreachable": (502, EndReason.CONNECT_ERROR, ""),
    "upstream_tls_failed": (502, EndReason.CONNECT_ERROR, ""),
    "connect_timeout": (504, EndReason.CONNECT_ERROR, ": is it up, or is another way to it needed?"),
}
