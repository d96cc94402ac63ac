"""One HTTP/1.1 response, read from bytes. Sans-I/O, over httptools (llhttp, the parser that uvicorn uses).

Bytes enter as the network brought them; out comes the head once it is whole, and the body's bytes of each
read. The strictest reading of the framing is taken: a response that two parties could read differently is
Broken. Informational responses and trailers are read over. What follows a complete response is its sender's
mistake: it stands, and the connection is not used again.
"""

import httptools
import httpx

from lessllm_gateway.credentials import RawHeaders

MAX_HEAD_BYTES = 128 * 1024  # of a response, informational ones before it included; of its trailers too


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
        self._ends_with_connection = False
        self._parser = httptools.HttpResponseParser(self)
        self._held_bytes = 0  # that the parser may hold: what came since the last of the body
        self._body: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """What of the body one read brought. Raises Broken."""
        if self.is_complete:
            self.keeps_alive = False
            return b""
        self._held_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.keeps_alive = False
            if not self.is_complete:
                raise Broken("its answer is not HTTP/1.1", received=True) from None
        if not self._body:
            if self._held_bytes > MAX_HEAD_BYTES and not self.is_complete:
                raise Broken("its answer's head or trailer does not end", received=True)
            return b""
        self._held_bytes = 0
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        return body

    def end(self, *, is_cut: bool = False) -> None:
        """The connection was closed, or cut. Raises Broken if that is not the answer's end."""
        if self.is_complete:
            return
        if is_cut or not self._ends_with_connection:
            raise Broken("it closed the connection", received=self.has_head or self._held_bytes > 0)
        self.is_complete = True

    def close(self) -> None:
        """It is read no further. Parser and answer hold each other, which is the garbage collector's work."""
        del self._parser

    # httptools calls these.

    def on_message_begin(self) -> None:
        if self.is_complete:
            self.keeps_alive = False  # another answer, to nothing

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:  # afterwards: trailers
            self.headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        if self.is_complete:
            return
        status = self._parser.get_status_code()
        if status < 200:
            if status < 100:
                raise httptools.HttpParserError("not a status")
            self.headers.clear()
            return
        codings, lengths = self._framing()
        if codings and codings != [b"chunked"]:  # llhttp takes "x, chunked" for it too, and the rest for none
            raise httptools.HttpParserError("a coding that was not asked for")
        self.status = status
        self.has_head = True
        self.keeps_alive = self._parser.should_keep_alive()
        self.is_complete = self._is_head_only
        self._ends_with_connection = not codings and not lengths

    def on_body(self, body: bytes) -> None:
        if self.is_complete:
            self.keeps_alive = False  # a body where there can be none
        elif self.has_head:
            self._body.append(body)
        else:
            raise httptools.HttpParserError("an informational response has no body")

    def on_message_complete(self) -> None:
        if self.has_head and not self._is_head_only:
            self.is_complete = True

    def _framing(self) -> tuple[list[bytes], list[bytes]]:
        """The values of Transfer-Encoding and Content-Length."""
        codings, lengths = [], []
        for name, value in self.headers:
            if len(name) == 17 and name.lower() == b"transfer-encoding":
                codings.append(value.lower())
            elif len(name) == 14 and name.lower() == b"content-length":
                lengths.append(value)
        return codings, lengths
