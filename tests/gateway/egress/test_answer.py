"""Responses as bytes: read as h11 reads them, in whatever pieces they come; anything else is Broken."""

import itertools
from dataclasses import dataclass

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lessllm_gateway.egress.answer import MAX_HEAD_BYTES, Answer, Broken

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
HELLO = OK + b"content-length: 5\r\n\r\nhello"
A_READ_BYTES = 16 * 1024
TOKEN = st.text("abcxyz-", min_size=1, max_size=6).map(lambda name: f"x-{name}".encode())
VALUE = st.text("abc ,;=\"'\t\xe9", max_size=12).map(lambda value: value.encode("latin-1"))
HEADERS = st.lists(st.tuples(TOKEN, VALUE), max_size=4)


@dataclass
class Reading:
    """What somebody made of a response."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    keeps_alive: bool


def pieces(data: bytes, cuts) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def fed(answer: Answer, parts) -> bytes:
    return b"".join([answer.feed(part) for part in parts])


def read(*parts: bytes, method: str = "POST") -> Reading:
    """Raises Broken."""
    answer = Answer(method)
    body = fed(answer, parts)
    answer.end()
    assert answer.is_complete
    return Reading(answer.status, answer.headers, body, answer.keeps_alive)


def read_by_h11(data: bytes, method: str = "POST") -> Reading:
    """Raises h11.RemoteProtocolError."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    status, headers, body = 0, [], b""
    keeps_alive, has_ended = None, False
    while keeps_alive is None:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(b"")
            has_ended = True
        elif isinstance(event, h11.Response):
            status, headers = event.status_code, event.headers.raw_items()
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            keeps_alive = connection.their_state is h11.DONE and not has_ended
    return Reading(status, headers, body, keeps_alive)


@dataclass
class Written:
    """A response as some server may write it."""

    method: str
    version: bytes
    connection: bytes | None
    framing: str
    data: bytes
    cuts: list[int]

    @property
    def parts(self) -> list[bytes]:
        return pieces(self.data, self.cuts)


@st.composite
def responses(draw) -> Written:
    method = draw(st.sampled_from(["GET", "POST", "HEAD"]))
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.0"]))
    status = draw(st.sampled_from([200, 204, 304, 429, 503]) | st.integers(200, 599))
    framing = draw(st.sampled_from(["length", "chunked", "end"]))
    connection = draw(st.sampled_from([None, None, b"close", b"Keep-Alive", b"x-a, Close"]))
    body = draw(st.binary(max_size=60))
    headers = draw(HEADERS)
    headers += [(b"Connection", connection)] if connection else []
    headers += {
        "length": [(b"Content-Length", b"%d" % len(body))],
        "chunked": [(b"Transfer-Encoding", b"chunked")],
        "end": [],
    }[framing]
    lines = [b"HTTP/%b %d %b" % (version, status, draw(st.sampled_from([b"", b"OK", b"No \xe9"])))]
    lines += [b"%b:%b%b" % (name, draw(st.sampled_from([b"", b" ", b"\t "])), v) for name, v in headers]
    before = b"".join([draw(informational()) for _ in range(draw(st.integers(0, 2)))])
    data = before + b"\r\n".join([*lines, b"", b""])
    if method != "HEAD" and status not in {204, 304}:
        data += chunked(draw, body) if framing == "chunked" else body
    return Written(method, version, connection, framing, data, draw(st.lists(st.integers(0, 500))))


@st.composite
def informational(draw) -> bytes:
    status = draw(st.sampled_from([100, 102, 103, 199]))
    lines = [b"HTTP/1.1 %d Wait" % status, *(b"%b: %b" % header for header in draw(HEADERS))]
    return b"\r\n".join([*lines, b"", b""])


def chunked(draw, body: bytes) -> bytes:
    extension = st.sampled_from([b"", b";a", b";a=b;c", b';a="b c"'])
    parts = pieces(body, draw(st.lists(st.integers(0, 60), max_size=4)))
    chunks = [b"%x%b\r\n%b\r\n" % (len(part), draw(extension), part) for part in parts if part]
    trailers = [b"%b: %b\r\n" % header for header in draw(HEADERS)]
    return b"".join([*chunks, b"0", draw(extension), b"\r\n", *trailers, b"\r\n"])


