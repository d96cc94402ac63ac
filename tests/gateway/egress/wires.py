"""A transport without a network: a test says what comes, and when the loop hears of the end."""

import asyncio
import contextlib
import socket
from typing import Any


class Wire(asyncio.Transport):
    """One end of a socket pair, which is only there to be polled."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.sent = b""
        self.is_paused = False
        self.is_aborted = False
        self._socket, self._peer = socket.socketpair()
        self.protocol = protocol
        protocol.connection_made(self)

    # The test calls these.

    def receive(self, data: bytes) -> None:
        """The server's bytes, read by the loop."""
        if not self.is_aborted:
            self.protocol.data_received(data)

    def end(self) -> None:
        """The server has closed it: the system knows, the loop does not yet."""
        self._peer.close()

    def hear_of_end(self) -> None:
        """Now the loop does."""
        self.end()
        if not self.is_aborted:
            self.protocol.eof_received()
            self.abort()

    # The protocol calls these.

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        del high, low

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket if name == "socket" else default

    def abort(self) -> None:
        if not self.is_aborted:
            self.is_aborted = True
            asyncio.get_running_loop().call_soon(self._lose)

    def _lose(self) -> None:
        self.dispose()
        self.protocol.connection_lost(None)

    def dispose(self) -> None:
        """Let go of the sockets."""
        for end in (self._socket, self._peer):
            with contextlib.suppress(OSError):
                end.close()
