"""A call's bytes and marks become its CallRecord, encoded once and handed to the delivery."""

import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol

import httpx
from lessllm_shared import record as rec
from lessllm_shared.record import Attempt, CallRecord, EndReason, NetworkMarks

from lessllm_gateway import credentials
from lessllm_gateway.clock import Clock
from lessllm_gateway.credentials import Caller
from lessllm_gateway.egress.exchange import Exchange
from lessllm_gateway.errors import Rejection
from lessllm_gateway.memory import Budget, Tape
from lessllm_gateway.metrics import RECORDS_LOST, calls
from lessllm_gateway.request import MAX_NAME_CHARS, Asked
from lessllm_gateway.routing import Target

REJECTED_BODY_BYTES = 4096  # floods of refused calls must not fill the disk
MAX_MESSAGE_CHARS = 2000

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where encoded records go."""

    wants_opened: bool  # records of calls that go upstream, before they do

    def begin(self, request_id: str, t0_unix_ns: int) -> None:
        """A call begins."""
        ...

    def opened(self, request_id: str, data: bytes) -> None:
        """What is known of a call that goes upstream."""
        ...

    def offer(self, request_id: str, data: bytes) -> bool:
        """The call's record. False: no room, the record is lost."""
        ...


class Recorder:
    """Begins and finishes records. Never raises and never waits: recording must not touch a client's call."""

    def __init__(self, sink: Sink | None, max_body_bytes: int, budget: Budget) -> None:
        self._sink = sink
        self._max_body_bytes = max_body_bytes if sink is not None else 0
        self._budget = budget

    def start(self) -> CallRecord:
        """A record whose t0 is now. It stays a defect of ours until the call says how it ended."""
        now = time.time_ns()
        request_id = rec.new_request_id(now)
        if self._sink is not None:
            self._sink.begin(request_id, now)
        return CallRecord(request_id=request_id, t0_unix_ns=now, end_reason=EndReason.GATEWAY_ERROR)

    def opened(self, record: CallRecord) -> None:
        """The call goes upstream now: if this process is killed, that is what is known of it."""
        if self._sink is not None and self._sink.wants_opened:
            with contextlib.suppress(TypeError, ValueError):  # `finish` says what can't be encoded
                self._sink.opened(record.request_id, rec.encode(record))

    def tape(self) -> Tape:
        """For a body of the call."""
        return Tape(self._max_body_bytes, self._budget)

    def finish(self, record: CallRecord) -> None:
        """Cut, encode, hand over."""
        calls(record.provider or "none", record.end_reason).inc()
        if self._sink is None:
            return
        _cut(
            record,
            REJECTED_BODY_BYTES if record.end_reason is EndReason.REJECTED else self._max_body_bytes,
        )
        try:
            data = rec.encode(record)
        except (TypeError, ValueError) as error:
            RECORDS_LOST.labels("not_encodable").inc()
            log.error("the record of %s can't be encoded: %s", record.request_id, type(error).__name__)  # noqa: TRY400 - the text may hold what it can't encode
            return
        if not self._sink.offer(record.request_id, data):
            RECORDS_LOST.labels("buffer_full").inc()


def _cut(record: CallRecord, limit_bytes: int) -> None:
    record.request_body_bytes = record.request_body_bytes or len(record.request_body)
    record.request_body = record.request_body[:limit_bytes]
    if record.upstream_request_body is not None:
        record.upstream_request_body = record.upstream_request_body[:limit_bytes]
    if record.error_message is not None:
        record.error_message = record.error_message[:MAX_MESSAGE_CHARS]


def note_client(
    record: CallRecord, scope: Mapping[str, Any], headers: Mapping[bytes, bytes], path: str, query: str
) -> None:
    """Who asks, and for what."""
    query = credentials.recordable_query(query)
    record.method = scope["method"]
    record.endpoint = path + (f"?{query}" if query else "")
    record.client_ip = scope["client"][0] if scope.get("client") else None
    record.request_headers = credentials.recordable_headers(scope["headers"])
    record.session_id = headers.get(b"x-lessllm-session", b"").decode("latin-1")[:MAX_NAME_CHARS] or None
    record.user_id = headers.get(b"x-lessllm-user", b"").decode("latin-1")[:MAX_NAME_CHARS] or None
    record.tags = _tags(headers.get(b"x-lessllm-tags", b"").decode("latin-1"))


def note_request(record: CallRecord, asked: Asked) -> None:
    """What its body says."""
    record.model = asked.model
    record.streaming = asked.streaming
    record.user_id = record.client_key or record.user_id or asked.user


def new_attempt(target: Target, route: str, start_ns: int) -> Attempt:
    """A try at a target."""
    return Attempt(
        provider=target.upstream.name,
        upstream_model=target.model,
        url=credentials.recordable_url(target.origin + target.path),
        route=route,
        start_ns=start_ns,
    )


def note_target(record: CallRecord, attempt: Attempt, target: Target, caller: Caller) -> None:
    """Where it goes."""
    record.provider = attempt.provider
    record.upstream_format = target.upstream_format
    record.upstream_model = attempt.upstream_model
    record.upstream_url = attempt.url
    record.route = attempt.route
    key = caller.provider_key if target.passes_credentials else target.key
    record.key_fingerprint = credentials.fingerprint(key) if key else None


def note_attempt(record: CallRecord, attempt: Attempt) -> None:
    """A try begins. What a record says of an answer and its times is the last one's."""
    record.attempts.append(attempt)
    record.prior_attempts_ns = attempt.start_ns - record.attempts[0].start_ns
    record.network = NetworkMarks()
    record.upstream_start_ns = record.upstream_sent_ns = None
    record.upstream_headers_ns = record.upstream_end_ns = None
    record.response_headers = []


def note_response(record: CallRecord, clock: Clock, exchange: Exchange, response: httpx.Response) -> None:
    """What its headers and their time say."""
    record.response_headers = credentials.recordable_headers(response.headers.raw)
    record.upstream_start_ns = clock.at(exchange.send_start)
    record.upstream_sent_ns = clock.at(exchange.sent)
    record.upstream_headers_ns = clock.at(exchange.head)


def note_failure(attempt: Attempt, rejection: Rejection) -> None:
    """Why this attempt came to nothing."""
    attempt.error_code, attempt.error_message = rejection.code, rejection.message[:MAX_MESSAGE_CHARS]


def _tags(header: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in header.split(",") if part.strip())
    return {key.strip(): value.strip() for key, _, value in pairs}
