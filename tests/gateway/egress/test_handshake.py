"""What is said to proxies, byte for byte, and what is made of their answers, whatever these are."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_gateway.egress.handshake import MAX_REPLY_HEAD_BYTES, Exactly, Refused, handshake
from lessllm_gateway.egress.hops import Credentials, Hop, Kind

AUTH = Credentials("alice", "s3cret:é")
NAME, PORT = "api.test", 443
CONNECT = b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n"
OK = b"HTTP/1.1 200 Connection established\r\n\r\n"
SOCKS4_OK = bytes((0, 90)) + bytes(6)
SOCKS5_OK = bytes((5, 0, 0, 1)) + bytes(6)


class TruncatedError(Exception):
    """The answer ends before the handshake does."""


def hop(kind: Kind, credentials: Credentials | None = None) -> Hop:
    return Hop(kind, "proxy.test", 1080, credentials)


def talked(to: Hop, answer: bytes, host: str = NAME, port: int = PORT) -> tuple[list[bytes], bytes]:
    """What is said, and what of the answer is not read. Raises Refused and TruncatedError."""
    talk, said = handshake(to, host, port), []
    step = next(talk)
    try:
        while True:
            if isinstance(step, bytes):
                said.append(step)
                step = next(talk)
                continue
            if isinstance(step, Exactly):
                size = step.size
            else:
                size = answer.find(step.delimiter, 0, step.limit_bytes) + len(step.delimiter)
                if size < len(step.delimiter):
                    raise TruncatedError
            if len(answer) < size:
                raise TruncatedError
            taken, answer = answer[:size], answer[size:]
            step = talk.send(taken)
    except StopIteration:
        return said, answer


def refusal(to: Hop, answer: bytes, host: str = NAME) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        talked(to, answer, host)
    assert "s3cret" not in repr(refused.value) + str(refused.value)
    return refused.value.code, refused.value.text


def accepted(kind: Kind, *, auth: bool = False) -> bytes:
    """The shortest answer that opens the way."""
    if kind in {Kind.HTTP, Kind.HTTPS}:
        return OK
    if kind in {Kind.SOCKS4, Kind.SOCKS4A}:
        return SOCKS4_OK
    return (b"\5\2\1\0" if auth else b"\5\0") + SOCKS5_OK


def address_for(kind: Kind) -> str:
    return NAME if hop(kind).resolves_names else "192.0.2.7"


@pytest.mark.parametrize("kind", [Kind.HTTP, Kind.HTTPS])
@pytest.mark.parametrize(
    ("host", "target"),
    [
        (NAME, b"api.test:443"),
        ("192.0.2.7", b"192.0.2.7:443"),
        ("2001:db8::7", b"[2001:db8::7]:443"),
        ("bücher.test", b"xn--bcher-kva.test:443"),
    ],
)
def test_connect_names_the_target_twice(kind, host, target):
    said, left = talked(hop(kind), OK, host)
    assert said == [b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target)]
    assert left == b""


def test_connect_carries_basic_credentials_in_utf_8():
    said, _ = talked(hop(Kind.HTTP, AUTH), OK)
    assert said == [CONNECT + b"Proxy-Authorization: Basic YWxpY2U6czNjcmV0OsOp\r\n\r\n"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nvia: x\r\ncontent-length: 9\r\n\r\n",
        b"HTTP/1.1 204 \r\n\r\n",
        b"HTTP/1.1 299 Fine\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Wait\r\nlink: x\r\n\r\n" + OK,
    ],
)
@pytest.mark.parametrize("rest", [b"", b"\x16\x03\x01", b"\r\n\r\n"])
def test_connect_is_done_with_a_status_of_200_to_299_and_reads_no_further_than_its_head(answer, rest):
    assert talked(hop(Kind.HTTP), answer + rest)[1] == rest


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (407, "proxy_auth_failed", "user name and password"),
        (403, "proxy_refused_target", "refuses"),
        (302, "proxy_refused_target", "refuses"),
        (404, "proxy_refused_target", "refuses"),
        (405, "proxy_refused_target", "refuses"),
        (500, "upstream_unreachable", "reach"),
        (502, "upstream_unreachable", "can't reach"),
        (503, "upstream_unreachable", "can't reach"),
        (504, "upstream_unreachable", "in time"),
    ],
)
def test_connect_says_why_the_way_stays_closed(status, code, text):
    answer = f"HTTP/1.1 {status} No, s3cret\r\ncontent-length: 100000\r\n\r\n".encode()
    refused, why = refusal(hop(Kind.HTTP, AUTH), answer)
    assert refused == code and text in why and str(status) in why


@pytest.mark.parametrize(
    "answer",
    [
        b"\r\n\r\n",
        b"\x16\x03\x01\x00\x05\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 ٢٠٠ OK\r\n\r\n".encode(),
        b"\xff\xfe\r\n\r\n",
        b"\5\0\r\n\r\n",
    ],
)
def test_what_is_no_answer_to_connect_is_not_understood(answer):
    code, text = refusal(hop(Kind.HTTP), answer)
    assert code == "proxy_protocol_error" and "HTTP" in text


def test_the_head_of_an_answer_to_connect_has_a_limit():
    talk = handshake(hop(Kind.HTTP), NAME, PORT)
    assert next(talk) == CONNECT + b"\r\n"
    step = next(talk)
    assert (step.delimiter, step.limit_bytes) == (b"\r\n\r\n", MAX_REPLY_HEAD_BYTES)


@pytest.mark.parametrize("kind", [Kind.SOCKS4, Kind.SOCKS4A])
def test_socks4_sends_an_address_and_a_user(kind):
    request = b"\4\1\x01\xbb\xc0\0\2\7"
    assert talked(hop(kind), SOCKS4_OK + b"x", "192.0.2.7") == ([request + b"\0"], b"x")
    assert talked(hop(kind, AUTH), SOCKS4_OK, "192.0.2.7") == ([request + b"alice\0"], b"")


def test_socks4a_sends_a_name_after_an_address_that_can_not_be():
    request = b"\4\1\x01\xbb\0\0\0\1"
    assert talked(hop(Kind.SOCKS4A), SOCKS4_OK) == ([request + b"\0api.test\0"], b"")
    assert talked(hop(Kind.SOCKS4A, AUTH), SOCKS4_OK) == ([request + b"alice\0api.test\0"], b"")


@pytest.mark.parametrize(
    ("kind", "host"), [(Kind.SOCKS4, "2001:db8::7"), (Kind.SOCKS4A, "2001:db8::7"), (Kind.SOCKS4, NAME)]
)
def test_socks4_has_no_room_for_other_addresses(kind, host):
    code, text = refusal(hop(kind), b"", host)
    assert code == "proxy_refused_target" and "socks5" in text


@pytest.mark.parametrize(
    ("reply", "code", "text"),
    [
        (91, "upstream_unreachable", "can't reach"),
        (92, "proxy_auth_failed", "identd"),
        (93, "proxy_auth_failed", "user name"),
        (0, "proxy_protocol_error", "0"),
        (255, "proxy_protocol_error", "255"),
    ],
)
def test_socks4_says_why_the_way_stays_closed(reply, code, text):
    refused, why = refusal(hop(Kind.SOCKS4A), bytes((0, reply)) + bytes(6))
    assert refused == code and text in why


@pytest.mark.parametrize("version", [4, 5, 0x48])
def test_another_version_than_socks4_answers_with_is_not_understood(version):
    code, text = refusal(hop(Kind.SOCKS4A), bytes((version, 90)) + bytes(6))
    assert code == "proxy_protocol_error" and "SOCKS4" in text


@pytest.mark.parametrize("kind", [Kind.SOCKS5, Kind.SOCKS5H])
@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.7", b"\1\xc0\0\2\7"),
        ("2001:db8::7", b"\4" + ipaddress.ip_address("2001:db8::7").packed),
        (NAME, b"\3\x08api.test"),
        ("bücher.test", b"\3\x12xn--bcher-kva.test"),
    ],
)
def test_socks5_offers_a_method_and_asks_for_an_address_or_a_name(kind, host, address):
    request = b"\5\1\0" + address + b"\x01\xbb"
    assert talked(hop(kind), b"\5\0" + SOCKS5_OK + b"x", host) == ([b"\5\1\0", request], b"x")


def test_socks5_shows_its_credentials_only_when_it_is_asked_for_them():
    request = b"\5\1\0\3\x08api.test\x01\xbb"
    shown = b"\1\5alice\x09s3cret:\xc3\xa9"
    to = hop(Kind.SOCKS5H, AUTH)
    assert talked(to, b"\5\2\1\0" + SOCKS5_OK) == ([b"\5\2\0\2", shown, request], b"")
    assert talked(to, b"\5\0" + SOCKS5_OK) == ([b"\5\2\0\2", request], b"")


@pytest.mark.parametrize("status", [1, 255])
def test_socks5_says_that_its_credentials_are_wrong(status):
    code, text = refusal(hop(Kind.SOCKS5H, AUTH), bytes((5, 2, 1, status)))
    assert code == "proxy_auth_failed" and "user name and password" in text


@pytest.mark.parametrize("method", [1, 2, 3, 0x80, 0xFF])
def test_socks5_says_that_the_proxy_wants_another_method(method):
    assert refusal(hop(Kind.SOCKS5H), bytes((5, method)))[0] == "proxy_auth_failed"
    if method != 2:
        assert refusal(hop(Kind.SOCKS5H, AUTH), bytes((5, method)))[0] == "proxy_auth_failed"


@pytest.mark.parametrize(
    ("reply", "code", "text"),
    [
        (1, "upstream_unreachable", "failed"),
        (2, "proxy_refused_target", "rules"),
        (3, "upstream_unreachable", "network"),
        (4, "upstream_unreachable", "host"),
        (5, "upstream_unreachable", "the upstream refuses"),
        (6, "upstream_unreachable", "too long"),
        (7, "proxy_protocol_error", "does not open"),
        (8, "proxy_refused_target", "kind of address"),
        (9, "proxy_protocol_error", "9"),
        (255, "proxy_protocol_error", "255"),
    ],
)
def test_socks5_says_why_the_way_stays_closed(reply, code, text):
    """Many proxies close right after the code: the rest of the answer is not waited for."""
    refused, why = refusal(hop(Kind.SOCKS5), bytes((5, 0, 5, reply, 0, 1)), "192.0.2.7")
    assert refused == code and text in why


@pytest.mark.parametrize("answer", [b"\4\0", b"HT", b"\5\0\4\0\0\1", b"\5\0\5\0\0\2", b"\5\0\5\0\0\0"])
def test_what_is_no_answer_of_socks5_is_not_understood(answer):
    code, text = refusal(hop(Kind.SOCKS5H), answer)
    assert code == "proxy_protocol_error" and "SOCKS5" in text


@pytest.mark.parametrize(
    "bound", [b"\1" + bytes(4), b"\4" + bytes(16), b"\3\0", b"\3\x08api.test", b"\3\xff" + b"x" * 255]
)
def test_socks5_reads_the_whole_address_that_the_proxy_is_bound_to(bound):
    assert talked(hop(Kind.SOCKS5H), b"\5\0\5\0\0" + bound + b"\x01\xbbrest")[1] == b"rest"


@pytest.mark.parametrize("kind", [Kind.SOCKS4A, Kind.SOCKS5H])
def test_socks_has_no_room_for_a_name_of_more_than_255_bytes(kind):
    assert b"x" * 255 in talked(hop(kind), accepted(kind), "x" * 255)[0][-1]
    assert refusal(hop(kind), accepted(kind), "x" * 256)[0] == "proxy_refused_target"


@pytest.mark.parametrize("kind", [Kind.HTTP, Kind.SOCKS4A, Kind.SOCKS5H])
@pytest.mark.parametrize("host", ["é..test", "é" * 64])
def test_what_can_not_be_a_name_is_said_to_be_none(kind, host):
    code, text = refusal(hop(kind), accepted(kind), host)
    assert code == "upstream_unreachable" and host in text


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("auth", [True, False])
def test_an_answer_that_ends_at_any_byte_is_waited_on(kind, auth):
    to, answer = hop(kind, AUTH if auth else None), accepted(kind, auth=auth)
    for size in range(len(answer)):
        with pytest.raises(TruncatedError):
            talked(to, answer[:size], address_for(kind))
    assert talked(to, answer, address_for(kind))[1] == b""


@given(
    st.sampled_from(list(Kind)),
    st.sampled_from([AUTH, None]),
    st.binary(max_size=40)
    | st.builds(lambda start, rest: start + rest, st.sampled_from([b"\5\0", b"\5\2\1\0", b"\0"]), st.binary())
    | st.binary(max_size=20).map(lambda data: b"HTTP/1.1 " + data + b"\r\n\r\n"),
)
def test_of_any_answer_comes_an_open_way_a_refusal_or_a_wish_for_more(kind, credentials, answer):
    try:
        _, left = talked(hop(kind, credentials), answer, address_for(kind))
    except (Refused, TruncatedError):
        return
    assert answer.endswith(left)


@given(st.sampled_from(list(Kind)), st.text(min_size=1, max_size=300), st.integers(1, 65535))
def test_any_host_is_asked_for_or_refused(kind, host, port):
    try:
        said, _ = talked(hop(kind), accepted(kind), host, port)
    except Refused:
        return
    assert said
