"""How the handshakes of a ZeroMQ socket end, which it tells only those who ask."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator

import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

SUCCEEDED = zmq.Event.HANDSHAKE_SUCCEEDED
REFUSED = zmq.Event.HANDSHAKE_FAILED_AUTH  # the peer's key is not a known one
UNFIT = zmq.Event.HANDSHAKE_FAILED_PROTOCOL  # one side alone has keys, or they are no pair
BROKEN_OFF = zmq.Event.HANDSHAKE_FAILED_NO_DETAIL  # by the other side, which saw one of the above, or is gone

NextEnd = Callable[[], Awaitable[zmq.Event]]


@contextlib.contextmanager
def handshakes(socket: zmq.asyncio.Socket) -> Iterator[NextEnd]:
    """Call what it gives to wait for the next one that ends, while the block lasts."""
    monitor = socket.get_monitor_socket(SUCCEEDED | REFUSED | UNFIT | BROKEN_OFF)

    async def next_end() -> zmq.Event:
        return zmq.Event((await recv_monitor_message(monitor))["event"])

    try:
        yield next_end
    finally:
        socket.disable_monitor()  # before its reader is closed: ZeroMQ would wait for that one, for ever
        monitor.close()
