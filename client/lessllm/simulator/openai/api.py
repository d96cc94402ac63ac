"""OpenAI's keys, errors and headers.

After https://developers.openai.com/api/docs/guides/error-codes, …/rate-limits and the API reference's
"Debugging requests"; the wording of validation errors is what the API was seen to answer.
"""

from collections.abc import Mapping
from typing import Any, Literal

from lessllm_shared.sse import format_event
from pydantic_core import ErrorDetails

from lessllm.simulator.models import Model
from lessllm.simulator.provider import Allowance, ApiError
from lessllm.simulator.wire import compact

_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using "
    "Bearer auth (i.e. Authorization: Bearer YOUR_KEY). You can obtain an API key from "
    "https://platform.openai.com/account/api-keys."
)
_NOT_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
    "library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
)
_QUOTA = "You exceeded your current quota, please check your plan and billing details."


class OpenAI:
    """Provider of chat completions, completions, responses and embeddings."""

    name: Literal["openai"] = "openai"
    max_request_bytes = 64 * 1024 * 1024  # undocumented; large images fit

    def key(self, headers: Mapping[str, str]) -> str:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise ApiError(401, _NO_KEY)
        return key.strip()

    def wrong_key(self, key: str) -> ApiError:
        shown = f"{key[:3]}{'*' * 8}{key[-4:]}" if len(key) > 8 else "*" * len(key)
        message = (
            f"Incorrect API key provided: {shown}. "
            "You can find your API key at https://platform.openai.com/account/api-keys."
        )
        return ApiError(401, message, code="invalid_api_key")

    def failure(self, status: int) -> ApiError:
        message, kind, code = _FAILURES.get(status, (f"Error {status}.", "invalid_request_error", None))
        retry_after_s = 1 if status in {429, 503} else None
        return ApiError(status, message, kind=kind, code=code, retry_after_s=retry_after_s)

    def invalid(self, detail: ErrorDetails) -> ApiError:
        return _invalid(detail)

    def error_body(self, error: ApiError, request_id: str) -> dict[str, Any]:
        del request_id
        return error_json(error)

    def unknown_model(self, name: str) -> ApiError:
        message = f"The model `{name}` does not exist or you do not have access to it."
        return ApiError(404, message, code="model_not_found")

    def describe(self, name: str, model: Model) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": model.released_unix_s, "owned_by": "openai"}

    def list_models(self, models: list[dict[str, Any]]) -> dict[str, Any]:
        return {"object": "list", "data": models}

    def request_id(self, token: str) -> str:
        return f"req_{token}"

    def headers(self, request_id: str, processing_ms: int, allowance: Allowance) -> dict[str, str]:
        tokens_limit = allowance.limit * 1000
        return {
            "x-request-id": request_id,
            "openai-organization": "simulated",
            "openai-processing-ms": str(processing_ms),
            "openai-version": "2020-10-01",
            "x-ratelimit-limit-requests": str(allowance.limit),
            "x-ratelimit-limit-tokens": str(tokens_limit),
            "x-ratelimit-remaining-requests": str(allowance.remaining),
            "x-ratelimit-remaining-tokens": str(tokens_limit),
            "x-ratelimit-reset-requests": f"{allowance.reset_s}s",
            "x-ratelimit-reset-tokens": "0s",
        }


def error_json(error: ApiError) -> dict[str, Any]:
    kind = error.kind or "invalid_request_error"
    return {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}}


def stream_error(error: ApiError, request_id: str, position: int) -> bytes:
    """An error in a stream of chunks."""
    del request_id, position
    return format_event(compact(error_json(error)))


def path_of(location: tuple[int | str, ...]) -> str:
    """messages[0].content[1].text, from pydantic's location.

    Lists of objects are unions tagged by role or type, whose tag follows the index: it is left out.
    """
    path = ""
    after_index = False
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not after_index:
            path += f".{part}" if path else part
        after_index = isinstance(part, int)
    return path


def _invalid(detail: ErrorDetails) -> ApiError:
    kind = detail["type"]
    context = detail.get("ctx", {})
    path = path_of(detail["loc"])
    if kind in {"json_invalid", "model_type"} and not path:
        return ApiError(400, _NOT_JSON)
    if kind == "union_tag_not_found":
        path = f"{path}.{context['discriminator'].strip(chr(39))}"
    message, code = _wording(detail, path)
    return ApiError(400, message, param=path, code=code)


def _wording(detail: ErrorDetails, path: str) -> tuple[str, str]:
    """The message and its code."""
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind in {"missing", "union_tag_not_found"}:
        return f"Missing required parameter: '{path}'.", "missing_required_parameter"
    if kind == "extra_forbidden":
        return f"Unknown parameter: '{path}'.", "unknown_parameter"
    if kind in {"literal_error", "union_tag_invalid"}:
        value = context.get("tag", given)
        expected = context.get("expected_tags") or context.get("expected")
        return f"Invalid value: '{value}'. Supported values are: {expected}.", "invalid_value"
    if kind.endswith("_type"):
        expected = _TYPES.get(kind.removesuffix("_type"), "a different type")
        shown = _GIVEN.get(type(given), "an object")
        return f"Invalid type for '{path}': expected {expected}, but got {shown} instead.", "invalid_type"
    return f"Invalid '{path}': {detail['msg']}.", "invalid_value"


_TYPES = {
    "string": "a string",
    "int": "an integer",
    "float": "a decimal",
    "bool": "a boolean",
    "list": "an array of objects",
    "dict": "an object",
    "model": "an object",
    "model_attributes": "an object",
}
_GIVEN = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    type(None): "null",
}
_FAILURES: dict[int, tuple[str, str, str | None]] = {
    400: ("Invalid request.", "invalid_request_error", None),
    401: (_NO_KEY, "invalid_request_error", None),
    402: (_QUOTA, "insufficient_quota", "insufficient_quota"),
    403: (
        "Country, region, or territory not supported.",
        "request_forbidden",
        "unsupported_country_region_territory",
    ),
    404: ("Invalid URL", "invalid_request_error", None),
    413: ("Request body too large.", "invalid_request_error", None),
    429: (
        "Rate limit reached for requests per min (RPM). Please try again in 1s.",
        "requests",
        "rate_limit_exceeded",
    ),
    500: ("The server had an error while processing your request. Sorry about that!", "server_error", None),
    503: ("The engine is currently overloaded, please try again later.", "server_error", None),
}
