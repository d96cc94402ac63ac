"""Records over a real ZeroMQ link: committed ones are let go, a collector that restarts gets the rest."""

import asyncio
import contextlib

import pytest
import zmq
import zmq.asyncio
from lessllm_gateway.delivery import Delivery, Stream, check_endpoint
from lessllm_gateway.memory import Budget
from lessllm_gateway.outbox import Outbox
from lessllm_gateway.recording import forever
from lessllm_shared import wire
from lessllm_shared.config import ConfigError
from prometheus_client import REGISTRY


@contextlib.asynccontextmanager
async def router(port: int = 0):
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.LINGER, 0)
    bound = (
        socket.bind_to_random_port("tcp://127.0.0.1") if not port else socket.bind(f"tcp://127.0.0.1:{port}")
    )
    try:
        yield socket, port or bound
    finally:
        socket.close()
        context.term()


@pytest.fixture
async def delivering():
    async with contextlib.AsyncExitStack() as stack:

        async def start(port: int) -> Delivery:
            stream = Stream(Outbox("g1", Budget(1_000_000)))
            delivery = Delivery(stream, f"tcp://127.0.0.1:{port}")
            task = asyncio.create_task(forever(delivery.run))

            async def stop() -> None:
                task.cancel()
                await asyncio.wait([task])

            stack.push_async_callback(stop)
            return delivery

        yield start


async def receive(socket):
    identity, frame = await asyncio.wait_for(socket.recv_multipart(), 10)
    return identity, wire.unpack_to_collector(frame)


async def test_a_committed_record_is_let_go(delivering):
    async with router() as (socket, port):
        delivery = await delivering(port)
        assert delivery.offer(b"one")
        identity, frame = await receive(socket)
        assert frame == wire.Records("g1", 1, [b"one"])
        await socket.send_multipart([identity, wire.pack(wire.Ack("g1", 1))])
        assert await delivery.drain(5)


async def test_what_was_not_acknowledged_is_sent_again_to_the_next_collector(delivering):
    async with router() as (socket, port):
        delivery = await delivering(port)
        delivery.offer(b"one")
        await receive(socket)
    async with router(port) as (socket, _):
        identity, frame = await receive(socket)
        assert frame == wire.Records("g1", 1, [b"one"])
        await socket.send_multipart([identity, wire.pack(wire.Ack("g1", 1))])
        assert await delivery.drain(5)


async def test_the_gateway_goes_back_to_what_the_collector_expects(delivering):
    async with router() as (socket, port):
        delivery = await delivering(port)
        delivery.offer(b"one")
        identity, _ = await receive(socket)
        await socket.send_multipart([identity, b"not a frame"])
        await socket.send_multipart([identity, wire.pack(wire.Expect("g1", 1))])
        _, frame = await receive(socket)
        assert frame == wire.Records("g1", 1, [b"one"])


async def test_draining_gives_up_at_its_deadline(delivering):
    delivery = await delivering(1)
    delivery.offer(b"one")
    assert not await delivery.drain(0.05)


async def test_a_collector_with_an_empty_database_is_told_what_is_gone_and_gets_what_comes(delivering):
    async with router() as (socket, port):
        delivery = await delivering(port)
        for data in (b"one", b"two"):
            delivery.offer(data)
        identity, _ = await receive(socket)
        await socket.send_multipart([identity, wire.pack(wire.Ack("g1", 2))])
        assert await delivery.drain(5)
        lost_before = lost()
        delivery.offer(b"three")
        assert await receive(socket) == (identity, wire.Records("g1", 3, [b"three"]))
        await socket.send_multipart([identity, wire.pack(wire.Expect("g1", 1))])
        assert await receive(socket) == (identity, wire.Lost("g1", 1, 2))
        assert await receive(socket) == (identity, wire.Records("g1", 3, [b"three"]))
        assert lost() == lost_before + 2
        assert not await delivery.drain(0.01)
        await socket.send_multipart([identity, wire.pack(wire.Ack("g1", 3))])
        assert await delivery.drain(5)


def lost() -> float:
    return REGISTRY.get_sample_value("lessllm_gateway_records_lost_total", {"reason": "collector_reset"}) or 0


async def test_answers_for_another_gateway_are_passed_over(delivering):
    async with router() as (socket, port):
        delivery = await delivering(port)
        delivery.offer(b"one")
        identity, _ = await receive(socket)
        await socket.send_multipart([identity, wire.pack(wire.Ack("g2", 1))])
        assert not await delivery.drain(0.2)


async def test_a_defect_in_it_is_counted_and_delivery_goes_on(delivering, monkeypatch, caplog):
    monkeypatch.setattr("lessllm_gateway.recording.RESTART_AFTER_S", 0.01)
    pack = wire.pack
    defects = iter([RuntimeError("a defect")])

    def pack_but_once(frame):
        for defect in defects:
            raise defect
        return pack(frame)

    monkeypatch.setattr(wire, "pack", pack_but_once)
    async with router() as (socket, port):
        delivery = await delivering(port)
        delivery.offer(b"one")
        identity, frame = await receive(socket)
        assert frame == wire.Records("g1", 1, [b"one"])
        await socket.send_multipart([identity, pack(wire.Ack("g1", 1))])
        assert await delivery.drain(5)
    assert "a defect" in caplog.text


@pytest.mark.parametrize("endpoint", ["tcp://collector:5555", "tcp://[::1]:5555", "ipc:///tmp/records"])
def test_an_endpoint_is_good_whether_or_not_anybody_is_there(endpoint):
    check_endpoint(endpoint)


@pytest.mark.parametrize("endpoint", ["tcp://collector", "tcp://:x", "udp://collector:1", "collector:5555"])
def test_an_endpoint_that_is_none_is_a_wrong_configuration(endpoint):
    with pytest.raises(ConfigError, match=r"^collector\.endpoint: "):
        check_endpoint(endpoint)
