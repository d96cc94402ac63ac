"""Anthropic's keys, errors and headers.

After https://platform.claude.com/docs/en/api/errors, …/rate-limits and …/versioning.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from lessllm_shared.sse import format_event
from pydantic_core import ErrorDetails

from lessllm.simulator.models import Model
from lessllm.simulator.provider import Allowance, ApiError
from lessllm.simulator.wire import compact


class Anthropic:
    """Provider of messages."""

    name: Literal["anthropic"] = "anthropic"
    max_request_bytes = 32 * 1024 * 1024

    def key(self, headers: Mapping[str, str]) -> str:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key = headers.get("x-api-key") or (token if scheme.lower() == "bearer" else "")
        if not key.strip():
            raise ApiError(401, "x-api-key header is required")
        if "anthropic-version" not in headers:
            raise ApiError(400, "anthropic-version: header is required")
        return key.strip()

    def wrong_key(self, key: str) -> ApiError:
        del key
        return ApiError(401, "invalid x-api-key")

    def failure(self, status: int) -> ApiError:
        message = _MESSAGES.get(status, f"Error {status}")
        return ApiError(status, message, retry_after_s=1 if status in {429, 529} else None)

    def invalid(self, detail: ErrorDetails) -> ApiError:
        if detail["type"] == "json_invalid":
            reason = detail.get("ctx", {}).get("error", "")
            return ApiError(400, f"The request body is not valid JSON: {reason}")
        path = ".".join(map(str, detail["loc"]))
        return ApiError(400, f"{path}: {detail['msg']}" if path else detail["msg"])

    def error_body(self, error: ApiError, request_id: str) -> dict[str, Any]:
        return _error_json(error, request_id)

    def unknown_model(self, name: str) -> ApiError:
        return ApiError(404, f"model: {name}")

    def describe(self, name: str, model: Model) -> dict[str, Any]:
        return {
            "type": "model",
            "id": name,
            "display_name": model.entry.display_name or name,
            "created_at": f"{model.entry.released}T00:00:00Z",
            "lifecycle": "active",
            "max_input_tokens": model.entry.context_tokens,
            "max_tokens": model.entry.max_output_tokens,
        }

    def list_models(self, models: list[dict[str, Any]]) -> dict[str, Any]:
        return {"data": models, "has_more": False, "first_id": models[0]["id"], "last_id": models[-1]["id"]}

    def request_id(self, token: str) -> str:
        return f"req_011C{token[:20]}"

    def headers(self, request_id: str, processing_ms: int, allowance: Allowance) -> dict[str, str]:
        del processing_ms
        reset = datetime.fromtimestamp(allowance.reset_unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        headers = {
            "request-id": request_id,
            "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
            "anthropic-ratelimit-requests-limit": str(allowance.limit),
            "anthropic-ratelimit-requests-remaining": str(allowance.remaining),
            "anthropic-ratelimit-requests-reset": reset,
        }
        for counted in ("tokens", "input-tokens", "output-tokens"):
            headers[f"anthropic-ratelimit-{counted}-limit"] = str(allowance.limit * 1000)
            headers[f"anthropic-ratelimit-{counted}-remaining"] = str(allowance.limit * 1000)
            headers[f"anthropic-ratelimit-{counted}-reset"] = reset
        return headers


def stream_error(error: ApiError, request_id: str, position: int) -> bytes:
    """An error in the middle of a message."""
    del position
    return format_event(compact(_error_json(error, request_id)), "error")


def _error_json(error: ApiError, request_id: str) -> dict[str, Any]:
    kind = error.kind or _TYPES.get(error.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": error.message}, "request_id": request_id}


_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_MESSAGES = {
    400: "Invalid request",
    401: "invalid x-api-key",
    402: "Your credit balance is too low to access the Anthropic API.",
    403: "Your API key does not have permission to use the specified resource.",
    404: "Not Found",
    413: "Request exceeds the maximum size",
    429: "This request would exceed your organization's rate limit of requests per minute.",
    500: "Internal server error",
    504: "Request timed out",
    529: "Overloaded",
}
