"""One connection to a real server: kept or not, ended by either side, faster or slower than the other."""

import asyncio
import contextlib
import socket
import struct

import httpx
import pytest
from gateway.egress.calls import called, pooled, request
from gateway.egress.servers import HELLO, HOST, Server, Upstream, read_request, until
from gateway.egress.wires import Wire
from lessllm_gateway.egress.answer import Broken
from lessllm_gateway.egress.connection import HIGH_WATER_BYTES, Connection
from lessllm_gateway.egress.dialer import Place
from lessllm_gateway.egress.exchange import Exchange, Phase
from lessllm_gateway.egress.hops import Origin
from lessllm_gateway.egress.pool import Limits

pytestmark = pytest.mark.usefixtures("nothing_left")

A_READ_BYTES = 256 * 1024
LARGE = bytes(16 << 20)
PLAIN_AND_TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
CLOSE_DELIMITED = b"HTTP/1.1 200 OK\r\n\r\nhello"


@pytest.fixture
def at(serving, trusting):
    """A server, listening with TLS or without, and the place to reach it."""

    @contextlib.asynccontextmanager
    async def listening(handle, *, tls: bool = False):
        async with Server(handle).listening(serving if tls else None) as server:
            origin = Origin(tls, "localhost", server.port)
            yield server, Place(None, origin, trusting if tls else None)

    return listening


@contextlib.asynccontextmanager
async def peered():
    """A connection, and the server's end of it as a blocking socket."""
    with socket.create_server((HOST, 0)) as listener:
        place = Place(None, Origin(False, HOST, listener.getsockname()[1]))
        async with pooled(place) as (pool, transport):
            connection = await pool.lend(place, Exchange(), 5)
            peer, _ = listener.accept()
            with peer:
                yield pool, transport, connection, peer


@PLAIN_AND_TLS
@pytest.mark.parametrize("size", [0, 100, len(LARGE)])
async def test_a_connection_is_kept_for_the_next_request(at, tls, size):
    upstream = Upstream()
    async with at(upstream, tls=tls) as (server, place), pooled(place) as (pool, transport):
        for number in range(4):
            result = await called(transport, request(body=LARGE[:size]))
            assert (result.status, result.body, result.exchange.reused) == (200, b"hello", number > 0)
        assert (server.accepted, pool.open_count, pool.idle_count) == (1, 1, 1)
        assert [len(asked.body) for asked in upstream.asked] == [size] * 4


@pytest.mark.parametrize(
    "answer",
    [
        HELLO.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        HELLO.replace(b"1.1", b"1.0"),
        HELLO + b"HTTP/1.1",
        HELLO + HELLO,
    ],
)
async def test_a_connection_is_not_kept_if_the_answer_says_so_or_is_followed_by_something(at, answer):
    async with at(Upstream(answer)) as (server, place), pooled(place) as (pool, transport):
        for _ in range(2):
            assert (await called(transport)).body == b"hello"
            assert pool.open_count == 0
        assert server.accepted == 2


async def test_an_idle_connection_that_its_server_closes_is_not_usable_before_the_loop_hears_of_it():
    async with peered() as (pool, _, connection, peer):
        pool.give_back(connection)
        assert connection.is_usable and pool.idle_count == 1
        peer.close()
        assert not connection.is_usable and not connection.is_closed
        await until(lambda: pool.open_count == 0)
        assert connection.is_closed


async def test_an_idle_connection_that_says_something_is_closed():
    async with peered() as (pool, _, connection, peer):
        pool.give_back(connection)
        peer.send(HELLO)
        assert not connection.is_usable
        await until(lambda: pool.open_count == 0)


