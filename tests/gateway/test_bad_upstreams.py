"""Upstreams that fail in every way: the client hears of it, the record says it, the next call works."""

import asyncio
import contextlib
import gzip
import json
import socket
import struct

import httpx
import pytest
from lessllm_shared.record import EndReason

KEY = {"authorization": "Bearer sk-x"}
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = {**CHAT, "stream": True}
RESPONSES = {"model": "gpt-4o", "input": "x", "stream": True}
ASKED = {**STREAM, "stream_options": {"include_usage": True}}  # nothing to strip: bytes as they are
PLAIN = {"gateway": {"measure_non_streaming": False}}
CLAUDE = {"models": {"claude": {"provider": "anthropic", "model": "claude-3-opus-20240229"}}}
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
COMPLETION = b'{"id":"c1","object":"chat.completion","choices":[]}'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def post(client, body=CHAT, path="/v1/chat/completions") -> httpx.Response:
    return await client.post(path, json=body, headers=KEY)


async def expect(response, records, status, code, end_reason):
    """The client, the record and its last attempt agree."""
    assert response.headers["content-type"] == "application/json"
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    record = await records.one()
    assert (record.end_reason, record.error_code, record.status_code) == (end_reason, code, status)
    assert record.attempts[-1].error_code == code
    assert response.headers["x-lessllm-request-id"] == record.request_id
    return record


@pytest.mark.parametrize("body", [CHAT, STREAM])
@pytest.mark.parametrize(
    ("status", "content_type", "page"),
    [
        ("400 Bad Request", "application/json", b'{"error":{"message":"no","type":"invalid_request_error"}}'),
        ("429 Too Many Requests", "application/json", b'{"error":{"message":"slow down"}}'),
        ("500 Internal Server Error", "text/html", b"<html>oops</html>"),
        ("529 Overloaded", "text/plain", b""),
    ],
)
async def test_errors_of_the_upstream_pass_untouched(
    gateway, upstream, records, answer, body, status, content_type, page
):
    upstream.answer = answer(page, status, content_type, retry_after="7")
    response = await post(await gateway(), body)
    assert (response.status_code, response.content) == (int(status[:3]), page)
    assert response.headers["retry-after"] == "7"
    record = await records.one()
    assert (record.end_reason, record.response_body) == (EndReason.UPSTREAM_ERROR, page)
    assert record.attempts[0].status_code == int(status[:3])


@pytest.mark.parametrize("page", [b"<html>hello</html>", b'{"id": "c1", "cho', b"", b"\xff\xfe"])
async def test_a_200_that_is_no_json_passes_untouched(gateway, upstream, records, answer, page):
    upstream.answer = answer(page, content_type="text/html")
    response = await post(await gateway())
    assert (response.status_code, response.content) == (200, page)
    assert (await records.one()).response_body == page


@pytest.mark.parametrize(
    ("page", "content_type"),
    [
        (b"<html>hello</html>", "text/html"),
        (b'{"id": "c1", "cho', "application/json"),
        (b"[1, 2]", "application/json"),
        (b'{"content": [5], "usage": "x"}', "application/json"),
        (b"", "application/json"),
    ],
)
async def test_a_200_that_can_not_be_translated_is_a_502(
    gateway, upstream, records, answer, page, content_type
):
    upstream.answer = answer(page, content_type=content_type)
    providers = {"anthropic": {"base_url": upstream.url, "api_key": "k"}}
    client = await gateway(providers=providers, **CLAUDE)
    for body in ({**CHAT, "model": "claude"}, {**STREAM, "model": "claude"}):
        response = await post(client, body)
        await expect(response, records, 502, "upstream_invalid_answer", EndReason.UPSTREAM_ERROR)


@pytest.mark.parametrize(
    "event",
    [
        b"data: [1]\n\n",
        b'data: {"type":"message_start","message":[]}\n\n',
        b'data: {"type":"content_block_delta","delta":5}\n\n',
        b'data: {"type":"message_delta","usage":"x"}\n\n',
    ],
)
async def test_an_event_that_can_not_be_translated_ends_the_stream_with_an_error_or_is_passed_over(
    gateway, upstream, records, event
):
    async def stream(writer):
        writer.write(SSE + chunk(event) + b"0\r\n\r\n")

    upstream.answer = stream
    providers = {"anthropic": {"base_url": upstream.url, "api_key": "k"}}
    response = await post(await gateway(providers=providers, **CLAUDE), {**STREAM, "model": "claude"})
    assert response.status_code == 200
    record = await records.one()
    assert record.end_reason in {EndReason.UPSTREAM_ERROR, EndReason.COMPLETE}
    assert record.client_response_body == response.content


