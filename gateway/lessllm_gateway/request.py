"""What must be known of a request before it can go on: its endpoint, and four fields of its body.

Pure functions. The body is scanned, not built: msgspec skips what is not asked for, so a 100 KB prompt
costs a scan and no objects.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
from lessllm_shared.record import ApiFormat

from lessllm_gateway.errors import Rejection

# By the end of the path, the longest first; what is not here is relayed and not interpreted.
_FORMATS = (
    ("/messages/count_tokens", ApiFormat.COUNT_TOKENS),
    ("/chat/completions", ApiFormat.CHAT),
    ("/completions", ApiFormat.COMPLETIONS),
    ("/embeddings", ApiFormat.EMBEDDINGS),
    ("/responses", ApiFormat.RESPONSES),
    ("/messages", ApiFormat.MESSAGES),
    (":generateContent", ApiFormat.GEMINI),
    (":streamGenerateContent", ApiFormat.GEMINI),
)
# Of these the model is needed; a body that can't be read is refused.
_INTERPRETED = {
    ApiFormat.CHAT,
    ApiFormat.COMPLETIONS,
    ApiFormat.EMBEDDINGS,
    ApiFormat.RESPONSES,
    ApiFormat.MESSAGES,
    ApiFormat.COUNT_TOKENS,
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a path asks for: `provider` is set for /{provider}/*; `path` goes upstream."""

    api_format: ApiFormat
    provider: str | None
    path: str
    model: str | None = None  # Gemini names it in the path
    streaming: bool = False  # likewise


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Body(msgspec.Struct):
    model: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    user: Any = None
    metadata: Any = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The fields of a request's body that the gateway goes by."""

    model: str | None = None
    streaming: bool = False
    includes_usage: bool = False
    user: str | None = None


_decoder = msgspec.json.Decoder(_Body)


def find_endpoint(path: str, method: str, providers: frozenset[str]) -> Endpoint:
    """The endpoint at a raw (still percent-encoded) path. Raises Rejection."""
    segments = path.split("/")
    if any(segment.lower().replace("%2e", ".") in {".", ".."} for segment in segments):
        raise Rejection(400, "invalid_path", "the path must not hold dot segments")
    if segments[1] == "v1":
        provider, rest = None, path.removeprefix("/v1")
    elif segments[1] in providers:
        provider, rest = segments[1], path.removeprefix(f"/{segments[1]}")
    else:
        known = ", ".join(sorted(providers))
        raise Rejection(
            404,
            "unknown_provider",
            f"no endpoint at this path: call /v1/… or /{{provider}}/… with one of: {known}",
        )
    api_format = next((f for suffix, f in _FORMATS if method == "POST" and path.endswith(suffix)), None)
    if api_format is ApiFormat.GEMINI:
        model = segments[-1].rpartition(":")[0]
        return Endpoint(api_format, provider, rest, model, streaming=":stream" in segments[-1])
    return Endpoint(api_format or ApiFormat.OTHER, provider, rest)


def read_body(endpoint: Endpoint, content_type: str, body: bytes) -> Asked:
    """The fields that the gateway goes by. Raises Rejection where they must be readable and are not."""
    needed = endpoint.api_format in _INTERPRETED
    if not body or not (needed or "json" in content_type):
        if needed:
            raise Rejection(400, "invalid_json", "the request has no body; send a JSON object")
        return Asked(model=endpoint.model, streaming=endpoint.streaming)
    try:
        fields = _decoder.decode(body)
    except msgspec.ValidationError as error:
        if needed:
            raise Rejection(400, "invalid_request", f"the request body: {error}") from None
        return Asked(model=endpoint.model, streaming=endpoint.streaming)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if needed:
            raise Rejection(400, "invalid_json", f"the request body is not valid JSON: {error}") from None
        return Asked(model=endpoint.model, streaming=endpoint.streaming)
    if needed and not fields.model and endpoint.provider is None:
        raise Rejection(400, "missing_model", "the request names no model: set `model`")
    options = fields.stream_options
    return Asked(
        model=endpoint.model or fields.model,
        streaming=endpoint.streaming or bool(fields.stream),
        includes_usage=bool(options and options.include_usage),
        user=_user(fields),
    )


def _user(fields: _Body) -> str | None:
    if isinstance(fields.user, str) and fields.user:
        return fields.user
    if isinstance(fields.metadata, dict):
        user_id = fields.metadata.get("user_id")
        return user_id if isinstance(user_id, str) and user_id else None
    return None