@pytest.mark.parametrize("then", ["keeps it", "closes it", "resets it"])
@PLAIN_AND_TLS
async def test_an_answer_that_comes_while_the_request_is_sent_is_taken(at, tls, then, caplog):
    """The server reads the head only."""
    done = asyncio.Event()

    async def refusing(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge")
        await writer.drain()
        if then == "keeps it":
            await done.wait()
        elif then == "resets it":
            writer.transport.abort()

    async with at(refusing, tls=tls) as (_, place), pooled(place) as (pool, transport):
        for _ in range(5):
            result = await called(transport, request(body=LARGE))
            assert (result.status, result.body) == (413, b"large")
            await until(lambda: pool.open_count == 0)
        done.set()
    assert not caplog.records


@PLAIN_AND_TLS
async def test_a_server_that_answers_early_gets_the_rest_of_the_request_all_the_same(at, tls):
    async def counting(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        await writer.drain()
        await reader.readexactly(len(LARGE))
        writer.write(b"3\r\nall\r\n0\r\n\r\n")
        await reader.read()

    async with at(counting, tls=tls) as (_, place), pooled(place) as (pool, transport):
        assert (await called(transport, request(body=LARGE))).body == b"all"
        assert pool.idle_count == 1


@PLAIN_AND_TLS
async def test_a_request_is_sent_when_the_server_has_taken_it(at, tls):
    """But for what the system's buffers hold."""

    async def slow(reader, writer):
        writer.transport.pause_reading()
        await asyncio.sleep(0.2)
        writer.transport.resume_reading()
        await read_request(reader)
        await asyncio.sleep(0.2)
        writer.write(HELLO)
        await reader.read()

    async with at(slow, tls=tls) as (_, place), pooled(place) as (_, transport):
        exchange = (await called(transport, request(body=LARGE))).exchange
        assert exchange.sent - exchange.send_start > 150e6
        assert exchange.head - exchange.sent > 150e6


@PLAIN_AND_TLS
async def test_a_server_that_closes_while_the_request_is_sent_breaks_it_and_nothing_is_logged(
    at, tls, caplog
):
    async def leaving(reader, _):
        await reader.readuntil(b"\r\n\r\n")

    async with at(leaving, tls=tls) as (_, place), pooled(place) as (pool, transport):
        for _ in range(5):
            with pytest.raises(Broken) as broken:
                await called(transport, request(body=LARGE))
            assert not broken.value.received and pool.open_count == 0
    assert not caplog.records


@PLAIN_AND_TLS
async def test_a_server_that_does_not_read_is_given_up_while_sending(at, tls):
    async def deaf(_, writer):
        writer.transport.pause_reading()
        await asyncio.Event().wait()

    async with at(deaf, tls=tls) as (_, place), pooled(place) as (pool, transport):
        asked = request(body=LARGE, read_s=0.2)
        with pytest.raises(httpx.WriteTimeout):
            await called(transport, asked)
        exchange = asked.extensions["exchange"]
        assert (exchange.phase, exchange.sent, exchange.head) == (Phase.SEND, None, None)
        assert pool.open_count == 0


@PLAIN_AND_TLS
async def test_a_slow_reader_holds_the_server_back(at, tls):
    """Beyond what the system's buffers take, the server waits; here it waits for good."""
    total, piece = 50 << 20, bytes(1 << 20)
    sent = []

    async def flooding(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        for _ in range(total // len(piece)):
            writer.write(piece)
            await writer.drain()
            sent.append(len(piece))
        await reader.read()

    async with at(flooding, tls=tls) as (_, place), pooled(place) as (pool, transport):
        response = await transport.handle_async_request(request())
        (connection,) = pool._places
        seen = -1
        while seen != len(sent):
            seen = len(sent)
            await asyncio.sleep(0.1)
        assert sum(sent) < total / 2
        assert HIGH_WATER_BYTES <= connection._held_bytes <= HIGH_WATER_BYTES + A_READ_BYTES
        held, received = [], 0
        async for chunk in response.stream:
            received += len(chunk)
            held.append(connection._held_bytes)
        assert received == total and max(held) <= HIGH_WATER_BYTES + A_READ_BYTES
        assert pool.idle_count == 1


def reset(writer) -> None:
    """Close with RST, as a crash of the peer's machine does."""
    end = socket.socket(fileno=socket.dup(writer.get_extra_info("socket").fileno()))
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
    writer.transport.abort()


@PLAIN_AND_TLS
@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_body_that_ends_with_its_connection_does_not_end_with_a_reset(at, tls, how):
    async def ending(reader, writer):
        await read_request(reader)
        writer.write(CLOSE_DELIMITED)
        await reader.readexactly(1)
        if how == "resets":
            reset(writer)

    async with at(ending, tls=tls) as (_, place), pooled(place) as (pool, transport):
        response = await transport.handle_async_request(request())
        body = aiter(response.stream)
        assert await anext(body) == b"hello"
        (connection,) = pool._places
        connection._transport.write(b"!")
        with pytest.raises(StopAsyncIteration if how == "closes" else Broken):
            await anext(body)
        assert pool.open_count == 0


@pytest.mark.parametrize("answer", [b"", HELLO[:-2], CLOSE_DELIMITED])
async def test_a_pool_that_is_closed_breaks_the_answers_under_way(at, answer):
    asked = asyncio.Event()

    async def hanging(reader, writer):
        await read_request(reader)
        writer.write(answer)
        asked.set()
        await reader.read()

    async with at(hanging) as (_, place), pooled(place) as (pool, transport):
        call = asyncio.ensure_future(called(transport))
        await asked.wait()
        await asyncio.sleep(0.02)
        await pool.close()
        with pytest.raises(Broken, match="closed the connection"):
            await call


async def test_a_connection_that_is_lost_before_the_pool_has_it_is_forgotten():
    connection, heard = Connection(), []
    wire = Wire(connection)
    wire.hear_of_end()
    connection.opened(heard.append, None)
    assert heard == [connection] and connection.is_closed
    await connection.wait_closed()
    assert heard == [connection]
    with pytest.raises(Broken) as broken:
        await connection.exchange("POST", b"", b"", Exchange())
    assert not broken.value.received and wire.sent == b""


async def test_a_connection_that_breaks_is_closed_before_anybody_looks():
    connection = Connection()
    wire = Wire(connection)
    exchange = asyncio.ensure_future(connection.exchange("GET", b"", b"", Exchange()))
    await asyncio.sleep(0)
    wire.receive(b"garbage")
    assert wire.is_aborted and connection.is_closed
    with pytest.raises(Broken):
        await exchange


async def test_reading_stops_at_the_high_water_mark_and_goes_on_below_it():
    connection = Connection()
    wire = Wire(connection)
    exchange = asyncio.ensure_future(connection.exchange("GET", b"", b"", Exchange()))
    await asyncio.sleep(0)
    half = bytes(HIGH_WATER_BYTES // 2)
    wire.receive(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (5 * len(half)))
    await exchange
    states = []
    for _ in range(3):
        wire.receive(half)
        states.append(wire.is_paused)
    for _ in range(3):
        await connection.read()
        states.append(wire.is_paused)
    assert states == [False, True, True, True, False, False]
    for _ in range(2):
        wire.receive(half)
    assert wire.is_paused and connection.finish() and not wire.is_paused
    assert connection._held_bytes == 0
    connection.close()
    await connection.wait_closed()


async def test_a_limit_of_one_connection_serves_any_number_of_calls(at):
    async with at(Upstream()) as (server, place), pooled(place, Limits(1, 1, 60)) as (pool, transport):
        results = await asyncio.gather(*(called(transport) for _ in range(50)))
        assert [result.exchange.reused for result in results] == [False] + [True] * 49
        assert (server.accepted, pool.open_count) == (1, 1)
