"""Calls by every way, by our own transport and by the libraries'; and upstreams that misbehave."""

import asyncio
import contextlib
import gc
import tracemalloc
from dataclasses import dataclass

import httpx
import pytest
from gateway.egress.calls import LIMITS, PATIENCE, called, place_of, pooled, request
from gateway.egress.servers import (
    HELLO,
    HOST,
    Proxy,
    Server,
    Upstream,
    black_hole,
    quiet,
    read_request,
    until,
)
from lessllm_gateway.egress import tcp
from lessllm_gateway.egress.answer import MAX_HEAD_BYTES, Broken
from lessllm_gateway.egress.dialer import Dialer, DialError, Place
from lessllm_gateway.egress.exchange import Exchange, Phase
from lessllm_gateway.egress.hops import Credentials, Hop, Kind, Origin
from lessllm_gateway.egress.http2 import Http2Transport
from lessllm_gateway.egress.pool import Limits, PoolFull

pytestmark = pytest.mark.usefixtures("nothing_left")

AUTH = Credentials("alice", "s3cret:x")
BODY = b'{"model": "m"}'
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass
class Way:
    """A place, with the servers on it."""

    place: Place
    url: str
    upstream: Upstream
    proxy: Proxy | None


@pytest.fixture
def way(serving, trusting):
    """To an upstream that does what `answer` says, by a proxy or directly."""

    @contextlib.asynccontextmanager
    async def leading(kind: Kind | None = None, credentials=None, *, tls: bool = False, answer=HELLO):
        upstream, proxy, hop = Upstream(answer), None, None
        async with contextlib.AsyncExitStack() as stack:
            end = await stack.enter_async_context(Server(upstream).listening(serving if tls else None))
            if kind is not None:
                proxy = Proxy(kind, credentials)
                context = serving if kind is Kind.HTTPS else None
                server = await stack.enter_async_context(Server(proxy).listening(context))
                hop = Hop(kind, HOST, server.port, credentials)
            place = place_of(hop, Origin(tls, "localhost", end.port), trusting)
            yield Way(place, f"{'https' if tls else 'http'}://localhost:{end.port}/a", upstream, proxy)

    return leading


@contextlib.asynccontextmanager
async def referred(place: Place):
    """The libraries' transport."""
    transport = Http2Transport(place, PATIENCE, LIMITS, http2=False)
    try:
        yield transport
    finally:
        await transport.aclose()


def connect_phases(exchange: Exchange) -> list[bool]:
    """Which of DNS, TCP, proxy and TLS are known."""
    durations = (exchange.dns_ns, exchange.tcp_connect_ns, exchange.proxy_handshake_ns, exchange.tls_ns)
    assert all(duration is None or duration > 0 for duration in durations)
    return [duration is not None for duration in durations]


WAYS = pytest.mark.parametrize(
    ("kind", "credentials"),
    [(None, None), *((kind, credentials) for kind in Kind for credentials in (None, AUTH))],
)
TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


def check_way(way: Way) -> None:
    """Both calls came over one connection and, if there is a proxy, by way of it."""
    first, second = way.upstream.asked
    assert first.connection == second.connection
    assert first.body == second.body == BODY
    assert first.target == "/a" and second.target.endswith("/a")
    if way.proxy is not None:
        assert way.place.hop is not None
        host = "localhost" if way.place.hop.resolves_names else HOST
        assert way.proxy.went == [f"{host}:{httpx.URL(way.url).port}"]


