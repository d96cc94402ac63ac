"""Requests that mean one thing to one server and another to the next: alone, and behind a real nginx.

What is hidden in one call must never become a call of its own, and no call ever leads anywhere but to the
configured address. nginx runs with deploy/nginx/nginx.conf, but for addresses and folders.
"""

import asyncio
import contextlib
import json
import re
import shutil
from pathlib import Path

import pytest
from e2e.processes import free_port

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin")
NGINX_CONF = Path(__file__).parents[2] / "deploy/nginx/nginx.conf"
KEY = b"authorization: Bearer sk-x\r\n"
POST = b"POST /v1/x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n" + KEY
HIDDEN = b"GET /v1/hidden HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n" + KEY + b"\r\n"
CHAT = json.dumps({"model": "gpt-4o", "messages": []}).encode()


def length(headers: bytes, body: bytes) -> bytes:
    """With a content-length that takes in all of the body."""
    return POST + headers.replace(b"LENGTH", b"%d" % len(body)) + b"\r\n" + body


def chunked(size: bytes, headers: bytes = b"transfer-encoding: chunked\r\n") -> bytes:
    """The hidden request in one chunk of that size."""
    size = size.replace(b"SIZE", b"%x" % len(HIDDEN))
    return POST + headers + b"\r\n" + size + HIDDEN + b"\r\n0\r\n\r\n"


ENDED = b"0\r\n\r\n" + HIDDEN  # to one who believes that it is chunked
SMUGGLING = {
    "both lengths": length(b"content-length: LENGTH\r\ntransfer-encoding: chunked\r\n", ENDED),
    "a space before the colon": length(b"content-length: LENGTH\r\ntransfer-encoding : chunked\r\n", ENDED),
    "an unknown coding": length(b"content-length: LENGTH\r\ntransfer-encoding: xchunked\r\n", ENDED),
    "no coding": length(b"content-length: LENGTH\r\ntransfer-encoding: identity\r\n", ENDED),
    "a quoted coding": length(b'content-length: LENGTH\r\ntransfer-encoding: "chunked"\r\n', ENDED),
    "a vertical tab": length(b"content-length: LENGTH\r\ntransfer-encoding: \x0bchunked\r\n", ENDED),
    "a folded line": length(b"content-length: LENGTH\r\ntransfer-encoding:\r\n chunked\r\n", ENDED),
    "a line end without CR": length(b"content-length: LENGTH\r\nx: y\ntransfer-encoding: chunked\r\n", ENDED),
    "a line end without LF": length(b"content-length: LENGTH\r\nx: y\rtransfer-encoding: chunked\r\n", ENDED),
    "an underscore": length(b"content-length: LENGTH\r\ntransfer_encoding: chunked\r\n", ENDED),
    "two lengths": length(b"content-length: 0\r\ncontent-length: LENGTH\r\n", HIDDEN),
    "two lengths in one": length(b"content-length: 0, LENGTH\r\n", HIDDEN),
    "a length with a sign": length(b"content-length: +LENGTH\r\n", HIDDEN),
    "a length of two numbers": length(b"content-length: 0 LENGTH\r\n", HIDDEN),
    "a length beyond all numbers": length(b"content-length: 18446744073709551616\r\n", HIDDEN),
    "chunked is not last": length(b"transfer-encoding: chunked, identity\r\n", ENDED),
    "a chunk's size with 0x": chunked(b"0xSIZE\r\n"),
    "a chunk's size with a sign": chunked(b"+SIZE\r\n"),
    "a chunk's size beyond all numbers": chunked(b"10000000000000000\r\n"),
    "a chunk's size without CR": chunked(b"SIZE\n"),
    "an extension that hides a line end": chunked(b"SIZE;\nx\r\n"),
    "no chunk at all": POST + b"transfer-encoding: chunked\r\n\r\n" + HIDDEN,
    "HTTP/1.0": length(b"content-length: LENGTH\r\ntransfer-encoding: chunked\r\n", ENDED).replace(
        b"/1.1", b"/1.0", 1
    ),
    "a head of another line end": (POST + b"content-length: 0\n\n") + HIDDEN,
}


