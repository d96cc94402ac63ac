"""What must be known of a request before it can go on: its endpoint, and four fields of its body.

Pure functions. The body is scanned, not built: msgspec skips what is not asked for, so a 100 KB prompt
costs a scan and no objects.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec
from lessllm_shared.providers import WireFormat
from lessllm_shared.record import ApiFormat

from lessllm_gateway.errors import Dialect, Rejection

MAX_NAME_CHARS = 256  # of a model or a user: they are repeated in errors and columns

# By the end of the path, the longest first; what is not here is relayed and not interpreted.
_FORMATS = (
    ("/v1/messages/count_tokens", ApiFormat.COUNT_TOKENS),
    ("/chat/completions", ApiFormat.CHAT),
    ("/completions", ApiFormat.COMPLETIONS),
    ("/embeddings", ApiFormat.EMBEDDINGS),
    ("/responses", ApiFormat.RESPONSES),
    ("/v1/messages", ApiFormat.MESSAGES),  # not /threads/{id}/messages, which is no inference
    (":generateContent", ApiFormat.GEMINI),
    (":streamGenerateContent", ApiFormat.GEMINI),
    (":countTokens", ApiFormat.GEMINI_COUNT_TOKENS),
)
# Bodies of these must be readable JSON, and their model decides where they go.
INTERPRETED = {
    ApiFormat.CHAT,
    ApiFormat.COMPLETIONS,
    ApiFormat.EMBEDDINGS,
    ApiFormat.RESPONSES,
    ApiFormat.MESSAGES,
    ApiFormat.COUNT_TOKENS,
}
# An upstream may decode these before it looks for dot segments, and cut parameters (;…) off them.
_SEPARATORS = re.compile(r"/|\\|%2f|%5c")
_DOTS = re.compile(r"(?:\.|%2e){1,2}(?:(?:;|%3b).*)?")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a path asks for: `provider` is set for /{provider}/*; `path` goes upstream."""

    api_format: ApiFormat
    dialect: Dialect
    provider: str | None
    path: str
    model: str | None = None  # Gemini names it in the path
    streaming: bool = False  # likewise
    lists_models: bool = False  # GET /v1/models
    described_model: str | None = None  # the one that GET /v1/models/{name} asks about

    @property
    def tells_of_models(self) -> bool:
        """Of all, or of one."""
        return self.lists_models or self.described_model is not None


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


def guess_dialect(path: str, headers: Mapping[bytes, bytes]) -> Dialect:
    """Whose conventions a client of /v1/* follows, as far as path and headers show."""
    if path.startswith(("/v1/messages", "/anthropic/")) or b"anthropic-version" in headers:
        return "anthropic"
    return "openai"


def find_endpoint(
    path: str, method: str, headers: Mapping[bytes, bytes], providers: Mapping[str, WireFormat]
) -> Endpoint:
    """The endpoint at a raw (still percent-encoded) path. Raises Rejection."""
    _refuse_what_never_works(path, method, headers)
    _, first, *_ = path.split("/", 2)
    api_format = next((f for suffix, f in _FORMATS if method == "POST" and path.endswith(suffix)), None)
    if first == "v1":
        rest = path.removeprefix("/v1")
        openai_only = api_format not in {None, ApiFormat.MESSAGES, ApiFormat.COUNT_TOKENS}
        dialect: Dialect = "openai" if openai_only else guess_dialect(path, headers)
        asks = method == "GET"
        return Endpoint(
            api_format or ApiFormat.OTHER,
            dialect,
            None,
            rest,
            lists_models=asks and rest == "/models",
            described_model=unquote(rest[len("/models/") :])
            if asks and rest.startswith("/models/")
            else None,
        )
    if first in providers:
        rest = path.removeprefix(f"/{first}")
        if api_format in {ApiFormat.GEMINI, ApiFormat.GEMINI_COUNT_TOKENS}:
            model, _, verb = path.rpartition("/")[2].rpartition(":")
            return Endpoint(api_format, "gemini", first, rest, model, streaming=verb.startswith("stream"))
        return Endpoint(api_format or ApiFormat.OTHER, providers[first], first, rest)
    known = ", ".join(sorted(providers))
    raise Rejection(
        404,
        "unknown_provider",
        f"no endpoint at this path: call /v1/… or /{{provider}}/… with one of: {known}",
    )


