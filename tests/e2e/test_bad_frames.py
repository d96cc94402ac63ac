"""100,000 random and mutated frames at each end of the wire: nobody crashes, grows, or loses a call."""

import os
import random
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
import zmq
from e2e.processes import wait_for
from lessllm_shared import wire

FRAMES = 100_000
CALL_EVERY_S = 0.05  # while they come: more would show no more, and takes the machine from them
BORDERS = (-1, 0, 1, 2, 500, 2**31, 2**63 - 1, 2**63, 2**64 - 1)
GROWTH_BYTES = 100_000_000  # a process, while all of them come
LOG_LINES = 200
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
KEY = {"authorization": "Bearer sk-someone"}
IDS = "SELECT request_id FROM api_calls"
SEED = os.environ["SEED"]
SEEDED = pytest.mark.parametrize("seed", [SEED])


@pytest.fixture
def running(services, simulator):
    return services({"providers": {"openai": {"base_url": f"{simulator}/v1"}}})


class Frames:
    """Messages of one or more frames. None is of a gateway process that exists."""

    def __init__(self, seed, good):
        """`good` makes the fields of a message that the other side may take."""
        self._chance = random.Random(seed)
        self._good = good
        self._kinds = [self._noise, self._mutated, self._mutated, self._mutated, self._typed, self._shaped]

    def __iter__(self):
        for _ in range(FRAMES):
            yield self._chance.choice(self._kinds)()

    def _noise(self):
        return [self._chance.randbytes(self._chance.choice((0, 1, 2, 10, 100, 1000)))]

    def _mutated(self):
        frame = bytearray(wire.VERSION_ALONE + msgspec.msgpack.encode(self._good(self._chance)))
        for _ in range(self._chance.choice((0, 1, 1, 1, 3, 20))):
            at = self._chance.randrange(len(frame))
            match self._chance.randrange(5):
                case 0:
                    frame[at] ^= 1 << self._chance.randrange(8)
                case 1:
                    frame[at] = self._chance.choice(b"\x00\x7f\x80\x9f\xc1\xc6\xcf\xd9\xdd\xdf\xff")
                case 2:
                    del frame[at : at + self._chance.randrange(1, 20)]
                case 3:
                    frame[at:at] = self._chance.randbytes(self._chance.randrange(1, 20))
                case 4:
                    frame[at:] = frame[: self._chance.randrange(1, len(frame) + 1)]
            frame = frame or bytearray(1)
        return [bytes(frame)]

    def _typed(self):
        """The right fields with values of other types, and nests."""
        wrong = (None, True, 1.5, "x", b"x", [], {}, [[[1]]], -1, 2**64 - 1)
        names = ("gateway_id", "first_seq", "last_seq", "records", "committed", "next_seq")
        fields = {name: self._chance.choice(wrong) for name in names}
        tag = self._chance.choice(("records", "lost", "ask", "ack", "expect", "other", 5))
        body = msgspec.msgpack.encode({"type": tag, **fields})
        if self._chance.random() < 0.02:
            body = b"\x91" * 100_000
        return [wire.VERSION_ALONE + body]

    def _shaped(self):
        return [self._chance.randbytes(5) for _ in range(self._chance.choice((0, 2, 3, 50)))] or [b""]


def to_collector(chance):
    """Of a gateway process that nobody knows, with numbers that may be at a border or beyond it."""
    gateway_id = chance.choice(("stranger", f"stranger-{chance.randrange(5000)}", "", "x" * 5000, "é\0\n"))
    first, last = chance.choice(BORDERS), chance.choice(BORDERS)
    records = [chance.randbytes(chance.choice((0, 5, 50))) for _ in range(chance.choice((0, 1, 1, 3)))]
    return {"gateway_id": gateway_id} | chance.choice(
        (
            {"type": "records", "first_seq": first, "records": records},
            {"type": "records", "first_seq": 1, "records": records},
            {"type": "lost", "first_seq": first, "last_seq": last},
            {"type": "ask"},
        )
    )


def to_gateway(chance):
    """For a gateway process that nobody knows."""
    number = chance.choice(BORDERS)
    return {"gateway_id": "stranger"} | chance.choice(
        ({"type": "ack", "committed": number}, {"type": "expect", "next_seq": number})
    )


@contextmanager
def socket(kind):
    with zmq.Context() as context, context.socket(kind) as stranger:
        stranger.setsockopt(zmq.LINGER, 10_000)
        yield stranger


def call(services):
    response = httpx.post(
        f"{services.gateway.url}/v1/chat/completions", json=CHAT, headers=KEY, trust_env=False, timeout=60
    )
    assert response.status_code == 200
    return response.headers["x-lessllm-request-id"]


@contextmanager
def calls(services):
    """Gives the ids of those that are made while the block runs."""
    done, leaving = [], threading.Event()

    def call_on():
        while not leaving.wait(CALL_EVERY_S):
            done.append(call(services))

    thread = threading.Thread(target=call_on)
    thread.start()
    try:
        yield done
    finally:
        leaving.set()
        thread.join()


@contextmanager
def holding(process):
    """It lives, has not grown, and its log is fit to be read."""
    before = resident_bytes(process)
    yield
    assert process.popen.poll() is None, process.log.read_text()
    assert resident_bytes(process) - before < GROWTH_BYTES
    text = process.log.read_text()
    assert "Traceback" not in text, text
    assert text.count("\n") < LOG_LINES, text[:5000]


def resident_bytes(process):
    pages = Path(f"/proc/{process.popen.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@SEEDED
def test_the_collector_takes_nothing_from_them_and_every_call(running, seed):
    made = [call(running) for _ in range(20)]
    running.flush()
    with holding(running.collector), calls(running) as more, socket(zmq.DEALER) as stranger:
        stranger.connect(f"tcp://127.0.0.1:{running.records_port}")
        for message in Frames(seed, to_collector):
            stranger.send_multipart(message)
    wait_for(lambda: ready(running.collector), "the collector to be ready")
    recorded = [row["request_id"] for row in running.rows(IDS)]
    assert sorted(recorded) == sorted(made + more)
    gaps = running.rows("SELECT gateway_id, first_sequence, last_sequence, calls FROM delivery_gaps")
    assert all(gap["calls"] > 0 for gap in gaps)
    running.collector.stop()
    running.start("collector")  # what they left in it can be read


@SEEDED
def test_the_gateway_believes_nothing_of_them_and_keeps_every_record(running, seed):
    made = [call(running) for _ in range(20)]
    running.flush()
    running.collector.stop()
    with holding(running.gateway), calls(running) as more, socket(zmq.ROUTER) as stranger:
        stranger.bind(f"tcp://127.0.0.1:{running.records_port}")
        peer, *_ = stranger.recv_multipart()
        stranger.setsockopt(zmq.ROUTER_MANDATORY, 1)  # wait for room, rather than drop
        for message in Frames(seed, to_gateway):
            stranger.send_multipart([peer, *message])
    running.start("collector")
    recorded = [row["request_id"] for row in running.rows(IDS)]
    assert sorted(recorded) == sorted(made + more)


def ready(process):
    return httpx.get(f"{process.url}/readyz", trust_env=False).status_code == 200
