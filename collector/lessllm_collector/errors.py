"""What the HTTP API refuses: raised where it is noticed, made an answer of here, all in one form.

{"error": {"code": …, "message": …}}: the code is for programs, the message for people.
"""

from collections.abc import Mapping

import duckdb
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from lessllm_collector.faults import is_full, reason
from lessllm_collector.store import StoreError

_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """A request that ends with an error of ours."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def install_errors(app: FastAPI) -> None:
    """Every error of the app becomes an answer of that form."""
    for kind in (Refusal, StoreError, duckdb.Error, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _answer)


async def _answer(request: Request, error: Exception) -> JSONResponse:
    del request
    status, code, message, headers = described(error)
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


def described(error: Exception) -> tuple[int, str, str, Mapping[str, str] | None]:
    """Status, code, message and headers of the answer. A database's defect is raised as it is."""
    headers: Mapping[str, str] | None = None
    match error:
        case Refusal():
            status, code, message = error.status, error.code, error.message
            headers = {"www-authenticate": "Bearer"} if status == 401 else None
        case StoreError():
            status, code, message = 503, "database_unavailable", str(error)
        case duckdb.Error() if is_full(error):
            status, code, message = 507, "disk_full", reason(error)
        case duckdb.Error():
            raise error  # as any other defect
        case RequestValidationError():
            first = error.errors()[0]
            status, code, message = 422, "invalid_parameter", f"{first['loc'][-1]}: {first['msg']}"
        case HTTPException():
            status, code = error.status_code, _HTTP_CODES.get(error.status_code, "http_error")
            message, headers = f"{error.detail}: /docs shows what there is", error.headers
        case _:  # the server logs it whole
            status, code, message = (
                500,
                "internal_error",
                f"a defect of the collector: {type(error).__name__}",
            )
    return status, code, message, headers