def keeps_alive(written: Written, by_h11: bool) -> bool:
    """Where we differ from h11: it keeps no HTTP/1.0 connection, we none after a HEAD without a length."""
    has_no_body = any(b" %d " % status in written.data for status in (204, 304))
    is_framed = written.framing != "end" or has_no_body
    if written.version == b"1.0":
        return written.connection == b"Keep-Alive" and is_framed
    return by_h11 and (is_framed or written.method != "HEAD")


@given(responses())
def test_a_response_in_any_pieces_is_what_h11_makes_of_it(written):
    ours, theirs = read(*written.parts, method=written.method), read_by_h11(written.data, written.method)
    theirs.keeps_alive = keeps_alive(written, theirs.keeps_alive)
    assert ours == theirs


@given(responses(), st.integers(0, 10_000))
def test_a_response_that_ends_early_is_broken_where_h11_says_so_too(written, cut):
    data = written.data[: cut % len(written.data)]
    try:
        theirs = read_by_h11(data, written.method)
    except h11.RemoteProtocolError:
        with pytest.raises(Broken):
            read(*pieces(data, written.cuts), method=written.method)
    else:
        ours = read(*pieces(data, written.cuts), method=written.method)
        assert (ours.status, ours.headers, ours.body) == (theirs.status, theirs.headers, theirs.body)


@given(responses(), st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_response_with_wrong_bytes_is_broken_or_read_as_h11_reads_it(written, changes):
    mutated = bytearray(written.data)
    for at, value in changes:
        mutated[at % len(mutated)] = value
    try:
        ours = read(*pieces(bytes(mutated), written.cuts), method=written.method)
    except Broken:
        return
    try:
        theirs = read_by_h11(bytes(mutated), written.method)
    except h11.RemoteProtocolError:
        return
    assert (ours.status, ours.body) == (theirs.status, theirs.body)


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"HTTP/1.1 ", b"200", b"\r\n", b": ", b"0\r\n"])))
@example([b"\r\n" * 5])
def test_of_any_bytes_nothing_but_broken_is_raised(parts):
    try:
        read(*parts)
    except Broken as broken:
        error = broken
    else:
        return
    assert error.received == any(parts)


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"content-length: 5\r\ntransfer-encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"transfer-encoding: chunked\r\ncontent-length: 5", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"content-length: 5\r\ncontent-length: 6", b"hello"),
        (b"content-length: 5, 6", b"hello"),
        (b"content-length: +5", b"hello"),
        (b"content-length: 5 5", b"hello"),
        (b"content-length: -5", b"hello"),
        (b"content-length: 0x5", b"hello"),
        (b"content-length:", b"hello"),
        (b"content-length: 99999999999999999999", b"hello"),
        (b"content-length : 5", b"hello"),
        (b"content-length: 5\n", b"hello"),
        (b"content-length: 5\r\n\r", b"hello"),
        (b"x: a\r\n folded\r\ncontent-length: 5", b"hello"),
        (b"x: a\0\r\ncontent-length: 5", b"hello"),
        (b"x: a\rb\r\ncontent-length: 5", b"hello"),
        (b"transfer-encoding:", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"transfer-encoding: identity", b"hello"),
        (b"transfer-encoding: gzip", b"hello"),
        (b"transfer-encoding: gzip, chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"transfer-encoding: chunked, gzip", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"transfer-encoding: gzip\r\ntransfer-encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"transfer-encoding: chunked\r\ntransfer-encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"transfer-encoding: xchunked", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"transfer-encoding: chunked;q=1", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"transfer-encoding: chunked", b"5\nhello\n0\n\n"),
        (b"transfer-encoding: chunked", b"5 \r\nhello\r\n0\r\n\r\n"),
        (b"transfer-encoding: chunked", b"+5\r\nhello\r\n0\r\n\r\n"),
        (b"transfer-encoding: chunked", b"5\r\nhello0\r\n\r\n"),
        (b"transfer-encoding: chunked", b"5\r\nhello\r\n-1\r\n\r\n"),
        (b"transfer-encoding: chunked", b"10000000000000000000\r\nhello"),
    ],
)
def test_framing_that_can_be_read_in_two_ways_is_refused(framing, body):
    with pytest.raises(Broken) as broken:
        read(OK + framing + b"\r\n\r\n" + body)
    assert broken.value.received


