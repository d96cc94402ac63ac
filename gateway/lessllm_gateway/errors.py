"""Errors of our own, in the format of the API that was called.

A `Rejection` is raised anywhere on a call's path before the answer began and turned into bytes once, in
`proxy`. Its message names stage, route and remedy, never a credential.
"""

import msgspec
from lessllm_shared.record import ApiFormat, EndReason

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
}
_ANTHROPIC = {ApiFormat.MESSAGES, ApiFormat.COUNT_TOKENS}


class Rejection(Exception):  # noqa: N818 - an answer, not a fault
    """A call that ends with an answer of ours."""

    def __init__(
        self, status: int, code: str, message: str, end_reason: EndReason = EndReason.REJECTED
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.end_reason = end_reason


def error_body(api_format: ApiFormat, rejection: Rejection) -> bytes:
    """The error as the SDKs of that API expect it."""
    kind = _TYPES.get(rejection.status, "api_error")
    if api_format in _ANTHROPIC:
        body: dict[str, object] = {
            "type": "error",
            "error": {"type": kind, "message": rejection.message, "code": rejection.code},
        }
    elif api_format is ApiFormat.GEMINI:
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
