"""The connection to the collector: a ZeroMQ DEALER with its keys.

ZeroMQ is silent about a handshake that fails, and after some failures never tries again. Here it is said, and
whoever uses the socket hears that it needs a new one.
"""

import contextlib
import logging
from collections.abc import Iterator

import zmq
import zmq.asyncio
from lessllm_shared import wire
from lessllm_shared.config import ConfigError
from lessllm_shared.config.sections import Collector
from lessllm_shared.curve import gateway_keys
from lessllm_shared.handshakes import BROKEN_OFF, REFUSED, SUCCEEDED, UNFIT, NextEnd, handshakes

MAX_FRAMES_QUEUED = 8  # in ZeroMQ, so that memory stays in the outbox, where it is bounded

log = logging.getLogger(__name__)


class Link:
    """Where the collector is, and whether it takes our keys."""

    def __init__(self, collector: Collector) -> None:
        """Raises ConfigError for what can't be an address, and where keys are missing. Resolves no name."""
        self._endpoint = collector.endpoint
        with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            try:
                socket.connect(self._endpoint)
            except zmq.ZMQError:
                raise ConfigError(
                    f"collector.endpoint: {self._endpoint!r} is no address;"
                    " write tcp://host:port or ipc:///path"
                ) from None
        self._keys = gateway_keys(collector)
        self._is_failing = False

    @contextlib.contextmanager
    def opened(self) -> Iterator[tuple[zmq.asyncio.Socket, NextEnd]]:
        """A socket that connects, again and again, while the block lasts; and how its handshakes end."""
        with (
            zmq.asyncio.Context() as context,
            context.socket(zmq.DEALER) as socket,
            handshakes(socket) as next_end,
        ):
            socket.setsockopt(zmq.SNDHWM, MAX_FRAMES_QUEUED)
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.IMMEDIATE, 1)
            socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_FRAME_BYTES)
            if self._keys is not None:
                socket.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret)
                socket.setsockopt(zmq.CURVE_PUBLICKEY, self._keys.public)
                socket.setsockopt(zmq.CURVE_SERVERKEY, self._keys.peer)
            socket.connect(self._endpoint)
            yield socket, next_end

    async def failed(self, next_end: NextEnd) -> None:
        """Returns when a handshake failed after which ZeroMQ does not try again."""
        while True:
            end = await next_end()
            if end == SUCCEEDED:
                self._note_success()
            elif end in {REFUSED, UNFIT}:
                self._note_failure(end)
                return
            elif self._keys is not None:  # plain, the collector may be stopping, or somebody else at its port
                self._note_failure(end)

    def _note_success(self) -> None:
        if self._is_failing:
            log.info("the collector at %s and this gateway agree on keys now", self._endpoint)
        self._is_failing = False

    def _note_failure(self, end: zmq.Event) -> None:
        if not self._is_failing:
            log.warning(
                "the collector at %s and this gateway don't agree on keys: %s. Records wait here until both"
                " have those of one `lessllm keys` (collector.curve)",
                self._endpoint,
                _WHY[end] if self._keys is not None else "it wants some, and there are none here",
            )
        self._is_failing = True


_WHY = {
    REFUSED: "it does not know this gateway's key",
    UNFIT: "it has none, or others",
    BROKEN_OFF: "it breaks the handshake off, as one with other keys does",
}
