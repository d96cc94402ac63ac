"""What comes with an HTTP request: its key and its JSON body, checked, or a Refusal that names the field."""

import hashlib
import hmac
from collections.abc import Callable
from typing import TypeVar

import msgspec
from fastapi import Request

from lessllm_collector.errors import Refusal
from lessllm_collector.formats import JSON

MAX_BODY_BYTES = 1024 * 1024

_T = TypeVar("_T")


class SettingsChange(msgspec.Struct, forbid_unknown_fields=True):
    """What can be changed while the collector runs; what is not named stays."""

    debug_mode: bool | msgspec.UnsetType = msgspec.UNSET
    enable_cache_analysis: bool | msgspec.UnsetType = msgspec.UNSET


class Reanalysis(msgspec.Struct, forbid_unknown_fields=True):
    """From when on calls are worked out again; None: all."""

    since: str | None = None


def key_check(api_key: str) -> Callable[[Request], None]:
    """A dependency that lets only those pass who send the key."""

    def check(request: Request) -> None:
        if not key_matches(request, api_key):
            raise Refusal(
                401, "unauthorized", "send the collector's key (collector.api_key) as Authorization: Bearer"
            )

    return check


def key_matches(request: Request, api_key: str) -> bool:
    """Whether the request has the key, as programs send it."""
    sent = request.headers.get("authorization", "").encode("latin-1")
    return hmac.compare_digest(_digest(sent), _digest(f"Bearer {api_key}".encode()))


def _digest(secret: bytes) -> bytes:
    """Of any two secrets as long: how long comparing them takes tells nothing, their length neither."""
    return hashlib.sha256(secret).digest()


async def read_json(request: Request, kind: type[_T]) -> _T:
    """The body as `kind`. Raises Refusal."""
    body = await read_body(request, JSON, MAX_BODY_BYTES)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Refusal(400, "invalid_request", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, "invalid_json", f"the body is no valid JSON: {error}") from None


async def read_body(request: Request, media_type: str, max_bytes: int) -> bytes:
    """All of it, if it is of that kind and not larger. Raises Refusal."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != media_type:
        raise Refusal(415, "unsupported_media_type", f"send {media_type}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise Refusal(413, "body_too_large", f"the body is larger than {max_bytes // 1024} KB")
    return bytes(body)
