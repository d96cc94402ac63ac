"""What went wrong on the way to an upstream, as a Rejection: which hop failed, and what to do.

One table from exceptions to codes. Messages are our own words: an exception's text may hold a URL with
credentials.
"""

from collections.abc import Mapping

import httpx
from lessllm_shared.record import Attempt, EndReason
from lessllm_shared.sse import EventTooLargeError
from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError

from lessllm_gateway.errors import Rejection
from lessllm_gateway.outbound import DIRECT


def failure(error: Exception, attempt: Attempt, marks: Mapping[str, int], *, is_sending: bool) -> Rejection:
    """The Rejection for an exception of the transport; `attempt.phase` is set to how far it came.

    `is_sending`: it was the client that was waited for. Raises the exception if it is none of these.
    """
    if isinstance(error, TimeoutError) and is_sending:
        text = "the client did not read its answer within timeouts.total_s"
        return Rejection(408, "client_stalled", text, EndReason.CLIENT_CANCELLED)
    if attempt.phase == "connect" and "http11.send_request_headers.started" in marks:
        attempt.phase = "wait"
    where = f"{attempt.provider} by way of {attempt.route}" if attempt.route != DIRECT else attempt.provider
    for kinds, describe in _TABLE:
        if isinstance(error, kinds):
            status, code, text, end_reason = describe(attempt)
            return Rejection(status, code, f"{where}: {text}", end_reason)
    raise error


_Described = tuple[int, str, str, EndReason]


def _proxy_unreachable(attempt: Attempt) -> _Described:
    return (
        502,
        "proxy_unreachable",
        f"the proxy {attempt.route} can't be reached: is it up?",
        EndReason.PROXY_ERROR,
    )


def _proxy_timeout(attempt: Attempt) -> _Described:
    return 504, "proxy_timeout", f"the proxy {attempt.route} did not answer in time", EndReason.PROXY_ERROR


def _proxy_refused(attempt: Attempt) -> _Described:
    text = f"the proxy {attempt.route} refused: check its user name and password, and what it allows"
    return 502, "proxy_error", text, EndReason.PROXY_ERROR


def _connect_timeout(attempt: Attempt) -> _Described:
    if attempt.route != DIRECT:
        return _proxy_timeout(attempt)
    text = "no connection within timeouts.connect_s: is a proxy needed?"
    return 504, "connect_timeout", text, EndReason.CONNECT_ERROR


def _connect_error(attempt: Attempt) -> _Described:
    if attempt.route != DIRECT:
        return _proxy_unreachable(attempt)
    text = (
        "no connection: the name does not resolve, nothing listens there, or its certificate is not trusted"
    )
    return 502, "upstream_unreachable", text, EndReason.CONNECT_ERROR


def _pool_full(attempt: Attempt) -> _Described:
    del attempt
    return 503, "pool_exhausted", "all pool.max_connections are in use", EndReason.CONNECT_ERROR


def _timeout(attempt: Attempt) -> _Described:
    first = "idle_s" if attempt.phase == "receive" else "first_byte_s"
    limit = f"timeouts.{first} or timeouts.total_s"
    text = f"the upstream did not go on within {limit}"
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
    ((ProxyConnectionError,), _proxy_unreachable),
    ((ProxyTimeoutError,), _proxy_timeout),
    ((ProxyError, httpx.ProxyError), _proxy_refused),
    ((httpx.PoolTimeout,), _pool_full),
    ((httpx.ConnectTimeout,), _connect_timeout),
    ((httpx.ConnectError,), _connect_error),
    ((TimeoutError, httpx.TimeoutException), _timeout),
    ((httpx.TransportError,), _broken),
)
