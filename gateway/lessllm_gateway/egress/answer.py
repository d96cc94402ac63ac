"""One HTTP/1.1 response, read from bytes. Sans-I/O, over httptools (llhttp, the parser that uvicorn uses).

Bytes enter as the network brought them; out comes the head once it is whole, and the body's bytes of each
read. The strictest reading of the framing is taken: a response that two parties could read differently is
Broken. Informational responses are read over. What follows a complete response is its sender's mistake: it
stands, and the connection is not used again.
"""

import httptools
import httpx

from lessllm_gateway.credentials import RawHeaders

MAX_HEAD_BYTES = 128 * 1024  # of a response, informational ones before it included


class Broken(httpx.RemoteProtocolError):
    """The connection ended, or what came is not HTTP. `received`: whether anything of an answer had come."""

    def __init__(self, text: str, *, received: bool) -> None:
        super().__init__(text)
        self.received = received


class Answer:
    """A response to one request."""

    def __init__(self, method: str) -> None:
        self.status = 0
        self.headers: RawHeaders = []
        self.has_head = False
        self.is_complete = False
        self.keeps_alive = False  # the connection can carry another request
        self._is_head_only = method == "HEAD"
        self._parser = httptools.HttpResponseParser(self)
        self._received_bytes = 0  # of what is not body
        self._body: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """What of the body one read brought. Raises Broken."""
        if not self.has_head:
            self._received_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise Broken("it switched to a protocol that was not asked for", received=True) from None
        except httptools.HttpParserError:
            if not self.is_complete:
                raise Broken("its answer is not HTTP/1.1", received=True) from None
            self.keeps_alive = False
        if not self.has_head and self._received_bytes > MAX_HEAD_BYTES:
            raise Broken("its answer's head does not end", received=True)
        if not self._body:
            return b""
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        return body

    def end(self) -> None:
        """The connection ended. Raises Broken if the answer has not."""
        if self.is_complete:
            return
        if not self.has_head or not self._ends_with_connection():
            raise Broken("it closed the connection", received=self._received_bytes > 0)
        self.is_complete = True

    def _ends_with_connection(self) -> bool:
        length = False
        for name, value in self.headers:
            lowered = name.lower()
            if lowered == b"transfer-encoding":
                return value.rpartition(b",")[2].strip().lower() != b"chunked"
            length = length or lowered == b"content-length"
        return not length

    # httptools calls these.

    def on_message_begin(self) -> None:
        if self.is_complete:
            self.keeps_alive = False  # another answer, to nothing

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:  # afterwards: trailers
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.is_complete:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self.headers.clear()
            return
        self.status = status
        self.has_head = True
        self.keeps_alive = self._parser.should_keep_alive()
        self.is_complete = self._is_head_only

    def on_body(self, body: bytes) -> None:
        if self.is_complete:
            self.keeps_alive = False  # a body where there can be none
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self.has_head and not self._is_head_only:
            self.is_complete = True
