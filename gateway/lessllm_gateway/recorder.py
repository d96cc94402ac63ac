"""A call's bytes and marks become its CallRecord, encoded once and handed to the delivery."""

import logging
import time
from typing import Protocol

from lessllm_shared import record as rec
from lessllm_shared.record import CallRecord, EndReason

from lessllm_gateway.metrics import CALLS, RECORDS_LOST

REJECTED_BODY_BYTES = 4096  # floods of refused calls must not fill the disk

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where encoded records go."""

    def offer(self, data: bytes) -> bool:
        """False: no room, the record is lost and counted."""
        ...


class Recorder:
    """Finishes records. Never raises and never waits: recording must not touch a client's call."""

    def __init__(self, sink: Sink | None, max_body_bytes: int) -> None:
        self._sink = sink
        self._max_body_bytes = max_body_bytes

    def start(self) -> CallRecord:
        """A record whose t0 is now. It stays a defect of ours until the call says how it ended."""
        now = time.time_ns()
        return CallRecord(
            request_id=rec.new_request_id(now), t0_unix_ns=now, end_reason=EndReason.GATEWAY_ERROR
        )

    def finish(self, record: CallRecord) -> None:
        """Cut, encode, hand over."""
        CALLS.labels(record.provider or "none", record.end_reason).inc()
        if self._sink is None:
            return
        limit = self._max_body_bytes
        if record.end_reason is EndReason.REJECTED:
            limit = min(limit, REJECTED_BODY_BYTES)
        record.request_body_bytes = record.request_body_bytes or len(record.request_body)
        record.response_body_bytes = record.response_body_bytes or len(record.response_body)
        record.request_body = record.request_body[:limit]
        record.response_body = record.response_body[:limit]
        if not self._sink.offer(rec.encode(record)):
            RECORDS_LOST.inc()
