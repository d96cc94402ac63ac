"""Records over a real ZeroMQ link: committed ones are let go, a collector that restarts gets the rest."""

import asyncio
import contextlib

import pytest
import zmq
import zmq.asyncio
from e2e.processes import wait_for
from lessllm_gateway.delivery import Delivery, Stream
from lessllm_gateway.link import Link
from lessllm_gateway.memory import Budget
from lessllm_gateway.outbox import Outbox
from lessllm_gateway.recording import forever
from lessllm_shared import wire
from lessllm_shared.config.sections import Collector, Curve
from lessllm_shared.curve import Keys, collector_keys, make_keys
from prometheus_client import REGISTRY
from zmq.auth.thread import ThreadAuthenticator

CURVE = make_keys()
KEYS = collector_keys(Collector(curve=CURVE))
OTHERS = make_keys()


def text(key):
    return key.get_secret_value().encode()


@contextlib.asynccontextmanager
async def router(port: int = 0, keys: Keys | None = None):
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.LINGER, 0)
    doorman = ThreadAuthenticator(zmq.Context(context))
    if keys is not None:
        doorman.start()
        doorman.configure_curve_callback(credentials_provider=Known(keys.peer))
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
        socket.setsockopt(zmq.CURVE_SERVER, 1)
    bound = (
        socket.bind_to_random_port("tcp://127.0.0.1") if not port else socket.bind(f"tcp://127.0.0.1:{port}")
    )
    try:
        yield socket, port or bound
    finally:
        socket.close()
        doorman.stop()
        context.term()


class Known:
    def __init__(self, key: bytes) -> None:
        self.callback = lambda _domain, other: other == key


@pytest.fixture
async def delivering():
    async with contextlib.AsyncExitStack() as stack:

        async def start(port: int, curve: Curve | None = None) -> Delivery:
            stream = Stream(Outbox("g1", Budget(1_000_000)))
            link = Link(Collector(endpoint=f"tcp://127.0.0.1:{port}", curve=curve or Curve()))
            delivery = Delivery(stream, link)
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


async def test_it_tells_for_how_long_records_wait_and_none_is_committed(delivering):
    async with router() as (socket, port):
        delivery = await delivering(port)
        assert delivery.stalled_s == 0
        delivery.offer(b"one")
        identity, _ = await receive(socket)
        await asyncio.sleep(0.2)
        delivery.offer(b"two")
        await receive(socket)
        stalled_s = delivery.stalled_s
        assert stalled_s >= 0.2
        await socket.send_multipart([identity, wire.pack(wire.Ack("g1", 1))])
        await asyncio.wait_for(delivery.until(lambda: delivery.stalled_s < stalled_s), 10)
        assert delivery.stalled_s > 0
        await socket.send_multipart([identity, wire.pack(wire.Ack("g1", 2))])
        assert await delivery.drain(5)
        assert delivery.stalled_s == 0


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


async def test_with_keys_a_record_goes_to_the_collector_that_has_the_others(delivering):
    async with router(keys=KEYS) as (socket, port):
        delivery = await delivering(port, CURVE)
        delivery.offer(b"one")
        identity, frame = await receive(socket)
        assert frame == wire.Records("g1", 1, [b"one"])
        await socket.send_multipart([identity, wire.pack(wire.Ack("g1", 1))])
        assert await delivery.drain(5)


@pytest.mark.parametrize(
    ("curve", "first", "then", "why"),
    [
        (
            CURVE,
            Keys(KEYS.secret, peer=text(OTHERS.gateway_public_key)),
            KEYS,
            "does not know this gateway's key",
        ),
        (CURVE, Keys(text(OTHERS.collector_secret_key), KEYS.peer), KEYS, "it breaks the handshake off"),
        (CURVE, None, KEYS, "don't agree on keys: it "),  # which side breaks off is chance
        (Curve(), KEYS, None, "it wants some, and there are none here"),
    ],
    ids=["unknown key", "another collector's key", "a collector without keys", "a gateway without keys"],
)
async def test_with_wrong_keys_records_wait_and_it_is_said_once(delivering, caplog, curve, first, then, why):
    caplog.set_level("INFO")
    async with router(keys=first) as (socket, port):
        delivery = await delivering(port, curve)
        delivery.offer(b"one")
        await asyncio.to_thread(wait_for, lambda: why in caplog.text, "wrong keys to be said")
        assert not await socket.poll(1500)  # it is tried again meanwhile
        assert not await delivery.drain(0)
    assert caplog.text.count("don't agree on keys") == 1
    async with router(port, then) as (socket, _):
        assert (await receive(socket))[1] == wire.Records("g1", 1, [b"one"])
    assert f"the collector at tcp://127.0.0.1:{port} and this gateway agree on keys now" in caplog.text
    assert not any(key.get_secret_value() in caplog.text for key in CURVE.model_dump().values())
