"""Ids of tool calls: the upstream's as the client keeps them, and back.

Anthropic's ids are of letters, digits, "_" and "-". What an upstream's id has besides (Kimi's
`functions.get_weather:0`), and the signature that Gemini wants to see again with a call, travel encoded in
the client's id, so that the next request has them: the gateway remembers nothing.
"""

import contextlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import uuid4

import msgspec

from lessllm_gateway.translate.traits import call_id

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_PREFIX = "toolu_lls_"
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(tuple[str, str])


def new_id(kind: str) -> str:
    """An id that no upstream gave: `msg_…`, `toolu_…`."""
    return f"{kind}_{uuid4().hex[:24]}"


def for_client(upstream_id: str, signature: str = "") -> str:
    """The id of a tool call for the client; `signature` is the upstream's, to go back with the call."""
    if not signature and _PLAIN.fullmatch(upstream_id) and not upstream_id.startswith(_PREFIX):
        return upstream_id
    packed = _encoder.encode((upstream_id, signature))
    return _PREFIX + urlsafe_b64encode(packed).decode().rstrip("=")


def for_upstream(client_id: str, form: str) -> tuple[str, str]:
    """The id that the upstream knows the call by, of the form that it takes, and the signature."""
    upstream_id, signature = client_id, ""
    if client_id.startswith(_PREFIX):
        packed = client_id.removeprefix(_PREFIX)
        with contextlib.suppress(ValueError, msgspec.DecodeError):  # a client's own, that looks like ours
            upstream_id, signature = _decoder.decode(urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
    return call_id(upstream_id, form), signature