async def test_an_answer_that_is_compressed_against_our_wish_passes_or_is_a_502(
    gateway, upstream, records, answer
):
    packed = gzip.compress(EVENT)
    upstream.answer = answer(packed, content_type="text/event-stream", content_encoding="gzip")
    client = await gateway()
    assert (await post(client, STREAM)).content == EVENT
    assert (await records.one()).response_body == packed
    await expect(await post(client, CHAT), records, 502, "upstream_invalid_answer", EndReason.UPSTREAM_ERROR)


async def test_a_connection_that_is_reset_is_a_502(gateway, upstream, records):
    async def reset(writer):
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    upstream.answer = reset
    response = await post(await gateway())
    await expect(response, records, 502, "upstream_protocol_error", EndReason.UPSTREAM_ERROR)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"v" * 300_000,
        b"HTTP/1.1 200 OK\r\n",
    ],
)
async def test_an_upstream_that_speaks_no_http_is_a_502(gateway, upstream, records, garbage):
    upstream.answer = garbage
    response = await post(await gateway())
    await expect(response, records, 502, "upstream_protocol_error", EndReason.UPSTREAM_ERROR)


async def test_a_plain_answer_cut_short_breaks_the_connection_to_the_client(gateway, upstream, records):
    upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{half"
    client = await gateway(**PLAIN)
    with pytest.raises(httpx.RemoteProtocolError):
        await post(client)
    record = await records.one()
    assert (record.end_reason, record.error_code) == (EndReason.TRUNCATED, "upstream_truncated")
    assert record.response_body == b"{half"


@pytest.mark.parametrize(
    ("path", "body", "begins", "code"),
    [
        ("/v1/chat/completions", STREAM, b"data: ", "upstream_truncated"),
        ("/v1/chat/completions", ASKED, b"data: ", "upstream_truncated"),
        ("/v1/responses", RESPONSES, b"event: error\ndata: ", "upstream_truncated"),
        ("/v1/messages", {**STREAM, "max_tokens": 5, "model": "claude"}, b"event: error\ndata: ", None),
    ],
)
async def test_a_stream_cut_short_ends_with_an_error_in_the_callers_dialect(
    gateway, upstream, records, path, body, begins, code
):
    async def half(writer):
        writer.write(SSE + chunk(EVENT) + b"ff\r\ndata: {half")
        await writer.drain()

    upstream.answer = half
    response = await post(await gateway(), body, path)
    assert response.content.startswith(EVENT)
    last = response.content.rstrip().rpartition(b"\n\n")[2]
    assert last.startswith(begins)
    assert json.loads(last.removeprefix(begins))["error"]["code"] == code or "upstream_truncated"
    record = await records.one()
    assert (record.end_reason, record.error_code) == (EndReason.TRUNCATED, "upstream_truncated")
    assert record.response_body.startswith(EVENT)


async def test_an_error_after_a_plain_answer_began_adds_no_bytes_to_it(gateway, upstream, records):
    """The client asked for a stream, and the upstream answers plainly: an event would spoil the JSON."""
    upstream.answer = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{half"
    )
    with pytest.raises(httpx.RemoteProtocolError):
        await post(await gateway(), STREAM)
    assert (await records.one()).end_reason is EndReason.TRUNCATED


async def test_an_error_event_of_the_upstream_passes_untouched(gateway, upstream, records, answer):
    events = EVENT + b'data: {"error":{"message":"overloaded"}}\n\n'
    upstream.answer = answer(events, content_type="text/event-stream")
    client = await gateway()
    assert (await post(client, STREAM)).content == events
    assert (await records.one()).response_body == events
    response = await post(client, CHAT)  # streamed to measure it: the same as a plain answer
    await expect(response, records, 502, "upstream_error", EndReason.UPSTREAM_ERROR)


@pytest.mark.parametrize("spoilt", [b'data: {"choices":[{"del\n\n', b"data: <html>\n\n"])
async def test_a_measured_answer_with_a_spoilt_event_is_not_passed_off_as_whole(
    gateway, upstream, records, answer, spoilt
):
    events = EVENT + spoilt + b"data: [DONE]\n\n"
    upstream.answer = answer(events, content_type="text/event-stream")
    client = await gateway()
    response = await post(client, CHAT)
    await expect(response, records, 502, "upstream_invalid_answer", EndReason.UPSTREAM_ERROR)
    assert (await post(client, STREAM)).content == events


async def test_a_redirect_is_not_followed(gateway, upstream, records, answer):
    upstream.answer = answer(b"", "307 Temporary Redirect", location="http://evil.test/?key=sk-CANARY")
    client = await gateway()
    response = await post(client)
    assert (response.status_code, response.headers["location"]) == (307, "http://evil.test/?key=sk-CANARY")
    assert len(upstream.requests) == 1
    record = await records.one()
    assert record.end_reason is EndReason.COMPLETE
    assert "CANARY" not in repr(record)


async def silent(writer):
    await writer.wait_closed()


async def test_no_first_byte_in_time_is_a_504(gateway, upstream, records):
    upstream.answer = silent
    response = await post(await gateway(timeouts={"first_byte_s": 0.2}))
    await expect(response, records, 504, "upstream_timeout", EndReason.UPSTREAM_TIMEOUT)
    assert "first_byte_s" in response.json()["error"]["message"]
    async with asyncio.timeout(5):
        await upstream.closed.wait()


async def test_no_connection_in_time_is_a_504(gateway, records):
    with socket.socket() as full:  # its queue is full, so that the kernel answers no more
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(address)
        providers = {"openai": {"base_url": f"http://127.0.0.1:{address[1]}/v1"}}
        response = await post(await gateway(providers=providers, timeouts={"connect_s": 0.2}))
        await expect(response, records, 504, "connect_timeout", EndReason.CONNECT_ERROR)
        for sock in waiting:
            sock.close()


@pytest.mark.parametrize("timeouts", [{"idle_s": 0.2}, {"total_s": 0.5}])
async def test_a_stream_that_stops_or_never_ends_is_cut_with_an_error(gateway, upstream, records, timeouts):
    async def slow(writer):
        writer.write(SSE)
        while not writer.is_closing():
            writer.write(chunk(EVENT))
            await writer.drain()
            if "idle_s" in timeouts:
                await writer.wait_closed()
            await asyncio.sleep(0.05)

    upstream.answer = slow
    response = await post(await gateway(timeouts=timeouts), ASKED)
    assert b'"code":"upstream_timeout"' in response.content.rpartition(b"data: ")[2]
    record = await records.one()
    assert (record.end_reason, record.error_code) == (EndReason.UPSTREAM_TIMEOUT, "upstream_timeout")
    assert record.response_body.startswith(EVENT)
    async with asyncio.timeout(5):
        await upstream.closed.wait()


@pytest.mark.parametrize("body", [CHAT, ASKED])
async def test_a_client_that_leaves_cancels_the_upstream_call(gateway, upstream, records, body):
    upstream.answer = silent
    client = await gateway()
    call = asyncio.create_task(post(client, body))
    async with asyncio.timeout(5):
        await upstream.asked.wait()
        call.cancel()
        await upstream.closed.wait()
    record = await records.one()
    assert (record.end_reason, record.error_code) == (EndReason.CLIENT_CANCELLED, "client_disconnected")
    assert record.status_code is None


async def test_a_client_that_stops_reading_is_left_after_a_while(gateway, upstream, records):
    async def flood(writer):
        writer.write(SSE)
        while not writer.is_closing():
            writer.write(chunk(b"data: x\n\n" * 10_000))
            await writer.drain()

    upstream.answer = flood
    client = await gateway(timeouts={"total_s": 1})
    _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port, limit=1024)
    writer.transport.pause_reading()
    body = json.dumps(ASKED).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer k\r\n"
    writer.write(head + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    record = await records.one()
    assert (record.end_reason, record.error_code) == (EndReason.CLIENT_CANCELLED, "client_stalled")
    assert record.client_blocked_ns > record.upstream_end_ns / 2  # the time is the client's
    writer.close()


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "socks5://127.0.0.1:1", "socks4a://127.0.0.1:1"])
async def test_a_proxy_that_is_away_is_named(gateway, records, proxy):
    scheme = "socks" if proxy.startswith("socks") else "http"
    url = proxy.replace("://", "://user:CANARY@")
    client = await gateway(
        providers={"openai": {"base_url": "http://192.0.2.1/v1"}},
        proxy={f"{scheme}_proxy": url, "trust_env": False},
    )
    response = await post(client)
    await expect(response, records, 502, "proxy_unreachable", EndReason.PROXY_ERROR)
    assert proxy in response.json()["error"]["message"]
    assert "CANARY" not in response.text