@pytest.mark.parametrize(
    "data",
    [
        HELLO.replace(b"\r\n", b"\n"),
        HELLO.replace(b"HTTP/1.1 200", b"HTTP/1.1 099"),
        HELLO.replace(b"HTTP/1.1 200", b"HTTP/1.1 20"),
        HELLO.replace(b"HTTP/1.1 200", b"HTTP/1.1 2000"),
        HELLO.replace(b"HTTP/1.1", b"HTTP/3.1"),
        HELLO.replace(b"HTTP/1.1", b"http/1.1"),
        b"ICY 200 OK\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 101 Over\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 101 Over\r\n\r\n" + HELLO,
        b"HTTP/1.1 199 Wait\r\ncontent-length: 5\r\n\r\nhello" + HELLO,
        b"\x16\x03\x01\x00\x05",
    ],
)
def test_what_is_no_response_to_a_request_of_ours_is_broken(data):
    for parts in ([data], pieces(data, range(len(data)))):
        with pytest.raises(Broken):
            read(*parts)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200", OK, HELLO[:-1], CHUNKED + b"5\r\nhello\r\n0\r\n"])
def test_an_answer_that_has_no_end_is_broken_when_the_connection_has_one(data):
    with pytest.raises(Broken) as broken:
        read(data)
    assert broken.value.received == bool(data)


@pytest.mark.parametrize(
    "extra",
    [
        HELLO,
        b"H",
        b"\0",
        b"<html>",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Wait\r\n\r\n",
        b"HTTP/1.1 101 Over\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        CHUNKED + b"zz",
    ],
)
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("data", "method", "body"),
    [
        (HELLO, "POST", b"hello"),
        (HELLO[:-5], "HEAD", b""),
        (CHUNKED, "HEAD", b""),
        (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", "POST", b"hello"),
        (HELLO[:-5].replace(b"200", b"304"), "GET", b""),
    ],
)
def test_what_follows_an_answer_leaves_it_as_it_is_and_ends_the_connection(
    data, method, body, together, extra
):
    reading = read(*([data + extra] if together else [data, extra]), method=method)
    assert (reading.body, reading.keeps_alive) == (body, False)


def test_what_follows_an_answer_is_not_kept():
    answer = Answer("POST")
    answer.feed(HELLO + OK + b"x: ")
    assert fed(answer, [b"x" * A_READ_BYTES] * (2 * MAX_HEAD_BYTES // A_READ_BYTES)) == b""
    assert answer.is_complete and not answer.keeps_alive


def test_headers_stay_as_they_were_written_without_the_space_around_them():
    head = OK + b"Set-Cookie: a=b \t\r\nset-cookie:\tc\r\nX-Empty:\r\nTransfer-Encoding: Chunked \r\n\r\n"
    reading = read(b"HTTP/1.1 103 Hints\r\nlink: x\r\n\r\n" + head + b"0\r\nx-trailer: 1\r\n\r\n")
    assert reading.headers == [
        (b"Set-Cookie", b"a=b"),
        (b"set-cookie", b"c"),
        (b"X-Empty", b""),
        (b"Transfer-Encoding", b"Chunked"),
    ]


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"", b"\r\n"),
        (b"HTTP/1.1 200 ", b"x"),
        (OK, b"x: y\r\n"),
        (OK + b"x: ", b"y"),
        (b"", b"HTTP/1.1 100 Wait\r\n\r\n"),
        (CHUNKED + b"5;a=", b"x"),
        (CHUNKED + b"5\r\nhello\r\n0\r\n", b"x: y\r\n"),
        (CHUNKED + b"5\r\nhello\r\n0\r\nx: ", b"y"),
    ],
)
def test_a_head_or_trailer_that_does_not_end_is_broken_before_it_takes_much_memory(start, more):
    answer = Answer("POST")
    answer.feed(start)
    data = more * (A_READ_BYTES // len(more))
    with pytest.raises(Broken, match="does not end"):
        fed(answer, [data] * (MAX_HEAD_BYTES // len(data) + 1))


def test_a_stream_of_any_length_is_read_whose_chunks_come_in_many_reads():
    answer, count = Answer("POST"), MAX_HEAD_BYTES // 3
    answer.feed(CHUNKED)
    body = fed(answer, [b"1\r", b"\n", b"x", b"\r\n"] * count)
    answer.feed(b"0\r\n\r\n")
    assert answer.is_complete and body == b"x" * count
