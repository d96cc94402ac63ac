"""A recorded call → the request that its client sent, fit to be sent again; and changes to it.

The collector gives bodies as they came, so that what is sent again is the same byte for byte, unless the
model or streaming is changed. What the record holds of credentials are fingerprints: they are left out.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from lessllm_shared.record import ApiFormat

from lessllm.errors import LessLLMError

# Where models are found by name, whatever their provider; only these formats cross.
ENDPOINTS: Mapping[str, str] = {
    ApiFormat.CHAT: "/v1/chat/completions",
    ApiFormat.COMPLETIONS: "/v1/completions",
    ApiFormat.EMBEDDINGS: "/v1/embeddings",
    ApiFormat.RESPONSES: "/v1/responses",
    ApiFormat.MESSAGES: "/v1/messages",
}
_INFERENCE = {*ENDPOINTS, ApiFormat.GEMINI}
_STREAMED = {*ENDPOINTS} - {ApiFormat.EMBEDDINGS}
# Between the client and the gateway, of that one connection, or what makes a provider give its old answer.
_NOT_SENT_AGAIN = re.compile(
    r"host|content-length|accept-encoding|connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect"
    r"|via|forwarded|x-forwarded-.*|x-real-ip|proxy-.*|origin|referer|sec-.*|x-lessllm-.*|idempotency-key"
)
_FINGERPRINT = re.compile(r"fp_[0-9a-f]{16}")


class NotRepeatableError(LessLLMError):
    """A recorded call can't be sent again. The message says why."""


@dataclass(frozen=True)
class Request:
    """What is sent. `replay_of`: the id of the recorded call that it repeats."""

    api_format: str
    path: str
    body: bytes
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    replay_of: str | None = None

    def changed(self, *, model: str | None = None, stream: bool | None = None) -> "Request":
        """The same of another model, streamed or not; None: as it was. Raises NotRepeatableError."""
        if model is None and stream is None:
            return self
        body, path = self.fields(), self.path
        if model is not None:
            if self.api_format not in ENDPOINTS:
                raise NotRepeatableError(f"{self.path}: models can't be changed at this endpoint")
            body["model"], path = model, ENDPOINTS[self.api_format]
        if stream is not None and self.api_format in _STREAMED:
            body["stream"] = stream
            if not stream:
                body.pop("stream_options", None)  # refused where there is no stream
        return self.with_fields(body, path)

    def fields(self) -> dict[str, Any]:
        """The body. Raises NotRepeatableError."""
        try:
            fields = json.loads(self.body)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise NotRepeatableError(
                f"{self.replay_of or self.path}: the request's body is not a JSON object"
            )
        return fields

    def with_fields(self, fields: Mapping[str, Any], path: str | None = None) -> "Request":
        return replace(self, body=json.dumps(fields).encode(), path=path or self.path)


def recorded_request(content: bytes, *, any_endpoint: bool = False) -> Request:
    """The request of a call as GET /calls/{id} gives it. Raises NotRepeatableError.

    `any_endpoint`: also where something may be changed by it, such as a file uploaded or a job started.
    """
    parts: dict[str, msgspec.Raw] = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    call = {name: json.loads(bytes(part)) for name, part in parts.items() if name in _READ}
    request_id, api_format = call["request_id"], call["api_format"]
    what = f"{call['method']} {call['endpoint']}"
    if api_format not in _INFERENCE and not any_endpoint:
        raise NotRepeatableError(
            f"{request_id}: {what} does more than run a model, and might change something:"
            " --any-endpoint sends it again nevertheless"
        )
    if call["request_truncated"]:
        raise NotRepeatableError(f"{request_id}: the request's body was cut when it was recorded")
    request = Request(
        api_format,
        _without_credentials(call["endpoint"]),
        _body(bytes(parts["request_body"])),
        call["method"],
        {name: value for name, value in call["request_headers"] or [] if _is_sent_again(name, value)},
        request_id,
    )
    if not request.body and call["request_body_bytes"]:
        raise NotRepeatableError(
            f"{request_id}: the request's body was not kept (logging.bodies, logging.retention.bodies)"
        )
    if request.body or not any_endpoint:
        request.fields()  # is an object, or this is refused
    return request


def _body(part: bytes) -> bytes:
    """JSON stands in the collector's answer as it came. What it does not take for JSON comes as text."""
    if not part.startswith((b'"', b"null")):
        return part
    text = json.loads(part)
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else b""


def _without_credentials(endpoint: str) -> str:
    path, mark, query = endpoint.partition("?")
    kept = [part for part in query.split("&") if not _FINGERPRINT.fullmatch(part.partition("=")[2])]
    return path + (mark + "&".join(kept) if any(kept) else "")


def _is_sent_again(name: str, value: str) -> bool:
    return not _NOT_SENT_AGAIN.fullmatch(name.lower()) and not _FINGERPRINT.fullmatch(value)


_READ = {
    *("request_id", "method", "endpoint", "api_format", "request_headers"),
    *("request_truncated", "request_body_bytes"),
}