async def test_a_plain_http_proxy_gets_the_whole_url_byte_for_byte(gateway, upstream, answer):
    upstream.answer = answer(b"{}")
    client = await gateway(
        providers={"openai": {"base_url": "http://upstream.test/v1"}},
        proxy={"http_proxy": upstream.url, "trust_env": False},
    )
    await client.get("/openai/v1//a%2Fb?x=1", headers=KEY)
    assert upstream.requests[0].startswith(b"GET http://upstream.test/v1//a%2Fb?x=1 HTTP/1.1\r\n")
    assert b"\r\nhost: upstream.test\r\n" in upstream.requests[0].lower()


async def test_after_all_that_the_next_call_works(gateway, upstream, records, answer):
    client = await gateway(**PLAIN, timeouts={"first_byte_s": 0.2})
    for broken in (b"", b"garbage\r\n\r\n", silent):
        upstream.answer = broken
        assert (await post(client)).status_code >= 500
        await records.one()
    upstream.answer = answer(COMPLETION)
    assert (await post(client)).content == COMPLETION


@contextlib.asynccontextmanager
async def proxy_that(answers: bytes | None):
    """A proxy that answers the first bytes it gets, and then closes; None: it stays silent."""

    async def serve(reader, writer):
        await reader.read(1024)
        if answers is None:
            await reader.read()
        else:
            writer.write(answers)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


