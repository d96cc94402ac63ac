"""The HTTP server's side, over raw connections: heads, bodies, methods and pipelines of all kinds."""

import asyncio
import contextlib
import json

import pytest
from lessllm_shared.record import EndReason

KEY = b"authorization: Bearer sk-x\r\n"
JSON = b"content-type: application/json\r\n"
CHAT = json.dumps({"model": "gpt-4o", "messages": []}).encode()


async def connect(client):
    return await asyncio.open_connection(client.base_url.host, client.base_url.port)


async def read_all(reader) -> bytes:
    received = b""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(65536):
                received += chunk
    return received


async def exchange(client, *pieces: bytes) -> bytes:
    """Everything that comes back for these bytes, until the server closes."""
    reader, writer = await connect(client)
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
    received = await read_all(reader)
    writer.close()
    return received


def head(line: bytes, *more: bytes) -> bytes:
    return line + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n" + KEY + b"".join(more) + b"\r\n"


def code(received: bytes) -> str:
    return json.loads(received.partition(b"\r\n\r\n")[2])["error"]["code"]


async def test_a_head_without_end_is_refused(gateway):
    client = await gateway()
    lines = [b"x-%d: %b\r\n" % (i, b"v" * 4000) for i in range(200)]
    received = await exchange(client, b"GET /v1/files HTTP/1.1\r\nhost: localhost\r\n", *lines)
    assert not received or code(received) == "request_head_too_large"  # or reset while it still sends


@pytest.mark.parametrize("begin", [b"GET /v1/files HTTP/1.1\r\nx: ", b"GET /", b"GET /v1 HTTP/1.1\r\nn"])
async def test_no_single_part_of_a_head_grows_without_bound(gateway, begin):
    client = await gateway()
    await exchange(client, begin, *[b"v" * 4000] * 200)


async def test_trailers_and_chunk_extensions_without_end_close_the_connection(gateway, upstream, answer):
    upstream.answer = answer(b"{}")
    client = await gateway()
    begin = head(b"POST /v1/x", b"transfer-encoding: chunked\r\n")
    await exchange(client, begin, b"0\r\n", *[b"t: %b\r\n" % (b"v" * 4000)] * 200)
    await exchange(client, begin, b"5;", *[b"v" * 4000] * 200)


async def test_a_head_of_ordinary_size_passes_in_pieces_of_any_size(gateway, upstream, answer):
    upstream.answer = answer(b"{}")
    client = await gateway()
    request = head(b"GET /v1/files", b"x-long: %b\r\n" % (b"v" * 30_000))
    received = await exchange(client, *[request[i : i + 1000] for i in range(0, len(request), 1000)])
    assert received.startswith(b"HTTP/1.1 200")
    assert b"v" * 30_000 in upstream.requests[0]


async def test_a_connection_that_falls_silent_before_its_request_is_whole_is_closed(serving, gateway):
    app = await gateway.app()
    async with serving(app, keep_alive_s=0.2) as url:
        port = int(url.rpartition(":")[2])
        for begun in (b"", b"GET /v1/files HTTP/1.1\r\nhost:"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begun)
            assert await read_all(reader) == b""
            writer.close()


async def test_a_connection_made_just_before_the_end_has_its_call(serving, gateway, upstream, answer):
    upstream.answer = answer(b"{}")

    async def call_at_the_end(port, reader, writer):
        with contextlib.suppress(OSError):
            while True:  # it accepts
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                await asyncio.sleep(0.001)
        writer.write(b"GET /v1/files HTTP/1.1\r\nhost: localhost\r\n" + KEY + b"\r\n")
        received = await read_all(reader)
        writer.close()
        return received

    async with serving(await gateway.app()) as url:
        port = int(url.rpartition(":")[2])
        calling = asyncio.create_task(
            call_at_the_end(port, *await asyncio.open_connection("127.0.0.1", port))
        )
    received = await calling
    assert received.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in received


