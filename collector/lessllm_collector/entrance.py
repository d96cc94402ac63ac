"""The socket that gateways connect to: a bound ZeroMQ ROUTER."""

import zmq
import zmq.asyncio
from lessllm_shared import wire

FRAMES_QUEUED = 8  # in ZeroMQ, a gateway: memory stays where it is bounded


class EntranceError(Exception):
    """The endpoint can't be bound."""


class Entrance:
    """Owns the socket, until it is closed."""

    def __init__(self, endpoint: str) -> None:
        """Raises EntranceError."""
        self._context = zmq.asyncio.Context()
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.RCVHWM, FRAMES_QUEUED)
        self.socket.setsockopt(zmq.LINGER, 1000)  # for the last acknowledgements
        self.socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_FRAME_BYTES)
        try:
            self.socket.bind(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise EntranceError(
                f"can't listen on {endpoint}: {zmq.strerror(error.errno or 0)};"
                " set collector.endpoint to a free one"
            ) from None

    def close(self) -> None:
        """Once nobody uses the socket."""
        self.socket.close()
        self._context.term()
