"""Bytes of a request or an answer, changed as little as the job needs. Pure, sans I/O.

Requests: the model's name and the usage option are replaced in place; every other value keeps its bytes.
Answers: the usage chunk that the gateway asked for, and the client did not, is dropped.
"""

import json
from typing import Any, Protocol

import msgspec
from lessllm_shared.sse import Event, EventParser

_ADDED_OPTIONS = msgspec.Raw(b'{"include_usage":true}')
_top_level = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder()


class Transform(Protocol):
    """Turns an answer's bytes into the client's."""

    def feed(self, chunk: bytes) -> bytes:
        """What the client gets for this chunk, maybe nothing yet."""
        ...

    def finish(self) -> bytes:
        """What is left at the end."""
        ...


def rewrite_request(body: bytes, *, model: str | None, ask_for_usage: bool, stream: bool = False) -> bytes:
    """The body with another model name (None: as it is), the usage option set, streaming turned on."""
    if model is None and not ask_for_usage and not stream:
        return body
    try:
        fields = _top_level.decode(body)
    except msgspec.DecodeError:
        # Lone surrogates, which clients send and msgspec refuses: the standard library writes them back.
        fields = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in json.loads(body).items()}
    if stream:
        fields["stream"] = msgspec.Raw(b"true")
    if model is not None:
        fields["model"] = msgspec.Raw(_encoder.encode(model))
    if ask_for_usage:
        options = fields.get("stream_options")
        if options is None or bytes(options) == b"null":
            fields["stream_options"] = _ADDED_OPTIONS
        else:
            merged = {**msgspec.json.decode(options), "include_usage": True}
            fields["stream_options"] = msgspec.Raw(_encoder.encode(merged))
    return _encoder.encode(fields)


class _Chunk(msgspec.Struct):
    choices: list[Any] | None = None
    usage: Any = None


_chunk_decoder = msgspec.json.Decoder(_Chunk)


class StripUsage:
    """Drops a chat stream's usage chunk: empty `choices` and a usage, both; Azure's first chunk stays."""

    def __init__(self) -> None:
        self._parser = EventParser()

    def feed(self, chunk: bytes) -> bytes:
        return b"".join(event.raw for event in self._parser.feed(chunk) if not _is_usage_chunk(event))

    def finish(self) -> bytes:
        return b"".join(event.raw for event in self._parser.flush())


def _is_usage_chunk(event: Event) -> bool:
    if b'"usage"' not in event.data or b'"choices"' not in event.data:
        return False
    try:
        chunk = _chunk_decoder.decode(event.data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return chunk.choices == [] and chunk.usage is not None
