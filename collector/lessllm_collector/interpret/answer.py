"""What a provider answered: the record's raw bytes in, the whole answer and the times of its content out.

Streams are replayed read by read through the content-encoding and the event parser, so that every event has
the time of the network read that completed it. Never raises on a body.
"""

from dataclasses import dataclass, field
from typing import Any

from lessllm_shared.json_array import ArrayParser
from lessllm_shared.record import ApiFormat, CallRecord, EndReason
from lessllm_shared.sse import Event, EventParser, EventTooLargeError
from lessllm_shared.streams import Brings, StreamReader, stream_reader
from lessllm_shared.tolerant_json import dumps, loads

from lessllm_collector.interpret.decode import Decoder, decode
from lessllm_collector.interpret.usage import at


@dataclass
class Answer:
    """An answer. The marks are ns since t0, None if there was no such content or no time for it."""

    value: Any = None  # parsed JSON; of a stream, as without streaming
    text: str | None = None  # for decoded_response
    error: Any = None  # the provider's error object
    streamed: bool = False
    finished: bool = False
    damaged: bool = False
    events: int = 0
    first_ns: int | None = None
    first_output_ns: int | None = None
    last_ns: int | None = None
    content_reads_ns: list[int] = field(default_factory=list)
    reasoning_seen: bool = False


def read_answer(record: CallRecord) -> Answer:
    """The upstream's answer in `record`."""
    content_type = (header(record, "content-type") or "").lower()
    # An error to a streaming request comes as plain JSON.
    is_events = "text/event-stream" in content_type or (
        record.upstream_streaming and "json" not in content_type
    )
    if is_events or _is_array_stream(record):
        reader = stream_reader(record.upstream_format or record.api_format)
        if reader is not None and record.response_body:
            return _Replay(record, reader, EventParser() if is_events else ArrayParser()).run()
    return _whole(record)


def header(record: CallRecord, name: str) -> str | None:
    """The first upstream response header of that name, in lower case."""
    for key, value in record.response_headers:
        if len(key) == len(name) and key.lower() == name:
            return value
    return None


def response_model(value: Any) -> str | None:
    """The model that an answer names."""
    return text_at(value, ("model",)) or text_at(value, ("modelVersion",))


def end_reason(record: CallRecord, answer: Answer) -> EndReason:
    """How the call ended: the gateway saw the connection, here is what was said over it."""
    whole = len(record.response_body) >= record.response_body_bytes
    if not answer.streamed or not whole:
        return record.end_reason
    # Who asked for a stream may leave at its terminator, as OpenAI's SDK does, before the connection's end.
    left_at_the_end = record.end_reason is EndReason.CLIENT_CANCELLED and record.streaming and answer.finished
    if record.end_reason is not EndReason.COMPLETE and not left_at_the_end:
        return record.end_reason
    if answer.error is not None:
        return EndReason.UPSTREAM_ERROR
    # Some servers leave the terminator out, and say at the last choice that they are done.
    ended = answer.finished or finish_reason(answer.value) is not None
    return EndReason.COMPLETE if ended else EndReason.TRUNCATED


def finish_reason(value: Any) -> str | None:
    """Why the (first) answer ended."""
    return next((reason for path in _FINISHES if (reason := text_at(value, path))), None)


def cache_miss_reason(value: Any) -> str | None:
    """Why the prompt was not in the provider's cache, where it was asked to say so."""
    return next((reason for path in _MISSES if (reason := text_at(value, path))), None)


def upstream_request_id(record: CallRecord) -> str | None:
    """The provider's id of the request."""
    return next((value for name in _REQUEST_IDS if (value := header(record, name))), None)


