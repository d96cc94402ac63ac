"""uvicorn's HTTP/1.1 protocol with bounds: on heads, trailers and silence. Wrong HTTP is answered as JSON.

The parser keeps names and values until they are complete, and uvicorn bounds neither. So bytes that bring
a request no further (no complete head, no piece of a body) are counted, and too many end the connection;
so does a connection whose head is not whole in time, be it silent or a byte a minute, or that never has one.
The parser takes a request that offers an upgrade to HTTP/2 (Java's client always does) for one without a
body, so the offer is hidden from it; declining is what not answering it means.
"""

import asyncio
import re

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024  # beyond the first read of a head
LAST_S = 0.5  # for a connection that has brought nothing yet, when the server stops
_OFFER = re.compile(rb"(?i)(\r\n)upgrade(:[ \t]*h2c[ \t]*\r\n)")


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    _fruitless_bytes = 0
    _is_head_open = False
    _is_in_message = False
    _is_used = False  # it has brought a request
    _is_last = False  # it has one call left
    _until_s: float | None = None  # when a head that has begun must be whole

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._wait_for_more()

    def data_received(self, data: bytes) -> None:
        if not self._is_in_message and b"h2c" in data:
            data = _without_offer(data)
        self._fruitless_bytes += len(data)
        super().data_received(data)
        if self._fruitless_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, "request_head_too_large", f"a request's head is over {MAX_HEAD_BYTES} bytes")
        elif self._is_head_open and self._is_answered() and not self.transport.is_closing():
            self._wait_for_more()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "invalid_http", msg)

    def on_message_begin(self) -> None:
        self._fruitless_bytes = 0
        self._is_head_open = self._is_in_message = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._fruitless_bytes = 0
        self._is_head_open = False
        self._until_s = None
        super().on_headers_complete()
        self._is_used = True
        if self._is_last:
            super().shutdown()

    def on_body(self, body: bytes) -> None:
        self._fruitless_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_in_message = False
        super().on_message_complete()

    def shutdown(self) -> None:
        """A new connection has a moment to bring its request: a balancer that made it asks nobody else."""
        if self._is_used:
            super().shutdown()
        else:
            self._is_last = True
            self.loop.call_later(LAST_S, self._close_if_unused)

    def _close_if_unused(self) -> None:
        if not self._is_used:
            self.transport.close()

    def _wait_for_more(self) -> None:
        if self._until_s is None:
            self._until_s = self.loop.time() + self.timeout_keep_alive
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_at(self._until_s, self.timeout_keep_alive_handler)

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer, unless an answer is under way, and close."""
        if self._is_answered():
            body = msgspec.json.encode({"error": {"message": message, "code": code}})
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + head % len(body) + body)
        self.transport.close()


def _without_offer(data: bytes) -> bytes:
    end = data.find(b"\r\n\r\n") + 2
    return _OFFER.sub(rb"\1x-lessllm-upgrade\2", data[:end]) + data[end:]