@WAYS
@TLS
async def test_a_call_and_the_next_one_by_every_way(way, kind, credentials, tls):
    async with way(kind, credentials, tls=tls) as there, pooled(there.place) as (pool, transport):
        first, second = [await called(transport, request(there.url, body=BODY)) for _ in range(2)]
        assert pool.idle_count == 1
    check_way(there)
    assert (first.status, first.body) == (second.status, second.body) == (200, b"hello")

    opened, kept = first.exchange, second.exchange
    hop = there.place.hop
    forwards = there.place.origin is None
    has_handshake = hop is not None and not (forwards and kind is Kind.HTTP)
    is_resolved_here = hop is None or not hop.resolves_names
    assert connect_phases(opened) == [is_resolved_here, True, has_handshake, tls]
    assert connect_phases(kept) == [False] * 4
    assert (opened.reused, kept.reused) == (False, True)
    assert opened.remote_dns == (None if hop is None else hop.resolves_names)
    assert opened.round_trip_ns == (opened.tcp_connect_ns if hop is None else opened.tls_ns)
    assert kept.round_trip_ns == opened.round_trip_ns
    for exchange in (opened, kept):
        assert exchange.phase is Phase.RECEIVE
        assert exchange.pool_wait_ns >= 0
        assert exchange.send_start <= exchange.sent <= exchange.head


@WAYS
@TLS
async def test_the_same_by_the_libraries(way, kind, credentials, tls):
    async with way(kind, credentials, tls=tls) as there, referred(there.place) as transport:
        first, second = [await called(transport, request(there.url, body=BODY)) for _ in range(2)]
    check_way(there)
    assert (first.status, first.body) == (second.status, second.body) == (200, b"hello")

    opened, kept = first.exchange, second.exchange
    hop = there.place.hop
    is_seen = hop is None or hop.speaks_http
    tunnels = is_seen and hop is not None and tls
    if not (kind is Kind.HTTPS and not tls):  # that TLS is the proxy's; our own transport does this one
        assert connect_phases(opened) == [False, is_seen, tunnels, tls and is_seen]
    assert connect_phases(kept) == [False] * 4
    assert (opened.reused, kept.reused) == ((False, True) if is_seen else (None, None))
    assert opened.remote_dns == (None if hop is None else hop.resolves_names)
    for exchange in (opened, kept):
        assert exchange.send_start <= exchange.sent <= exchange.head


async def test_a_request_leaves_byte_for_byte(way):
    async with way() as there, pooled(there.place) as (_, transport):
        asked = request(there.url, "PATCH", b"{}", headers=[(b"X-Odd", b"\xe9 \t,;"), (b"x-odd", b"")])
        asked.extensions["target"] = b"//a%2fb/../\xe9?q=|'#\x22"
        await called(transport, asked)
        (seen,) = there.upstream.asked
    host = httpx.URL(there.url).netloc
    lines = [b"PATCH //a%2fb/../\xe9?q=|'#\x22 HTTP/1.1", b"host: " + host, b"content-length: 2"]
    assert seen.head == b"\r\n".join([*lines, b"X-Odd: \xe9 \t,;", b"x-odd: ", b"", b""])
    assert seen.body == b"{}"


@pytest.mark.parametrize("credentials", [None, AUTH])
@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://api.test/a?b", b"http://api.test/a?b"),
        ("http://api.test:8080/", b"http://api.test:8080/"),
        ("http://[::1]:8080//a", b"http://[::1]:8080//a"),
    ],
)
async def test_a_proxy_that_forwards_is_told_whereto_and_who_asks(url, target, credentials):
    forward = Upstream()
    async with Server(forward).listening() as server:
        place = Place(Hop(Kind.HTTP, HOST, server.port, credentials), None)
        async with pooled(place) as (_, transport):
            await called(transport, request(url))
    (seen,) = forward.asked
    assert seen.head.startswith(b"POST %b HTTP/1.1\r\n" % target)
    lines = seen.head.split(b"\r\n")
    assert (b"Proxy-Authorization: Basic YWxpY2U6czNjcmV0Ong=" in lines) == (credentials is not None)


