"""The ROUTER socket: frames in, and acknowledgements out once the writer has committed.

Memory is bounded by the writer's inbox: while it is full nothing is received, ZeroMQ's own bounded
queues fill, and records wait in the gateways. A frame that can't be read is counted and never fatal.
"""

import asyncio
import logging
from collections.abc import Callable

import zmq.asyncio
from lessllm_shared import wire
from lessllm_shared.now_and_then import NowAndThen

from lessllm_collector.inbox import Batch, Inbox
from lessllm_collector.ledger import Ledger
from lessllm_collector.metrics import FRAMES_REFUSED, GAPS, RECORDS_REPEATED
from lessllm_collector.quarantine import Quarantine

MAX_PEERS = 10_000  # beyond it the oldest is forgotten until it sends again

log = logging.getLogger(__name__)


class Receiver:
    """Reads the socket: `run` until cancelled. `committed` may be called from any thread."""

    def __init__(
        self,
        socket: zmq.asyncio.Socket,
        ledger: Ledger,
        inbox: Inbox,
        quarantine: Quarantine,
        spent: Callable[[list[str]], list[wire.Spent]],
    ) -> None:
        """`spent`: by these client keys, as committed."""
        self._socket = socket
        self._ledger = ledger
        self._inbox = inbox
        self._quarantine = quarantine
        self._spent = spent
        self._is_to_be_said = NowAndThen()
        self._peers: dict[str, bytes] = {}  # gateway id → where its answers go
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Receive until cancelled."""
        while True:
            peer, *frames = await self._socket.recv_multipart()
            if len(frames) == 1:
                await self._take(peer, frames[0])
            else:
                self._refuse(frames, f"a message of {len(frames)} frames")

    def committed(self, gateway_id: str, last_seq: int) -> None:
        """The writer says that everything up to `last_seq` is in the database: tell the gateway."""
        self._loop.call_soon_threadsafe(self._acknowledge, gateway_id, last_seq)

    async def _take(self, peer: bytes, frame: bytes) -> None:
        try:
            message = wire.unpack_to_collector(frame)
        except wire.WrongVersionError as error:
            FRAMES_REFUSED.labels("version").inc()
            if self._is_to_be_said("version"):
                log.warning("a gateway is of another version, its records wait there: %s", error)
            await self._socket.send_multipart([peer, wire.VERSION_ALONE])  # its log says it too
            return
        except ValueError as error:
            self._refuse([frame], str(error))
            return
        self._note(message.gateway_id, peer)
        match message:
            case wire.Records(gateway_id=gateway_id, first_seq=first, records=records):
                await self._accept(Batch(gateway_id, first, first + len(records) - 1, records))
            case wire.Lost(gateway_id=gateway_id, first_seq=first, last_seq=last):
                await self._accept(Batch(gateway_id, first, last, None))
            case wire.Ask(gateway_id=gateway_id, keys=list(keys)):
                # In this order: what is spent is never behind what is committed.
                committed = self._ledger.state(gateway_id).committed
                self._answer(wire.Ack(gateway_id, committed, self._spent(keys)))
            case wire.Ask(gateway_id=gateway_id):
                if (expected := self._ledger.expected(gateway_id)) is not None:
                    self._answer(expected)

    def _note(self, gateway_id: str, peer: bytes) -> None:
        self._peers[gateway_id] = peer
        if len(self._peers) > MAX_PEERS:
            del self._peers[next(iter(self._peers))]

    def _refuse(self, frames: list[bytes], reason: str) -> None:
        FRAMES_REFUSED.labels("malformed").inc()
        self._quarantine.add(frames, reason)
        if self._is_to_be_said("malformed"):
            log.warning(
                "%d bytes that came for the collector can't be read: %s", sum(map(len, frames)), reason
            )

    async def _accept(self, batch: Batch) -> None:
        repeated = self._ledger.repeated(batch.gateway_id, batch.first_seq, batch.last_seq)
        if isinstance(repeated, wire.Expect):
            self._answer(repeated)
            return
        RECORDS_REPEATED.inc(repeated)
        rest = batch.without(repeated)
        if rest is None:
            self._answer(self._ledger.state(batch.gateway_id))
            return
        self._ledger.take(rest.gateway_id, rest.last_seq)
        if rest.records is None:
            GAPS.labels("lost").inc(rest.last_seq - rest.first_seq + 1)
        await self._inbox.put(rest)

    def _acknowledge(self, gateway_id: str, last_seq: int) -> None:
        self._answer(self._ledger.commit(gateway_id, last_seq))

    def _answer(self, answer: wire.ToGateway) -> None:
        # A ROUTER never waits: what has no room or no peer is dropped, and the gateway asks again.
        peer = self._peers.get(answer.gateway_id)
        if peer is not None and not self._socket.closed:
            self._socket.send_multipart([peer, wire.pack(answer)])