async def dripped(port, beginning: bytes) -> bytes:
    """What comes back for a request that goes on byte by byte, until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = asyncio.create_task(read_all(reader))
    writer.write(beginning)
    while not received.done():
        writer.write(b"v")
        await asyncio.sleep(0.01)
    writer.close()
    return received.result()


async def test_a_head_that_comes_byte_by_byte_must_be_whole_in_time(serving, gateway):
    app = await gateway.app()
    async with serving(app, keep_alive_s=0.3) as url:
        assert await dripped(int(url.rpartition(":")[2]), b"GET /v1/files HTTP/1.1\r\nx: ") == b""


async def test_a_body_that_comes_byte_by_byte_must_be_whole_in_time(gateway, records):
    client = await gateway(timeouts={"idle_s": 5, "total_s": 0.3})
    await dripped(client.base_url.port, head(b"POST /v1/x", JSON, b"content-length: 100000\r\n"))
    record = await records.one()
    assert (record.end_reason, record.error_code) == (EndReason.REJECTED, "request_timeout")


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET /v1/\xe9 HTTP/1.1\r\n\r\n",
        b"GET /v1/x HTTP/1.1\r\nx: a\x01b\r\n\r\n",
        b"GET /v1/x HTTP/1.1\r\nx: a\r\n b\r\n\r\n",
        b"CONNECT evil.test:443 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_answered_as_json_and_closed(gateway, upstream, garbage):
    received = await exchange(await gateway(), garbage)
    assert received.startswith(b"HTTP/1.1 400")
    assert code(received) == "invalid_http"
    assert upstream.requests == []


async def test_a_body_too_large_is_refused_before_the_client_sends_it(gateway, upstream, records):
    client = await gateway(gateway={"max_request_bytes": 2048})
    request = head(b"POST /v1/chat/completions", JSON, b"expect: 100-continue\r\ncontent-length: 9999\r\n")
    received = await exchange(client, request)
    assert received.startswith(b"HTTP/1.1 413")
    assert code(received) == "request_too_large"
    record = await records.one()
    assert (record.end_reason, record.request_body_bytes) == (EndReason.REJECTED, 9999)
    assert upstream.requests == []


async def test_a_body_that_is_expected_is_asked_for(gateway, upstream, answer):
    upstream.answer = answer(b"{}")
    client = await gateway(gateway={"measure_non_streaming": False})
    reader, writer = await connect(client)
    length = b"content-length: %d\r\n" % len(CHAT)
    writer.write(head(b"POST /v1/chat/completions", JSON, b"expect: 100-continue\r\n", length))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(CHAT)
    assert (await read_all(reader)).startswith(b"HTTP/1.1 200")
    assert b"expect" not in upstream.requests[0].lower()
    writer.close()


async def test_a_chunked_body_is_counted_as_it_comes(gateway, upstream, records):
    client = await gateway(gateway={"max_request_bytes": 2048})
    chunk = b"400\r\n%b\r\n" % (b"x" * 1024)
    request = head(b"POST /v1/chat/completions", JSON, b"transfer-encoding: chunked\r\n")
    received = await exchange(client, request, *[chunk] * 4, b"0\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 413")
    record = await records.one()
    assert 2048 < record.request_body_bytes <= 4096
    assert record.request_body == b"x" * len(record.request_body)
    assert upstream.requests == []


async def test_a_body_that_stops_half_way_times_out(gateway, records):
    client = await gateway(timeouts={"idle_s": 0.2})
    received = await exchange(client, head(b"POST /v1/x", JSON, b"content-length: 99\r\n"), b"half")
    assert received.startswith(b"HTTP/1.1 408")
    assert code(received) == "request_timeout"
    assert (await records.one()).end_reason is EndReason.REJECTED


async def test_a_client_that_leaves_half_way_through_its_request_is_recorded(gateway, upstream, records):
    client = await gateway()
    _, writer = await connect(client)
    writer.write(head(b"POST /v1/x", JSON, b"content-length: 99\r\n") + b"half")
    await writer.drain()
    writer.close()
    record = await records.one()
    assert (record.end_reason, record.error_code) == (EndReason.CLIENT_CANCELLED, "client_disconnected")
    assert upstream.requests == []


async def test_pipelined_requests_are_answered_in_their_order(gateway, upstream, records, answer):
    async def tell_path(writer):
        path = upstream.requests[-1].split(b" ")[1]
        await asyncio.sleep(0.1 if path.endswith(b"1") else 0)
        writer.write(answer(path))

    upstream.answer = tell_path
    client = await gateway()
    first, last = (b"GET /v1/%d HTTP/1.1\r\nhost: localhost\r\n%b" % (i, KEY) for i in (1, 2))
    received = await exchange(client, first + b"\r\n" + last + b"connection: close\r\n\r\n")
    assert received.index(b"/v1/1") < received.index(b"/v1/2")
    assert len(records.all) == 2


async def test_head_and_options_are_relayed_as_they_are(gateway, upstream, records):
    upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nallow: GET\r\nconnection: close\r\n\r\n"
    client = await gateway()
    received = await exchange(client, head(b"HEAD /v1/files"))
    assert received.startswith(b"HTTP/1.1 200")
    assert b"content-length: 7\r\n" in received
    assert received.endswith(b"\r\n\r\n")
    assert (await records.one()).end_reason is EndReason.COMPLETE
    upstream.answer = b"HTTP/1.1 204 No Content\r\nallow: GET\r\nconnection: close\r\n\r\n"
    assert b"allow: GET" in await exchange(client, head(b"OPTIONS /v1/files"))
    assert upstream.requests[1].startswith(b"OPTIONS /v1/files HTTP/1.1")


@pytest.mark.parametrize(
    ("line", "status", "expected"),
    [
        (b"OPTIONS *", 404, "unknown_endpoint"),
        (b"TRACE /v1/files", 405, "method_not_allowed"),
        (b"GET //evil.test/v1/models", 404, "unknown_provider"),
        (b"GET /evil.test/v1/models", 404, "unknown_provider"),
        (b"GET /openai@evil.test/v1", 404, "unknown_provider"),
        (b"GET /openai/../anthropic/v1/files", 400, "invalid_path"),
        (b"GET /v1/%2e%2E/secret", 400, "invalid_path"),
        (b"GET /openai/v1/..%2f..%2fsecret", 400, "invalid_path"),
        (b"GET /openai/v1/.%2e%5csecret", 400, "invalid_path"),
        (b"GET /v1/./files", 400, "invalid_path"),
        (b"GET /v1/..;/secret", 400, "invalid_path"),
        (b"GET /v1/files/.%2e%3bx=1/secret", 400, "invalid_path"),
    ],
)
async def test_a_path_that_leads_elsewhere_is_refused(gateway, upstream, records, line, status, expected):
    received = await exchange(await gateway(), head(line))
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert code(received) == expected
    record = await records.one()
    assert (record.end_reason, record.error_code) == (EndReason.REJECTED, expected)
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        (b"/openai//evil.test/x", b"//evil.test/x"),
        (b"/openai/v1/a%2Fb%20c//d?x=%41&y=a+b", b"/v1/a%2Fb%20c//d?x=%41&y=a+b"),
        (b"/openai/v1/{a|b}~'(c);d=e:f@g", b"/v1/{a|b}~'(c);d=e:f@g"),
        (b"/v1/files/..x/.../y..;z", b"/v1/files/..x/.../y..;z"),
        (b"http://evil.test/v1/files", b"/v1/files"),
        (b"/openai", b"/"),
    ],
)
async def test_a_path_goes_byte_for_byte_to_the_configured_address(gateway, upstream, answer, path, sent):
    upstream.answer = answer(b"{}")
    received = await exchange(await gateway(), head(b"GET " + path))
    assert received.startswith(b"HTTP/1.1 200")
    line, _, rest = upstream.requests[0].partition(b"\r\n")
    assert line == b"GET " + sent + b" HTTP/1.1"
    assert rest.startswith(b"host: " + upstream.url.removeprefix("http://").encode() + b"\r\n")


async def test_websockets_are_refused_with_a_reason(gateway, upstream, records):
    upgrade = b"upgrade: WebSocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: eA==\r\n"
    request = b"GET /v1/realtime HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\n" + KEY + upgrade
    reader, writer = await connect(await gateway())
    writer.write(request + b"\r\n")
    received = await reader.readuntil(b"}}")
    writer.close()
    assert received.startswith(b"HTTP/1.1 400")
    assert code(received) == "websocket_not_supported"
    assert (await records.one()).error_code == "websocket_not_supported"
    assert upstream.requests == []


async def test_an_offer_to_upgrade_to_http2_is_passed_over(gateway, upstream, answer):
    upstream.answer = answer(b"{}")
    offer = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
    request = b"POST /v1/x HTTP/1.1\r\nhost: localhost\r\n" + KEY + JSON + offer
    reader, writer = await connect(await gateway())
    writer.write(request + b"content-length: 2\r\n\r\n{}")
    assert (await reader.readuntil(b"\r\n")) == b"HTTP/1.1 200 OK\r\n"
    writer.close()
    assert b"http2-settings" not in upstream.requests[0].lower()
    assert b"h2c" not in upstream.requests[0]
    assert upstream.requests[0].endswith(b"{}")


async def test_an_offer_to_upgrade_that_can_not_be_passed_over_is_refused(gateway, upstream):
    request = (
        head(b"POST /v1/x", JSON, b"connection: Upgrade\r\nupgrade: h3\r\ncontent-length: 2\r\n") + b"{}"
    )
    assert code(await exchange(await gateway(), request)) == "upgrade_not_supported"
    assert upstream.requests == []