def _refuse_what_never_works(path: str, method: str, headers: Mapping[bytes, bytes]) -> None:
    upgrade = headers.get(b"upgrade", b"").lower()
    if upgrade == b"websocket":
        raise Rejection(
            400,
            "websocket_not_supported",
            "this gateway relays no WebSockets: use the HTTP API, with stream for events as they come",
        )
    if upgrade:  # the server's parser passes no body on for such a request
        raise Rejection(400, "upgrade_not_supported", "offer no upgrade: set the client to HTTP/1.1")
    if method in {"CONNECT", "TRACE"}:  # TRACE would send credentials back in a body
        raise Rejection(405, "method_not_allowed", f"{method} is not relayed")
    if not path.startswith("/"):
        raise Rejection(404, "unknown_endpoint", "this path is not relayed: call /v1/… or /{provider}/…")
    segments = _SEPARATORS.split(path.lower())
    if any(_DOTS.fullmatch(segment) for segment in segments):
        raise Rejection(400, "invalid_path", "the path must not hold dot segments")


def read_fields(endpoint: Endpoint, content_type: str, body: bytes) -> Asked:
    """The fields that the gateway goes by. Raises Rejection where they must be readable and are not."""
    nothing = Asked(model=endpoint.model, streaming=endpoint.streaming)
    if endpoint.api_format not in INTERPRETED:
        if not body or "json" not in content_type:
            return nothing
        try:
            return _asked(endpoint, _decode(body))
        except Rejection:
            return nothing
    if "json" not in content_type:  # what a web page may send without asking has another type
        raise Rejection(
            415, "unsupported_media_type", "send JSON, and the header content-type: application/json"
        )
    if not body:
        raise Rejection(400, "invalid_json", "the request has no body; send a JSON object")
    asked = _asked(endpoint, _decode(body))
    # Responses may go by a stored prompt, which names the model.
    if not asked.model and endpoint.provider is None and endpoint.api_format is not ApiFormat.RESPONSES:
        raise Rejection(400, "missing_model", "the request names no model: set `model`")
    return asked


def _decode(body: bytes) -> _Body:
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_tolerantly(body)


def _decode_tolerantly(body: bytes) -> _Body:
    """Clients send lone surrogates, and upstreams take them; msgspec does not."""
    try:
        fields = msgspec.convert(json.loads(body), _Body)
        (fields.model or "").encode()
        return fields
    except msgspec.ValidationError as error:
        raise _invalid(error) from None
    except UnicodeEncodeError:
        raise _invalid("`model` is not Unicode text") from None
    except RecursionError:
        raise Rejection(400, "invalid_json", "the request body is nested too deeply") from None
    except ValueError as error:
        raise Rejection(400, "invalid_json", f"the request body is not valid JSON: {error}") from None


def _asked(endpoint: Endpoint, fields: _Body) -> Asked:
    if fields.model is not None and len(fields.model) > MAX_NAME_CHARS:
        raise _invalid(f"`model` has more than {MAX_NAME_CHARS} characters")
    options = fields.stream_options
    return Asked(
        model=endpoint.model or fields.model,
        streaming=endpoint.streaming or bool(fields.stream),
        includes_usage=bool(options and options.include_usage),
        user=_user(fields),
    )


def _invalid(problem: object) -> Rejection:
    return Rejection(400, "invalid_request", f"the request body: {problem}")


def _user(fields: _Body) -> str | None:
    user = fields.user or (fields.metadata.get("user_id") if isinstance(fields.metadata, dict) else None)
    if not isinstance(user, str) or not user:
        return None
    return user[:MAX_NAME_CHARS].encode("utf-8", "replace").decode()