@pytest.mark.parametrize(
    ("target", "header"),
    [
        (b"/a b", b""),
        (b"/a\r\nx: y", b""),
        (b"/a\n", b""),
        (b"/a\r", b""),
        (b"/a\0", b""),
        (b"/a", b"x\r\ny: z"),
        (b"/a", b"x\n y"),
        (b"/a", b"x\ry"),
        (b"/a", b"x\0"),
    ],
)
async def test_what_would_be_another_request_is_not_sent(way, target, header):
    async with way() as there, pooled(there.place) as (pool, transport):
        asked = request(there.url, headers=[(b"x-a", header)])
        asked.extensions["target"] = target
        with pytest.raises(httpx.LocalProtocolError):
            await called(transport, asked)
        assert pool.open_count == 0 and not there.upstream.asked


@pytest.mark.parametrize(
    ("method", "answer", "body"),
    [
        ("HEAD", HELLO[:-5], b""),
        ("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", b""),
        ("POST", b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        ("POST", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n" + HELLO, b"hello"),
        (
            "POST",
            CHUNKED + b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 1\r\n\r\n",
            b"hello world",
        ),
    ],
)
async def test_every_kind_of_answer_leaves_the_connection_for_the_next(way, method, answer, body):
    async with way(answer=answer) as there, pooled(there.place) as (pool, transport):
        for reused in (False, True):
            result = await called(transport, request(there.url, method))
            assert (result.body, result.exchange.reused) == (body, reused)
        assert pool.idle_count == 1


async def test_an_answer_that_is_left_unread_ends_its_connection(way):
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"
    async with way(answer=answer) as there, pooled(there.place) as (pool, transport):
        for _ in range(2):
            response = await transport.handle_async_request(request(there.url))
            await response.aclose()
            await response.aclose()
            assert pool.open_count == 0
        response = await transport.handle_async_request(request(there.url))
        async for chunk in response.stream:
            assert chunk == b"hello"
            break
        await response.aclose()
        assert pool.open_count == 0


@pytest.mark.parametrize(
    ("method", "answer", "count"),
    [
        ("GET", b"", 3),
        ("HEAD", b"", 3),
        ("POST", b"", 2),
        ("GET", b"HTTP/1.1 200", 2),
        ("GET", HELLO[:-2], 2),
    ],
)
async def test_only_what_may_be_repeated_is_sent_again_over_a_connection_that_turns_out_closed(
    way, method, answer, count
):
    """The server closes it with the second request already read, so that nothing could be seen before."""

    async def once(reader, writer):
        writer.write(HELLO if method != "HEAD" else HELLO[:-5])
        await read_request(reader)
        writer.write(answer)
        await writer.drain()
        raise ConnectionError

    async with way(answer=once) as there, pooled(there.place) as (pool, transport):
        await called(transport, request(there.url, method))
        asked = request(there.url, method, BODY)
        if count == 3:
            result = await called(transport, asked)
            assert result.exchange.reused is False and result.status == 200
        else:
            with pytest.raises(Broken) as broken:
                await called(transport, asked)
            assert broken.value.received == bool(answer) and asked.extensions["exchange"].reused
            assert pool.open_count == 0
        seen = there.upstream.asked
        assert len({one.connection for one in seen}) == count - 1


async def test_a_new_connection_that_breaks_is_not_tried_again(way):
    async def breaking(_, writer):
        writer.transport.abort()

    async with way(answer=breaking) as there, pooled(there.place) as (_, transport):
        with pytest.raises(Broken):
            await called(transport, request(there.url, "GET"))
        assert len(there.upstream.asked) == 1


@pytest.mark.parametrize("kind", [Kind.HTTP, Kind.HTTPS])
async def test_a_proxy_that_forwards_wants_other_credentials(way, kind):
    async with way(kind, AUTH) as there:
        wrong = Hop(kind, HOST, there.place.hop.port, Credentials("alice", "s3cret-no"))
        async with pooled(Place(wrong, None, None, there.place.hop_tls)) as (_, transport):
            with pytest.raises(DialError) as error:
                await called(transport, request(there.url))
            assert (error.value.phase, error.value.code) == (Phase.PROXY_HANDSHAKE, "proxy_auth_failed")
            assert "407" in error.value.text and "s3cret" not in f"{error.value!r}"
            assert not there.proxy.went


async def test_a_proxy_that_wants_other_credentials_and_waits_for_them_is_left():
    wanting = Upstream(b"HTTP/1.1 407 Whom?\r\ncontent-length: 1\r\n\r\n")
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(wanting).listening())
        place = Place(Hop(Kind.HTTP, HOST, server.port), None)
        pool, transport = await stack.enter_async_context(pooled(place))
        with pytest.raises(DialError, match="407"):
            await called(transport)
        assert pool.open_count == 0


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_an_answer_that_does_not_come_in_time_ends_its_connection(way, answer):
    async def silent(reader, writer):
        writer.write(answer)
        await reader.read()

    async with way(answer=silent) as there, pooled(there.place) as (pool, transport):
        asked = request(there.url, read_s=0.1)
        with pytest.raises(httpx.ReadTimeout):
            await called(transport, asked)
        assert asked.extensions["exchange"].phase is Phase.WAIT and pool.open_count == 0


async def test_a_connection_that_does_not_become_free_in_time_is_told_with_its_limit(way):
    async with way() as there, pooled(there.place, Limits(5, 1, 60)) as (pool, transport):
        first = await transport.handle_async_request(request(there.url))
        asked = request(there.url, pool_s=0.1)
        with pytest.raises(PoolFull, match="max_per_host"):
            await called(transport, asked)
        assert asked.extensions["exchange"].phase is Phase.POOL and pool.waiting_count == 0
        await first.aclose()


@pytest.mark.parametrize("phase", list(Phase)[:-1])
async def test_who_leaves_in_any_phase_leaves_nothing_behind(phase, trusting):
    async def handle(reader, writer):
        if phase is Phase.SEND:
            writer.transport.pause_reading()
            await asyncio.Event().wait()
        if phase is Phase.RECEIVE:
            await read_request(reader)
            writer.write(HELLO[:-2])
        await quiet(reader, writer)

    async def resolve(host, port):
        del host
        if phase is Phase.DNS:
            await asyncio.Event().wait()
        return tcp.literal(HOST, hole if phase is Phase.CONNECT else port)

    with black_hole() as hole:
        async with Server(handle).listening() as server:
            origin = Origin(phase is Phase.TLS, "localhost", server.port)
            hop = Hop(Kind.SOCKS5H, HOST, server.port) if phase is Phase.PROXY_HANDSHAKE else None
            place = Place(hop, origin, trusting if origin.is_tls else None)
            async with pooled(place, Limits(5, 1, 60), Dialer(PATIENCE, resolve)) as (pool, transport):
                asked = request(body=bytes(32 << 20) if phase is Phase.SEND else BODY)
                calls = [asyncio.ensure_future(called(transport, request()))] if phase is Phase.POOL else []
                await asyncio.sleep(0)
                calls.append(asyncio.ensure_future(called(transport, asked)))
                await until(lambda: asked.extensions["exchange"].phase is phase)
                await asyncio.sleep(0.02)
                for call in reversed(calls):
                    call.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await call
                assert asked.extensions["exchange"].phase is phase
                assert (pool.open_count, pool.waiting_count) == (0, 0)


@dataclass
class Misdeed:
    """What an upstream answers before it closes, and what becomes of that."""

    answer: bytes
    error: type[Exception]
    body: bytes = b""
    stays: bool = False  # and does not close


MISDEEDS = {
    "closes without a word": Misdeed(b"", Broken),
    "stays silent": Misdeed(b"", httpx.ReadTimeout, stays=True),
    "garbage": Misdeed(b"\x00\x01garbage", Broken),
    "another protocol": Misdeed(b"220 mail.test ESMTP\r\n", Broken, stays=True),
    "a request": Misdeed(b"GET / HTTP/1.1\r\n\r\n", Broken, stays=True),
    "half a head": Misdeed(b"HTTP/1.1 200 OK\r\ncontent-le", Broken),
    "a head without an end": Misdeed(HELLO[:20] + b"x: y\r\n" * MAX_HEAD_BYTES, Broken, stays=True),
    "half a body": Misdeed(HELLO[:-2], Broken, b"hel"),
    "a body that stops": Misdeed(HELLO[:-2], TimeoutError, b"hel", stays=True),
    "half a chunk": Misdeed(CHUNKED + b"5\r\nhel", Broken, b"hel"),
    "no last chunk": Misdeed(CHUNKED + b"5\r\nhello\r\n", Broken, b"hello"),
    "half a trailer": Misdeed(CHUNKED + b"5\r\nhello\r\n0\r\nx: ", Broken, b"hello"),
    "a wrong chunk size": Misdeed(CHUNKED + b"zz\r\nhello\r\n", Broken, stays=True),
    "two lengths": Misdeed(HELLO.replace(b"5\r\n", b"5\r\ncontent-length: 6\r\n"), Broken, stays=True),
    "another protocol's switch": Misdeed(b"HTTP/1.1 101 Over\r\nupgrade: x\r\n\r\n", Broken, stays=True),
}


async def suffered(transport, misdeed: Misdeed) -> None:
    """The call fails as it should, with what of the body came before."""
    body, limit_s = b"", 0.1 if misdeed.error in {httpx.ReadTimeout, TimeoutError} else 5
    with pytest.raises(misdeed.error):  # noqa: PT012 - an answer has two parts
        response = await transport.handle_async_request(request(read_s=limit_s))
        try:
            async with asyncio.timeout(limit_s):
                async for chunk in response.stream:
                    body += chunk
        finally:
            await response.aclose()
    assert body == misdeed.body


@contextlib.asynccontextmanager
async def misbehaving(misdeed: Misdeed):
    async def misbehave(reader, writer):
        await read_request(reader)
        writer.write(misdeed.answer)
        await writer.drain()
        if misdeed.stays:
            await quiet(reader, writer)

    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(misbehave).listening())
        place = Place(None, Origin(False, "localhost", server.port))
        pool, transport = await stack.enter_async_context(pooled(place))
        yield server, pool, transport


