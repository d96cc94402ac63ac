"""Errors of our own, in the dialect of the API that was called.

A `Rejection` is raised anywhere on a call's path and turned into bytes once, in `proxy`. Its message
names stage, route and remedy, never a credential.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec
from lessllm_shared.record import EndReason

Dialect = Literal["openai", "anthropic", "gemini"]  # whose conventions a client expects

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
}


class Rejection(Exception):  # noqa: N818 - an answer, not a fault
    """A call that ends with an answer of ours."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        end_reason: EndReason = EndReason.REJECTED,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.end_reason = end_reason
        self.headers = list(headers)


def error_body(dialect: Dialect, rejection: Rejection) -> bytes:
    """The error as that API's SDKs expect it."""
    kind = _TYPES.get(rejection.status, "api_error")
    if dialect == "anthropic":
        body: dict[str, object] = {
            "type": "error",
            "error": {"type": kind, "message": rejection.message, "code": rejection.code},
        }
    elif dialect == "gemini":
        body = {
            "error": {
                "code": rejection.status,
                "message": rejection.message,
                "status": rejection.code.upper(),
            }
        }
    else:
        body = {"error": {"message": rejection.message, "type": kind, "param": None, "code": rejection.code}}
    return msgspec.json.encode(body)
