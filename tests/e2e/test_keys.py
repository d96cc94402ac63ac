"""Keys between real processes: sealed on the wire, closed to strangers, nothing lost when they are wrong."""

import contextlib
import re
import socket
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
import zmq
from e2e.processes import Services, wait_for
from lessllm_shared import record, wire
from lessllm_shared.record import CallRecord, EndReason, new_request_id

CANARY = "a-prompt-that-nobody-else-reads"
IDS = "SELECT request_id FROM api_calls ORDER BY 1"


def new_keys():
    """By the command, as a user makes them."""
    command = [Path(sys.executable).with_name("lessllm"), "keys"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"^LESSLLM_COLLECTOR__CURVE__(\w+)='(.+)'$", printed, re.MULTILINE)
    return {name.lower(): key for name, key in lines}


@pytest.fixture
def services(tmp_path, simulator):
    """Not started yet."""
    services = Services(tmp_path, {"providers": {"openai": {"base_url": f"{simulator}/v1"}}})
    yield services
    services.stop()


def call(services):
    response = httpx.post(
        f"{services.gateway.url}/v1/chat/completions",
        json={"model": "gpt-4o", "messages": [{"role": "user", "content": CANARY}]},
        headers={"authorization": "Bearer sk-someone"},
        trust_env=False,
    )
    assert response.status_code == 200
    return response.headers["x-lessllm-request-id"]


def stored(services):
    """What is in the database now, whatever gateways still have."""
    answer = httpx.post(f"{services.collector.url}/query", json={"sql": IDS}, trust_env=False).json()
    return [row[0] for row in answer["rows"]]


def refused(services):
    """How often, for whatever reason."""
    text = httpx.get(f"{services.collector.url}/metrics", trust_env=False).text
    return sum(
        map(float, re.findall(r"^lessllm_collector_peers_refused_total\{.+\} (.+)$", text, re.MULTILINE))
    )


@contextlib.contextmanager
def tap(to_port):
    """The port of a TCP relay, and all bytes that pass it, in either direction."""
    seen = bytearray()

    def pass_on(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                seen.extend(data)
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    class Relay(socketserver.BaseRequestHandler):
        def handle(self):
            with (
                contextlib.suppress(ConnectionRefusedError),
                socket.create_connection(("127.0.0.1", to_port)) as far,
            ):
                back = threading.Thread(target=pass_on, args=(far, self.request))
                back.start()
                pass_on(self.request, far)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], seen
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("has_keys", [True, False])
def test_with_keys_nothing_on_the_wire_can_be_read(services, has_keys):
    services.configure("collector", curve=new_keys() if has_keys else {})
    services.start("collector")
    with tap(services.records_port) as (port, seen):
        services.configure("collector", endpoint=f"tcp://127.0.0.1:{port}")
        services.start("gateway")
        request_id = call(services)
        assert [row["request_id"] for row in services.rows(IDS)] == [request_id]
        readable = [text for text in (CANARY, request_id, "gpt-4o", "records") if text.encode() in seen]
        assert (readable == []) == has_keys
        assert len(seen) > 1000
        services.gateway.stop()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("gateway_secret_key", "it does not know this gateway's key"),
        ("collector_public_key", "it breaks the handshake off, as one with other keys does"),
    ],
)
def test_a_gateway_with_wrong_keys_says_so_delivers_nothing_and_loses_nothing(services, wrong, said):
    right = new_keys()
    services.configure("collector", curve=right)
    services.start("collector")
    services.configure("collector", curve={**right, wrong: new_keys()[wrong]})
    services.start("gateway")
    done = [call(services) for _ in range(5)]
    wait_for(lambda: said in services.gateway.log.read_text(), "the gateway to say what is wrong")
    wait_for(lambda: refused(services) > 1, "the collector to refuse it more than once")
    services.gateway.stop()
    log = services.gateway.log.read_text()
    assert log.count("don't agree on keys") == 1
    told = re.findall(r"a gateway is refused at .*", services.collector.log.read_text())
    assert told
    assert len(told) == len(set(told))  # each reason once, however often it comes back
    assert not any(key in log for key in right.values())
    assert stored(services) == []
    services.configure("collector", curve=right)
    services.start("gateway")
    done.append(call(services))
    wait_for(lambda: len(services.rows(IDS)) == len(done), "what waited on disk to arrive")
    assert [row["request_id"] for row in services.rows(IDS)] == sorted(done)


def test_a_stranger_gets_nothing_in(services):
    keys = new_keys()
    services.configure("collector", curve=keys)
    services.start("collector", "gateway")
    fresh = new_keys()
    forged = CallRecord(request_id=new_request_id(), t0_unix_ns=1, end_reason=EndReason.COMPLETE)
    frame = wire.pack(wire.Records("stranger", 1, [record.encode(forged)]))

    def come(context, **curve):
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        for name, key in curve.items():
            setattr(socket, f"curve_{name}", key.encode())
        socket.connect(f"tcp://127.0.0.1:{services.records_port}")
        socket.send(frame)
        return socket

    with zmq.Context() as context:
        known = keys["collector_public_key"]
        other = {"publickey": fresh["gateway_public_key"], "secretkey": fresh["gateway_secret_key"]}
        strangers = [come(context), come(context, serverkey=known, **other)]
        wait_for(lambda: refused(services) >= 2, "both to be refused")
        request_id = call(services)
        assert [row["request_id"] for row in services.rows(IDS)] == [request_id]
        assert not any(stranger.poll(0) for stranger in strangers)
        ours = {"publickey": keys["gateway_public_key"], "secretkey": keys["gateway_secret_key"]}
        gateway = come(context, serverkey=known, **ours)  # what they said was right, but for who said it
        assert gateway.poll(20_000)
        assert wire.unpack_to_gateway(gateway.recv()) == wire.Ack("stranger", 1)
        assert stored(services) == sorted([request_id, forged.request_id])
        for socket in (*strangers, gateway):
            socket.close()
