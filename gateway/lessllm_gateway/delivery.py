"""Records on their way to the collector, over a ZeroMQ DEALER: sent in order, sent again until committed.

Never holds up a call: `Outbox.add` is all that happens on a call's path; one task does the rest.
"""

import asyncio
import contextlib
import logging
import time

import zmq
import zmq.asyncio
from lessllm_shared import wire
from lessllm_shared.config import ConfigError

from lessllm_gateway.metrics import COLLECTOR_ANSWERED_SECONDS, DELIVERY_FAILURES, RECORDS_LOST
from lessllm_gateway.outbox import Outbox

FLUSH_INTERVAL_S = 0.02  # a record waits at most this long: batches cost less than single frames
RESEND_AFTER_S = 2.0  # without an answer while frames are under way
RESTART_AFTER_S = 1.0  # when the task failed
MAX_FRAMES_QUEUED = 8  # in ZeroMQ, so that memory stays in the outbox, where it is bounded

log = logging.getLogger(__name__)


def check_endpoint(endpoint: str) -> None:
    """Raises ConfigError for what ZeroMQ can't connect to, whoever is there. No name is resolved."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        try:
            socket.connect(endpoint)
        except zmq.ZMQError:
            raise ConfigError(
                f"collector.endpoint: {endpoint!r} is no address; write tcp://host:port or ipc:///path"
            ) from None


class Delivery:
    """Owns the socket. `run` until cancelled; `drain` before that, to see the last records committed."""

    def __init__(self, outbox: Outbox, endpoint: str) -> None:
        self._outbox = outbox
        self._endpoint = endpoint
        self._offered = asyncio.Event()
        self._answered = asyncio.Event()
        self._waiting_since = time.monotonic()

    def offer(self, data: bytes) -> bool:
        """Take an encoded record over. False: there was no room for it, and it is lost. Never blocks."""
        self._offered.set()
        return self._outbox.add(data)

    async def run(self) -> None:
        """Deliver until cancelled, whatever happens."""
        while True:
            try:
                await self._connected()
            except Exception:
                DELIVERY_FAILURES.inc()
                log.exception("delivering records failed, and begins anew")
            self._outbox.rewind()
            self._offered.set()
            await asyncio.sleep(RESTART_AFTER_S)

    async def drain(self, deadline_s: float) -> bool:
        """Wait until all records of this moment are committed. False: the deadline passed first."""
        target = self._outbox.next_seq - 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while self._outbox.committed < target:
                    self._answered.clear()
                    await self._answered.wait()
        return self._outbox.committed >= target

    async def _connected(self) -> None:
        with zmq.asyncio.Context() as context, context.socket(zmq.DEALER) as socket:
            socket.setsockopt(zmq.SNDHWM, MAX_FRAMES_QUEUED)
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.IMMEDIATE, 1)
            socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_FRAME_BYTES)
            socket.connect(self._endpoint)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send(socket))
                tasks.create_task(self._listen(socket))

    async def _send(self, socket: zmq.asyncio.Socket) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESEND_AFTER_S):
                    await self._offered.wait()
            await asyncio.sleep(FLUSH_INTERVAL_S)
            self._offered.clear()
            if self._outbox.under_way and time.monotonic() - self._waiting_since > RESEND_AFTER_S:
                self._outbox.rewind()
            await self._send_all(socket)

    async def _send_all(self, socket: zmq.asyncio.Socket) -> None:
        while self._outbox.unsent:
            if not self._outbox.under_way:
                self._waiting_since = time.monotonic()
            frame = self._outbox.next_frame()
            if frame is not None:
                await socket.send(wire.pack(frame))

    async def _listen(self, socket: zmq.asyncio.Socket) -> None:
        while True:
            frame = await socket.recv()
            try:
                answer = wire.unpack_to_gateway(frame)
            except ValueError as error:
                log.warning("the collector's answer can't be read: %s", error)
                continue
            if answer.gateway_id == self._outbox.gateway_id:
                self._waiting_since = time.monotonic()
                COLLECTOR_ANSWERED_SECONDS.set_to_current_time()
                self._take(answer)

    def _take(self, answer: wire.ToGateway) -> None:
        match answer:
            case wire.Ack(committed=committed):
                self._outbox.acknowledge(committed)
            case wire.Expect(next_seq=next_seq):
                lost = self._outbox.expect(next_seq)
                if lost:
                    RECORDS_LOST.labels("collector_reset").inc(lost)
                    log.warning(
                        "the collector's database lacks %d records that were committed before: it was"
                        " replaced by an empty or an older one; they are declared lost",
                        lost,
                    )
                self._offered.set()
        self._answered.set()