@contextlib.asynccontextmanager
async def nginx_before(port, folder):
    """Gives its port."""
    listen = free_port()
    text = NGINX_CONF.read_text()
    for old, new in (
        ("listen 8000;", f"listen 127.0.0.1:{listen};"),
        ("http://gateway:8000", f"http://127.0.0.1:{port}"),
        ("worker_processes auto;", "worker_processes 1;"),
        ("/tmp/", f"{folder}/"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(text)
    log = (folder / "log").open("wb")
    command = [NGINX, "-c", folder / "nginx.conf", "-e", folder / "early.log", "-g", "daemon off; user root;"]
    process = await asyncio.create_subprocess_exec(*command, stderr=log)
    try:
        async with asyncio.timeout(20):
            while process.returncode is None:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", listen)
                    writer.close()
                    break
                await asyncio.sleep(0.02)
        assert process.returncode is None, (folder / "log").read_text()
        yield listen
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        log.close()


@pytest.fixture(params=["alone", "behind nginx"])
async def port(request, gateway, upstream, answer, tmp_path):
    """Of the gateway, or of nginx before it."""
    upstream.answer = answer(b"{}")
    client = await gateway(gateway={"measure_non_streaming": False})
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "alone":
            yield client.base_url.port
        elif NGINX is None:
            pytest.skip("no nginx: bash .ci/e2e-proxies installs it")
        else:
            yield await stack.enter_async_context(nginx_before(client.base_url.port, tmp_path))


async def say(port, data: bytes) -> bytes:
    """All that comes back for it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    async with asyncio.timeout(30):
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            while chunk := await reader.read(65536):
                received += chunk
    writer.close()
    return received


async def test_nothing_that_is_hidden_in_a_call_becomes_one(port, upstream, records):
    for name, request in SMUGGLING.items():
        received = await say(port, request)
        assert received.count(b"HTTP/1.1 ") <= 1, name
        assert re.match(rb"HTTP/1.1 (400|501|2\d\d)", received) or not received, (name, received)
    assert not [record.endpoint for record in records.all if "hidden" in record.endpoint]
    assert not [request for request in upstream.requests if request.startswith(b"GET")]
    for request in upstream.requests:  # what was taken whole, goes on as one
        head, _, body = request.partition(b"\r\n\r\n")
        assert b"content-length: %d" % len(body) in head
        assert b"chunked" not in head


PATHS = {
    b"/openai/../anthropic/v1/files": 400,
    b"/v1/%2e%2e/secret": 400,
    b"/v1/..%2fsecret": 400,
    b"/v1/..;/secret": 400,
    b"/%2e%2e/%2e%2e/etc/passwd": 400,
    b"//evil.test/v1/files": 404,
    b"/%2f%2fevil.test/v1/files": 404,
    b"/http://evil.test/v1/files": 404,
    b"/@evil.test/v1/files": 404,
    b"/openai@evil.test/": 404,
    b"/openai:80@evil.test/": 404,
    b"http://evil.test/openai/v1/files": 200,
    b"/openai//evil.test/v1": 200,
    b"/openai/http://evil.test/": 200,
    b"/openai/@evil.test/": 200,
    b"/openai/v1/files?url=http://evil.test/#@evil.test/": 200,
}


async def test_no_path_leads_anywhere_but_to_the_configured_address(port, upstream):
    for path, status in PATHS.items():
        request = b"GET %b HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n%b\r\n" % (path, KEY)
        received = await say(port, request)
        assert received.startswith(b"HTTP/1.1 %d" % status), (path, received)
    assert len(upstream.requests) == [*PATHS.values()].count(200)
    for request in upstream.requests:
        target = request.split(b" ")[1]
        assert target.startswith(b"/") and b"#" not in target
        assert re.findall(rb"(?im)^host: (.*)\r$", request) == [upstream.url.removeprefix("http://").encode()]


async def test_nginx_answers_for_the_gateways_own_paths_itself(port, request):
    """However they are spelt. Alone, a gateway's calls never are those paths."""
    is_alone = "alone" in request.node.name
    for path in (
        b"/metrics",
        b"/%6detrics",
        b"//metrics",
        b"/v1/../metrics",
        b"/routes",
        b"http://x/routes?y",
    ):
        received = await say(port, b"GET %b HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n" % path)
        assert re.match(rb"HTTP/1.1 40[04]", received), path
        assert (b"x-lessllm-request-id" in received) is is_alone, path


HOSTS = [
    b"host: evil.test\r\n",
    b"host: localhost\r\nhost: evil.test\r\n",
    b"host: evil.test\r\nhost: localhost\r\n",
    b"host: localhost@evil.test\r\n",
    b"host: localhost.evil.test\r\n",
    b"host: localhost\r\norigin: http://evil.test\r\n",
    b"host: localhost\r\nsec-fetch-site: cross-site\r\n",
    b"host: localhost:8000\r\norigin: http://localhost:3000\r\n",
    b"",
]


async def test_a_page_of_elsewhere_and_a_name_that_is_not_ours_get_nowhere(port, upstream):
    for host in HOSTS:
        received = await say(port, b"GET /v1/files HTTP/1.1\r\nconnection: close\r\n%b%b\r\n" % (host, KEY))
        assert re.match(rb"HTTP/1.1 40[03]", received), (host, received)
    assert upstream.requests == []


ELSEWHERE = b"http://127.0.0.1:9/inside"
OVERRIDES = b"".join(
    b"%b: %b\r\n" % (name, ELSEWHERE)
    for name in (
        *(
            b"x-forwarded-host",
            b"x-host",
            b"x-original-url",
            b"x-rewrite-url",
            b"x-original-host",
            b"x-real-ip",
        ),
        *(
            b"forwarded",
            b"x-forwarded-server",
            b"x-forwarded-for",
            b"x-upstream-url",
            b"x-target-url",
            b"via",
        ),
        *(b"x-portkey-custom-host", b"helicone-target-url", b"x-litellm-api-base", b"openai-base-url"),
        *(
            b"x-lessllm-url",
            b"x-lessllm-provider",
            b"x-proxy",
            b"proxy",
            b"base-url",
            b"api-base",
            b"destination",
        ),
    )
)
BODIES = [
    {"base_url": ELSEWHERE.decode()},
    {"api_base": ELSEWHERE.decode(), "provider": {"base_url": ELSEWHERE.decode()}},
    {"model": ELSEWHERE.decode()},
    {"model": "openai/" + ELSEWHERE.decode()},
    {"model": "openai@127.0.0.1:9/x"},
    {"model": "../../inside"},
    {"model": "gpt-4o\r\nhost: evil.test\r\n\r\n"},
    {"user": "x\r\nx-evil: 1", "metadata": {"user_id": "x\r\nx-evil: 1"}},
]


async def test_no_header_and_no_field_makes_the_gateway_call_elsewhere(gateway, upstream, answer):
    upstream.answer = answer(b"{}")
    client = await gateway(gateway={"measure_non_streaming": False})
    host = upstream.url.removeprefix("http://").encode()
    for fields in BODIES:
        body = json.dumps({"model": "gpt-4o", "messages": [], **fields}).encode()
        head = POST.replace(b"/v1/x", b"/v1/chat/completions") + OVERRIDES
        head += b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        received = await say(client.base_url.port, head + body)
        assert received.startswith(b"HTTP/1.1 200"), (fields, received)
        assert b"evil" not in received.partition(b"\r\n\r\n")[0]
        sent, _, _ = upstream.requests[-1].partition(b"\r\n\r\n")
        assert sent.startswith(b"POST /v1/chat/completions HTTP/1.1\r\nhost: %b\r\n" % host)
        assert re.findall(rb"(?i)\r\n(?:host|x-evil):", sent) == [b"\r\nhost:"]
    assert len(upstream.requests) == len(BODIES)


async def test_no_connection_header_takes_away_what_the_gateway_sets(gateway, upstream, answer):
    upstream.answer = answer(b"{}")
    settings = {"providers": {"openai": {"base_url": f"{upstream.url}/v1", "api_key": "sk-ours"}}}
    client = await gateway(gateway={"measure_non_streaming": False}, **settings)
    names = b"close, host, content-length, authorization, x-api-key, accept-encoding, transfer-encoding"
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: %b\r\n" % names
    head += b"x-api-key: sk-mine\r\ntransfer_encoding: chunked\r\nkeep_alive: 1\r\ncontent_length: 0\r\n"
    head += b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(CHAT)
    assert (await say(client.base_url.port, head + CHAT)).startswith(b"HTTP/1.1 200")
    sent, _, body = upstream.requests[0].lower().partition(b"\r\n\r\n")
    assert body
    assert b"\r\nauthorization: bearer sk-ours" in sent
    assert b"\r\ncontent-length: %d" % len(body) in sent
    assert b"sk-mine" not in sent
    assert not re.search(rb"\r\n(transfer|content_|keep|connection)", sent)
