"""Records on their way to the collector, over a ZeroMQ DEALER: sent in order, sent again until committed.

Never holds up a call: `offer` is all that happens on a call's path; tasks do the rest. Delivered are this
process's records, and what killed ones left in the spool: each under its own id, with its own numbers.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import zmq.asyncio
from lessllm_shared import wire
from lessllm_shared.now_and_then import NowAndThen

from lessllm_gateway.link import Link
from lessllm_gateway.metrics import COLLECTOR_ANSWERED_SECONDS, RECORDS_LOST
from lessllm_gateway.outbox import OnDisk, Outbox

FLUSH_INTERVAL_S = 0.02  # a record waits at most this long: batches cost less than single frames
RESEND_AFTER_S = 2.0  # without an answer while frames are under way
RECONNECT_AFTER_S = 1.0  # where ZeroMQ does not do it
ASK_EVERY_S = 0.5  # what client keys have spent

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Stream:
    """The records of one gateway process, ours or one that is no more."""

    outbox: Outbox
    # First and last number → records from disk, a frame of them. Nothing is on disk where there is no spool.
    read: Callable[[int, int], list[bytes]] = lambda _first, _last: []
    committed: Callable[[int], None] = lambda _seq: None  # hears up to which number they are in the database
    waiting_since_s: float = 0.0  # for an answer


class Books(Protocol):
    """Who keeps what client keys have spent."""

    def wanted(self) -> list[str]:
        """The keys it wants to know of."""
        ...

    def heard(self, committed: int, spent: list[wire.Spent]) -> None:
        """What they have spent, our records up to `committed` included."""
        ...


class Delivery:
    """Moves the records. `run` until cancelled; `drain` before that, to see the last records committed."""

    def __init__(self, own: Stream, link: Link) -> None:
        self._outbox = own.outbox
        self._link = link
        self._streams = {own.outbox.gateway_id: own}
        self._asked: dict[str, asyncio.Future[int]] = {}
        self._books: Books | None = None
        self._asked_spent_s = -math.inf
        self._offered = asyncio.Event()
        self._answered = asyncio.Event()
        self._is_to_be_said = NowAndThen()
        self._moved_s = 0.0  # when our records were last committed, or the first of those that wait came

    @property
    def stalled_s(self) -> float:
        """For how long our records have waited without any being committed."""
        return time.monotonic() - self._moved_s if self._outbox.pending else 0.0

    def offer(self, data: bytes, *, is_on_disk: bool = False) -> bool:
        """Take an encoded record over. False: there was no room for it, and it is lost. Never blocks."""
        self._offered.set()
        if not self._outbox.pending:
            self._moved_s = time.monotonic()
        return self._outbox.add(data, is_on_disk=is_on_disk)

    async def run(self) -> None:
        """Deliver until cancelled. Whoever runs it begins anew if it fails."""
        while True:
            for stream in self._streams.values():
                stream.outbox.rewind()
            self._offered.set()
            await self._connected()
            await asyncio.sleep(RECONNECT_AFTER_S)

    async def drain(self, deadline_s: float) -> bool:
        """Wait until all of our records of this moment are committed. False: the deadline passed first."""
        target = self._outbox.next_seq - 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self.until(lambda: self._outbox.committed >= target)
        return self._outbox.committed >= target

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that an answer of the collector brings about."""
        while not holds():
            self._answered.clear()
            await self._answered.wait()

    async def ask(self, gateway_id: str) -> int:
        """Up to which number the collector has the records of a gateway process; waits until it says so."""
        asked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._asked[gateway_id] = asked
        self._offered.set()
        try:
            return await asked
        finally:
            del self._asked[gateway_id]

    def add(self, stream: Stream) -> None:
        """Deliver these records too."""
        self._streams[stream.outbox.gateway_id] = stream
        self._offered.set()

    def tell(self, books: Books) -> None:
        """From now on these hear what client keys have spent."""
        self._books = books

    def remove(self, stream: Stream) -> None:
        """All of these are delivered."""
        del self._streams[stream.outbox.gateway_id]

    async def _connected(self) -> None:
        """Deliver until a new connection is needed."""
        with self._link.opened() as (socket, next_end):
            async with asyncio.TaskGroup() as tasks:
                working = [tasks.create_task(work(socket)) for work in (self._send, self._listen)]
                await self._link.failed(next_end)
                for task in working:
                    task.cancel()

    async def _send(self, socket: zmq.asyncio.Socket) -> None:
        while True:
            keys = self._books.wanted() if self._books is not None else []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ASK_EVERY_S if keys else RESEND_AFTER_S):
                    await self._offered.wait()
            await asyncio.sleep(FLUSH_INTERVAL_S)
            self._offered.clear()
            if keys and time.monotonic() - self._asked_spent_s >= ASK_EVERY_S:
                self._asked_spent_s = time.monotonic()
                await socket.send(wire.pack(wire.Ask(self._outbox.gateway_id, keys)))
            for gateway_id in tuple(self._asked):
                await socket.send(wire.pack(wire.Ask(gateway_id)))
            for stream in tuple(self._streams.values()):
                await self._send_all(socket, stream)

    async def _send_all(self, socket: zmq.asyncio.Socket, stream: Stream) -> None:
        outbox = stream.outbox
        if outbox.under_way and time.monotonic() - stream.waiting_since_s > RESEND_AFTER_S:
            outbox.rewind()
        while outbox.unsent:
            if not outbox.under_way:
                stream.waiting_since_s = time.monotonic()
            frame = outbox.next_frame()
            if isinstance(frame, OnDisk):
                frame = await _read(stream, frame)
            if frame is not None:
                await socket.send(wire.pack(frame))

    async def _listen(self, socket: zmq.asyncio.Socket) -> None:
        while True:
            # All at once: libzmq aborts the process when a connection ends between two parts of a message.
            frame, *_ = await socket.recv_multipart()
            try:
                answer = wire.unpack_to_gateway(frame)
            except ValueError as error:
                if self._is_to_be_said(type(error).__name__):
                    log.warning("the collector's answer can't be read, records wait here: %s", error)
                continue
            COLLECTOR_ANSWERED_SECONDS.set_to_current_time()
            asked = self._asked.get(answer.gateway_id)
            stream = self._streams.get(answer.gateway_id)
            if stream is not None:
                stream.waiting_since_s = time.monotonic()
                self._take(answer, stream)
            elif asked is not None and isinstance(answer, wire.Expect) and not asked.done():
                asked.set_result(answer.next_seq - 1)

    def _take(self, answer: wire.ToGateway, stream: Stream) -> None:
        outbox = stream.outbox
        committed_before = outbox.committed
        match answer:
            case wire.Ack(committed=committed, spent=spent):
                outbox.acknowledge(committed)
                if spent is not None and self._books is not None:
                    self._books.heard(committed, spent)
            case wire.Expect(next_seq=next_seq):
                lost = outbox.expect(next_seq)
                if lost:
                    RECORDS_LOST.labels("collector_reset").inc(lost)
                    log.warning(
                        "the collector's database lacks %d records that were committed before: it was"
                        " replaced by an empty or an older one; they are declared lost",
                        lost,
                    )
                self._offered.set()
        if outbox is self._outbox and outbox.committed > committed_before:
            self._moved_s = time.monotonic()
        stream.committed(outbox.committed)
        self._answered.set()


async def _read(stream: Stream, wanted: OnDisk) -> wire.Records | None:
    """The records in a frame; those that can't be read any more are lost."""
    records = await asyncio.to_thread(stream.read, wanted.first_seq, wanted.last_seq)
    if records:
        return stream.outbox.sent(wanted.first_seq, records)
    RECORDS_LOST.labels("spool_damaged").inc()
    stream.outbox.lose(wanted.first_seq, wanted.first_seq)
    return None
