"""The socket that gateways connect to: a bound ZeroMQ ROUTER. With keys, it is open to gateways with theirs.

Who comes with other keys, or with none, is refused before a frame is read from there, and counted; it is
logged now and then, for anybody may knock.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterator

import zmq
import zmq.asyncio
from lessllm_shared import wire
from lessllm_shared.curve import Keys
from lessllm_shared.handshakes import BROKEN_OFF, UNFIT, handshakes
from lessllm_shared.now_and_then import NowAndThen
from zmq.utils import z85

from lessllm_collector.metrics import PEERS_REFUSED

FRAMES_QUEUED = 8  # in ZeroMQ, a gateway: memory stays where it is bounded

log = logging.getLogger(__name__)


class EntranceError(Exception):
    """The endpoint can't be bound."""


class Entrance:
    """Owns the socket, until it is closed. `run` until cancelled: who comes before waits."""

    def __init__(self, endpoint: str, keys: Keys | None = None) -> None:
        """Raises EntranceError."""
        self._endpoint = endpoint
        self._keys = keys
        self._is_to_be_said = NowAndThen()
        self._context = zmq.asyncio.Context()
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.RCVHWM, FRAMES_QUEUED)
        self.socket.setsockopt(zmq.LINGER, 1000)  # for the last acknowledgements
        self.socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_FRAME_BYTES)
        self._asked = self._context.socket(zmq.REP)  # by ZeroMQ: may the one with this key come in?
        if keys is not None:
            self._asked.bind("inproc://zeromq.zap.01")
            self.socket.setsockopt(zmq.ZAP_DOMAIN, b"lessllm")
            self.socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # nobody to ask: nobody comes in
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
            self.socket.setsockopt(zmq.CURVE_SERVER, 1)
        try:
            with _closed_to_others():
                self.socket.bind(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise EntranceError(
                f"can't listen on {endpoint}: {zmq.strerror(error.errno or 0)};"
                " set collector.endpoint to a free one"
            ) from None

    async def run(self) -> None:
        """Say who may come in, and who did not."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            if self._keys is not None:
                tasks.create_task(self._answer(z85.decode(self._keys.peer)))

    def close(self) -> None:
        """Once nobody uses the socket."""
        self.socket.close()
        self._asked.close()
        self._context.term()

    async def _answer(self, known: bytes) -> None:
        """ZeroMQ's RFC 27."""
        while True:
            version, request_id, _domain, address, _, _, key = await self._asked.recv_multipart()
            if key != known:
                self._refused("unknown_key", f"that of {address.decode()} is not gateway_public_key")
            verdict = (b"200", b"OK") if key == known else (b"400", b"unknown key")
            await self._asked.send_multipart([version, request_id, *verdict, b"", b""])

    async def _watch(self) -> None:
        why = "it has none, or those for another collector" if self._keys else "there are none here"
        with handshakes(self.socket) as next_end:
            while True:
                end = await next_end()
                if end == UNFIT:
                    self._refused("wrong_keys", why)
                elif end == BROKEN_OFF:
                    PEERS_REFUSED.labels("broken_off").inc()

    def _refused(self, reason: str, why: str) -> None:
        PEERS_REFUSED.labels(reason).inc()
        if self._is_to_be_said(reason):
            log.warning(
                "a gateway is refused at %s, its keys do not fit: %s (collector.curve)", self._endpoint, why
            )


@contextlib.contextmanager
def _closed_to_others() -> Iterator[None]:
    """What is made meanwhile, such as the socket of ipc://, is this user's alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
