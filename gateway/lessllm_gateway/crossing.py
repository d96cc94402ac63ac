"""How one call crosses: what is sent upstream for it, and what becomes of the answer. Pure.

Three reasons to touch bytes, and no others: the client speaks another format than the provider; a stream's
usage has to be asked for; a plain call is streamed upstream, so that its TTFT and TPOT can be measured, and
assembled for the client.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec
from lessllm_shared import tolerant_json
from lessllm_shared.record import ApiFormat, EndReason
from lessllm_shared.sse import Event, EventParser, EventTooLargeError
from lessllm_shared.streams import stream_reader
from lessllm_shared.streams.reader import json_object

from lessllm_gateway import transform
from lessllm_gateway.credentials import RawHeaders
from lessllm_gateway.errors import Rejection
from lessllm_gateway.request import Asked
from lessllm_gateway.routing import Target
from lessllm_gateway.transform import Transform
from lessllm_gateway.translate import TRANSLATIONS
from lessllm_gateway.translate.messages_to_chat.unsigned import without_unsigned
from lessllm_gateway.translate.translation import Wanted

Convert = Callable[[bytes], tuple[int, bytes]]  # the upstream's whole body → status and body for the client

DROPPED_HEADER = b"x-lessllm-dropped"  # names the request's fields that were left out
_WITH_USAGE_OPTION = {ApiFormat.CHAT, ApiFormat.COMPLETIONS}
_FOR_ANTHROPIC = {ApiFormat.MESSAGES, ApiFormat.COUNT_TOKENS}


@dataclass(frozen=True, slots=True)
class Crossing:
    """What goes up, and how the answer comes down. Neither `stream` nor `whole`: untouched."""

    body: bytes
    streaming: bool = False  # the upstream is asked for a stream
    usage_requested: bool = False
    translated: bool = False  # what the client gets is not what the upstream said
    stream: Transform | None = None
    whole: Callable[[bytes, bool], bytes] | None = None  # the body, and whether it is an event stream
    headers: RawHeaders = field(default_factory=list)  # that the upstream's format wants
    error: Callable[[int, bytes], tuple[int, bytes]] | None = None  # for an upstream's error
    answer_headers: Callable[[RawHeaders], RawHeaders] | None = None

    @property
    def reads_answer(self) -> bool:
        """The answer must come without content-encoding."""
        return bool(self.stream or self.whole)

    def treatment(
        self, status: int, content_type: str, encoding: str
    ) -> tuple[Transform | None, Convert | None]:
        """What an answer of this kind goes through, at most one. Raises Rejection for a useless one."""
        if status >= 400:
            return None, None if self.error is None else partial(self.error, status)
        is_stream = content_type.startswith("text/event-stream")
        if self.stream is not None and not self.translated:
            return self.stream if is_stream and not encoding else None, None
        if not self.reads_answer or not (is_stream or self.translated):
            return None, None  # a provider that ignores `stream` answers plainly: nothing to assemble
        if encoding:
            raise _unusable(f"its answer is {encoding}, though identity was asked for")
        if self.stream is None:
            return None, partial(self._converted, is_stream=is_stream)
        if not is_stream:
            raise _unusable("it was asked for an event stream and answered something else")
        return self.stream, None

    def _converted(self, body: bytes, *, is_stream: bool) -> tuple[int, bytes]:
        assert self.whole is not None  # noqa: S101 - `treatment` has looked
        return 200, self.whole(body, is_stream)


def crossing(target: Target, asked: Asked, body: bytes) -> Crossing:
    """Raises Rejection for a request that can't be translated."""
    if target.upstream_format is not target.api_format:
        return _translated(target, asked, body)
    if target.api_format in _FOR_ANTHROPIC:
        body = without_unsigned(body)  # of a conversation that another provider has had a part in
    if target.measured:
        return _measured(target, asked, body)
    ask = (
        target.api_format in _WITH_USAGE_OPTION
        and asked.streaming
        and not asked.includes_usage
        and target.upstream.stream_options
    )
    model = target.model if target.model != asked.model else None
    return Crossing(
        transform.rewrite_request(body, model=model, ask_for_usage=ask),
        streaming=asked.streaming,
        usage_requested=ask,
        stream=transform.StripUsage() if ask else None,
    )


def _measured(target: Target, asked: Asked, body: bytes) -> Crossing:
    ask = target.api_format in _WITH_USAGE_OPTION
    model = target.model if target.model != asked.model else None
    return Crossing(
        transform.rewrite_request(body, model=model, ask_for_usage=ask, stream=True),
        streaming=True,
        usage_requested=ask,
        whole=lambda answer, _: assemble(target.api_format, answer),
    )


def _translated(target: Target, asked: Asked, body: bytes) -> Crossing:
    streaming = asked.streaming or target.measured
    wanted = Wanted(
        target.model,
        streaming,
        asked.includes_usage,
        target.drops_params,
        target.upstream.chat,
        target.upstream.stream_options,
    )
    translation = TRANSLATIONS[target.api_format, target.upstream.format](wanted)

    def whole(answer: bytes, is_stream: bool) -> bytes:
        body = assemble(target.upstream_format, answer) if is_stream else answer
        try:
            return msgspec.json.encode(translation.answer(tolerant_json.loads(body)))
        except ValueError as error:
            raise _unusable(f"its answer is {error}") from None

    def answer_headers(raw: RawHeaders) -> RawHeaders:
        dropped = wanted.dropped_header()
        return [*translation.answer_headers(raw), *([(DROPPED_HEADER, dropped)] if dropped else [])]

    return Crossing(
        translation.request(body),
        streaming=streaming,
        translated=True,
        stream=translation.stream() if asked.streaming else None,
        whole=None if asked.streaming else whole,
        headers=translation.headers,
        error=translation.error,
        answer_headers=answer_headers,
    )


def assemble(api_format: ApiFormat, stream: bytes) -> bytes:
    """The plain answer for a whole event stream. Raises Rejection when the stream holds none."""
    reader = stream_reader(api_format)
    assert reader is not None  # noqa: S101 - only formats with a reader are measured
    parser = EventParser()
    try:
        events = (*parser.feed(stream), *parser.flush())
    except EventTooLargeError:
        raise _unusable("an event of its stream was too large") from None
    for event in events:
        reader.add(event)
    if reader.error is not None:
        detail = reader.error.get("message") or msgspec.json.encode(reader.error).decode()
        raise Rejection(502, "upstream_error", f"the upstream reported: {detail}", EndReason.UPSTREAM_ERROR)
    answer = reader.answer()
    if answer is None or not reader.finished:
        raise Rejection(502, "upstream_truncated", "the upstream's answer broke off", EndReason.TRUNCATED)
    if reader.unknown_events and any(_is_spoilt(event) for event in events):
        raise _unusable("an event of its stream is not JSON")
    return msgspec.json.encode(answer)


def _is_spoilt(event: Event) -> bool:
    return event.data not in {b"", b"[DONE]"} and json_object(event) is None


def _unusable(what: str) -> Rejection:
    return Rejection(
        502, "upstream_invalid_answer", f"the upstream can't be understood: {what}", EndReason.UPSTREAM_ERROR
    )