@pytest.mark.parametrize("name", list(MISDEEDS))
async def test_an_upstream_misbehaves(name):
    async with misbehaving(MISDEEDS[name]) as (server, pool, transport):
        for _ in range(3):
            await suffered(transport, MISDEEDS[name])
            assert (pool.open_count, pool.waiting_count) == (0, 0)
        await until(lambda: not server.open_count)
        assert server.accepted == 3


async def test_an_upstream_that_drips_is_read_to_the_end(way):
    async def drip(_, writer):
        for byte in HELLO:
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0)

    async with way(answer=drip) as there, pooled(there.place) as (pool, transport):
        assert (await called(transport, request(there.url))).body == b"hello"
        assert pool.idle_count == 1


async def test_a_thousand_failures_leave_nothing_behind():
    kinds = [misdeed for misdeed in MISDEEDS.values() if not misdeed.stays]
    async with contextlib.AsyncExitStack() as stack:
        worlds = [(kind, *await stack.enter_async_context(misbehaving(kind))) for kind in kinds]

        async def rounds(count):
            for _ in range(count // len(kinds)):
                for kind, _, pool, transport in worlds:
                    await suffered(transport, kind)
                    assert pool.open_count == 0
            await until(lambda: not any(server.open_count for _, server, _, _ in worlds))
            gc.collect()
            return tracemalloc.get_traced_memory()[0], len(asyncio.all_tasks())

        tracemalloc.start()
        try:
            await rounds(200)
            before_bytes, tasks = await rounds(200)
            after_bytes, tasks_after = await rounds(1000)
        finally:
            tracemalloc.stop()
    assert tasks_after == tasks
    assert after_bytes - before_bytes < 100_000