def error_of(error: Any) -> tuple[str | None, str | None]:
    """Code (or type) and message in a provider's error object."""
    if isinstance(error, list) and error:  # Gemini's OpenAI-compatible endpoint wraps it
        error = error[0]
    inner = at(error, ("response", "error")) or at(error, ("error",)) or error
    if isinstance(inner, str):
        return text_at(error, ("code",)), inner
    codes = (inner.get(key) for key in ("code", "type", "status")) if isinstance(inner, dict) else ()
    code = next((str(value) for value in codes if isinstance(value, str | int) and value), None)
    message = text_at(inner, ("message",)) or text_at(inner, ("detail",))
    return code, message


def text_at(value: Any, path: tuple[str | int, ...]) -> str | None:
    """The non-empty text at `path`."""
    found = at(value, path)
    return found if isinstance(found, str) and found else None


def _is_array_stream(record: CallRecord) -> bool:
    """Whether this is Gemini's stream without `alt=sse`: a JSON array that comes element by element."""
    if not record.upstream_streaming or record.api_format is not ApiFormat.GEMINI:
        return False
    body, _ = decode(record.response_body, header(record, "content-encoding") or "")
    return (record.status_code or 0) < 400 and body.lstrip()[:1] == b"["


def _whole(record: CallRecord) -> Answer:
    encoding = header(record, "content-encoding") or ""
    body, damaged = decode(record.response_body, encoding)
    encoded = Decoder(encoding).encoded
    answer = Answer(damaged=damaged, text=body.decode("utf-8", "replace") if encoded and body else None)
    try:
        answer.value = loads(body)
        answer.finished = True
    except ValueError:
        return answer
    if at(answer.value, ("error",)) or (record.status_code or 0) >= 400:
        answer.error = answer.value
    return answer


class _Replay:
    def __init__(self, record: CallRecord, reader: StreamReader, parser: EventParser | ArrayParser) -> None:
        self._record = record
        self._reader = reader
        self._parser = parser
        self._answer = Answer(streamed=True)

    def run(self) -> Answer:
        answer, reader, record = self._answer, self._reader, self._record
        decoder, parser = Decoder(header(record, "content-encoding") or ""), self._parser
        body, start = record.response_body, 0
        now: int | None = None
        try:
            for now, size in zip(record.read_ns, record.read_bytes, strict=False):
                self._take(parser.feed(decoder.feed(body[start : start + max(0, size)])), now)
                start += max(0, size)
            # Bytes without a mark still belong to the answer, but have no time.
            rest = parser.feed(decoder.feed(body[start:])) if start < len(body) else []
            self._take(rest, None)
            self._take(parser.flush(), now if start >= len(body) else None)
        except EventTooLargeError:
            answer.damaged = True
        decoder.finish()
        answer.damaged = answer.damaged or decoder.damaged
        answer.value, answer.error, answer.finished = reader.answer(), reader.error, reader.finished
        answer.text = None if answer.value is None else dumps(answer.value)
        return answer

    def _take(self, events: list[Event], now: int | None) -> None:
        brought = Brings.NOTHING
        output = False
        for event in events:
            brings = self._reader.add(event)
            brought = max(brought, brings)
            output = output or brings is Brings.CONTENT
            self._answer.reasoning_seen = self._answer.reasoning_seen or brings is Brings.REASONING
        self._answer.events += len(events)
        if now is None or brought is Brings.NOTHING:
            return
        answer = self._answer
        answer.content_reads_ns.append(now)
        answer.first_ns = now if answer.first_ns is None else answer.first_ns
        answer.last_ns = now
        if output and answer.first_output_ns is None:
            answer.first_output_ns = now


_FINISHES: tuple[tuple[str | int, ...], ...] = (
    ("choices", 0, "finish_reason"),
    ("stop_reason",),
    ("candidates", 0, "finishReason"),
    ("status",),
)
_MISSES: tuple[tuple[str | int, ...], ...] = (
    ("diagnostics", "cache_miss_reason", "type"),  # Anthropic
    ("prompt_cache_diagnostics", "reason"),  # OpenAI
)
_REQUEST_IDS = (
    "x-request-id",
    "request-id",
    "apim-request-id",
    "x-amzn-requestid",
    "x-goog-request-id",
    "cf-ray",
)
