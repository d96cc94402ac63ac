"""The socket that gateways connect to: who comes in, who does not, and who hears of it."""

import asyncio
import contextlib
import os
import stat

import pytest
import zmq
import zmq.asyncio
from e2e.processes import START_S, wait_for
from lessllm_collector.entrance import Entrance, EntranceError
from lessllm_shared import wire
from lessllm_shared.config.sections import Collector
from lessllm_shared.curve import collector_keys, gateway_keys, make_keys
from prometheus_client import REGISTRY

KEYS = make_keys()
OURS = collector_keys(Collector(curve=KEYS))


def gateway(**other_keys):
    return gateway_keys(Collector(curve=KEYS.model_copy(update=other_keys)))


STRANGERS = {
    "another gateway key": (gateway(gateway_secret_key=make_keys().gateway_secret_key), "unknown_key"),
    "another collector's key": (gateway(collector_public_key=make_keys().collector_public_key), "wrong_keys"),
    "no keys": (None, "wrong_keys"),
}


class Running:
    """An entrance on a free port, and sockets that come to it."""

    def __init__(self, keys):
        self.entrance = Entrance("tcp://127.0.0.1:*", keys)
        self._context = zmq.asyncio.Context()
        self._sockets = []
        self._task = None

    def start(self):
        self._task = asyncio.create_task(self.entrance.run())

    def knock(self, keys, frame):
        """Comes, again and again, as a gateway with these keys, and says something."""
        socket = self._context.socket(zmq.DEALER)
        self._sockets.append(socket)
        socket.setsockopt(zmq.LINGER, 0)
        if keys is not None:
            socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
            socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
            socket.setsockopt(zmq.CURVE_SERVERKEY, keys.peer)
        socket.connect(self.entrance.socket.last_endpoint.decode())
        socket.send(frame)

    async def heard(self):
        _, frame = await asyncio.wait_for(self.entrance.socket.recv_multipart(), 20)
        return frame

    async def close(self):
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        for socket in self._sockets:
            socket.close()
        self._context.term()
        self.entrance.close()


@pytest.fixture
async def running():
    async with contextlib.AsyncExitStack() as stack:

        def running(keys):
            here = Running(keys)
            stack.push_async_callback(here.close)
            return here

        yield running


def refused(reason):
    return REGISTRY.get_sample_value("lessllm_collector_peers_refused_total", {"reason": reason}) or 0


async def refusal(here, keys, data, reason):
    """It knocks until it is refused for that reason: if one side has no keys, either may break off."""
    before = refused(reason)
    async with asyncio.timeout(START_S):
        while refused(reason) == before:
            here.knock(keys, data)
            await asyncio.sleep(0.02)


async def until(condition):
    await asyncio.to_thread(wait_for, condition, "a peer to be refused")


def test_an_address_that_is_taken_is_named_with_a_way_out():
    with zmq.Context() as context, context.socket(zmq.ROUTER) as holder:
        port = holder.bind_to_random_port("tcp://127.0.0.1")
        with pytest.raises(EntranceError, match=f"{port}: Address already in use; set collector.endpoint"):
            Entrance(f"tcp://127.0.0.1:{port}", OURS)


def test_the_socket_of_ipc_is_closed_to_other_users(tmp_path):
    before = os.umask(0)
    try:
        entrance = Entrance(f"ipc://{tmp_path / 'records'}")
        assert stat.S_IMODE((tmp_path / "records").stat().st_mode) & 0o077 == 0
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    entrance.close()


@pytest.mark.parametrize("who", STRANGERS)
async def test_a_stranger_is_refused_counted_and_logged_and_the_gateway_heard(running, caplog, who):
    keys, reason = STRANGERS[who]
    here = running(OURS)
    here.start()
    await refusal(here, keys, b"a stranger's", reason)
    here.knock(gateway(), b"the gateway's")
    assert await here.heard() == b"the gateway's"
    assert "a gateway is refused at tcp://127.0.0.1:*, its keys do not fit: " in caplog.text


async def test_strangers_do_not_fill_the_log(running, caplog):
    before = refused("unknown_key")
    here = running(OURS)
    here.start()
    for _ in range(5):
        here.knock(STRANGERS["another gateway key"][0], b"")
    await until(lambda: refused("unknown_key") == before + 5)
    assert caplog.text.count("is refused") == 1
    assert "that of 127.0.0.1 is not gateway_public_key" in caplog.text


async def test_a_gateway_with_keys_is_refused_where_there_are_none(running, caplog):
    here = running(None)
    here.start()
    await refusal(here, gateway(), b"sealed", "wrong_keys")
    here.knock(None, b"plain")
    assert await here.heard() == b"plain"
    assert "there are none here" in caplog.text


async def test_who_comes_early_waits_and_is_judged(running):
    before = refused("unknown_key")
    here = running(OURS)
    here.knock(gateway(), b"early")
    here.knock(STRANGERS["another gateway key"][0], b"a stranger's")
    await asyncio.sleep(0.2)  # time to come in, if nobody had to be asked
    assert not await here.entrance.socket.poll(0)
    here.start()
    assert await here.heard() == b"early"
    await until(lambda: refused("unknown_key") == before + 1)


async def test_when_nobody_can_be_asked_nobody_comes_in(running):
    here = running(OURS)
    here.entrance._asked.close()
    here.start()
    here.knock(STRANGERS["another gateway key"][0], b"a stranger's")
    here.knock(gateway(), b"the gateway's")
    assert not await here.entrance.socket.poll(500)


async def test_a_frame_that_is_too_large_is_not_taken_in(running, monkeypatch):
    monkeypatch.setattr(wire, "MAX_FRAME_BYTES", 100_000)
    here = running(None)
    here.start()
    here.knock(None, bytes(100_001))
    here.knock(None, bytes(100_000))
    assert len(await here.heard()) == 100_000
    assert not await here.entrance.socket.poll(500)