PROXY, BEHIND = EndReason.PROXY_ERROR, EndReason.CONNECT_ERROR


@pytest.mark.parametrize(
    ("scheme", "answers", "status", "code", "end_reason"),
    [
        ("http", b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", 502, "proxy_auth_failed", PROXY),
        ("http", b"HTTP/1.1 403 Forbidden\r\n\r\n", 502, "proxy_refused_target", PROXY),
        ("http", b"HTTP/1.1 503 Service Unavailable\r\n\r\n", 502, "upstream_unreachable", BEHIND),
        ("http", b"\x05\xff\r\n\r\n", 502, "proxy_protocol_error", PROXY),
        ("http", b"", 502, "proxy_protocol_error", PROXY),
        ("http", None, 504, "proxy_timeout", PROXY),
        ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", 502, "proxy_tls_failed", PROXY),
        ("https", None, 504, "proxy_timeout", PROXY),
        ("socks5", b"\x05\xff", 502, "proxy_auth_failed", PROXY),
        ("socks5", b"\x05\x00\x05\x02\x00\x01" + bytes(6), 502, "proxy_refused_target", PROXY),
        ("socks5", b"HTTP/1.1 400 Bad Request\r\n\r\n", 502, "proxy_protocol_error", PROXY),
        ("socks5", None, 504, "proxy_timeout", PROXY),
        ("socks4", b"\x00\x5b" + bytes(6), 502, "upstream_unreachable", BEHIND),
        ("socks4", b"\x00\x5d" + bytes(6), 502, "proxy_auth_failed", PROXY),
    ],
)
async def test_a_proxy_that_refuses_or_stays_silent_is_named(
    gateway, records, scheme, answers, status, code, end_reason
):
    async with proxy_that(answers) as address:
        name = "http_proxy" if scheme.startswith("http") else "socks_proxy"
        client = await gateway(
            providers={"openai": {"base_url": "https://192.0.2.1/v1"}},
            proxy={name: f"{scheme}://{address}", "trust_env": False},
            timeouts={"proxy_handshake_s": 0.3},
        )
        response = await post(client)
    record = await expect(response, records, status, code, end_reason)
    assert f"{scheme}://{address}" in response.json()["error"]["message"]
    assert record.attempts[-1].phase == "proxy_handshake"
    assert record.network.proxy_handshake_ns is not None


async def test_a_call_that_finds_no_free_connection_in_time_is_a_503(gateway, upstream, records):
    upstream.answer = silent
    client = await gateway(pool={"max_connections": 1}, timeouts={"connect_s": 0.2})
    first = asyncio.create_task(post(client))
    async with asyncio.timeout(5):
        await upstream.asked.wait()
    await expect(await post(client), records, 503, "pool_exhausted", EndReason.CONNECT_ERROR)
    first.cancel()
    assert (await records.one()).end_reason is EndReason.CLIENT_CANCELLED


async def test_a_name_that_does_not_resolve_here_may_by_the_proxy(gateway, records):
    client = await gateway(
        providers={"openai": {"base_url": "http://upstream.test/v1"}},
        proxy={"socks_proxy": "socks5://127.0.0.1:1", "trust_env": False},
    )
    response = await post(client)
    record = await expect(response, records, 502, "upstream_unreachable", EndReason.CONNECT_ERROR)
    assert record.attempts[-1].phase == "dns"
    assert response.json()["error"]["message"].endswith("write socks5h://")
