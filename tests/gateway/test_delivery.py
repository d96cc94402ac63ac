"""Records over a real ZeroMQ link: committed ones are let go, a collector that restarts gets the rest."""

import asyncio
import contextlib

import pytest
import zmq
import zmq.asyncio
from lessllm_gateway.delivery import Delivery
from lessllm_gateway.memory import Budget
from lessllm_gateway.outbox import Outbox
from lessllm_shared import wire


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
            delivery = Delivery(Outbox("g1", Budget(1_000_000)), f"tcp://127.0.0.1:{port}")
            task = asyncio.create_task(delivery.run())

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
