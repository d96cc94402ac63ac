"""The process `lessllm-gateway`, from outside. What it is waited for has the time that a test has."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys

import httpx
import pytest
import zmq
import zmq.asyncio
from lessllm_shared import record as rec
from lessllm_shared import wire
from lessllm_shared.record import EndReason

COMMAND = [sys.executable, "-m", "lessllm_gateway", "--config", "-"]
STREAM = {"model": "gpt-4o", "messages": [], "stream": True, "stream_options": {"include_usage": True}}
KEY = {"authorization": "Bearer sk-x"}


def run(document: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND[:3], *(arguments or ("--config", "-"))]
    return subprocess.run(command, input=document, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("gateway: {prot: 1}", "gateway.prot: unknown key; did you mean port?"),
        ("models: {m: {provider: nowhere}}", "models.m.provider: 'nowhere' is not a provider"),
        ("collector: {endpoint: 'tcp://collector:5555'}", "set the keys that `lessllm keys` makes, or"),
        ("[1, 2]", "must be a mapping of sections"),
        ("a: [", "line 1"),
        ("api_key: {${X}}", "missing its quotes?"),
    ],
)
def test_a_wrong_configuration_ends_with_2_and_names_its_key(document, said):
    result = run(document)
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stderr.startswith("lessllm-gateway: configuration: ")
    assert "Traceback" not in result.stderr


def test_a_configuration_that_is_not_there_is_named():
    result = run("", "--config", "/no/such/lessllm.yaml")
    assert result.returncode == 2
    assert "/no/such/lessllm.yaml" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run(f"gateway: {{port: {port}}}")
    assert result.returncode == 1
    assert f"can't listen on 127.0.0.1:{port}" in result.stderr
    assert "gateway.port" in result.stderr
    assert "Traceback" not in result.stderr


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


async def collect(socket_: zmq.asyncio.Socket, records: list[rec.CallRecord]) -> None:
    """Commits everything at once."""
    while True:
        identity, frame = await socket_.recv_multipart()
        message = wire.unpack_to_collector(frame)
        assert isinstance(message, wire.Records)
        records += [rec.decode(data) for data in message.records]
        ack = wire.Ack(message.gateway_id, message.first_seq + len(message.records) - 1)
        await socket_.send_multipart([identity, wire.pack(ack)])


@pytest.fixture
async def collected():
    """An endpoint where everything is committed at once, and the records that came."""
    records: list[rec.CallRecord] = []
    with zmq.asyncio.Context() as context, context.socket(zmq.ROUTER) as router:
        port = router.bind_to_random_port("tcp://127.0.0.1")
        task = asyncio.create_task(collect(router, records))
        yield f"tcp://127.0.0.1:{port}", records
        task.cancel()
        await asyncio.wait([task])


@contextlib.asynccontextmanager
async def process(**document):
    """The process, and a client of it."""
    port = free_port()
    started = await asyncio.create_subprocess_exec(
        *COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    started.stdin.write(json.dumps({"gateway": {"port": port}, **document}).encode())
    started.stdin.close()
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=None, trust_env=False
        ) as client:
            while True:
                assert started.returncode is None, (await started.stdout.read()).decode()
                with contextlib.suppress(httpx.ConnectError):
                    if (await client.get("/readyz")).status_code == 200:
                        break
                await asyncio.sleep(0.05)
            yield started, client
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        await started.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_a_running_call_end_delivers_its_record_and_ends_with_0(
    upstream, collected, number
):
    go_on = asyncio.Event()

    async def stream(writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        writer.write(b"data: 1\n\n")
        await go_on.wait()
        writer.write(b"data: 2\n\n")
        await writer.drain()

    upstream.answer = stream
    endpoint, records = collected
    providers = {"openai": {"base_url": f"{upstream.url}/v1"}}
    async with process(providers=providers, collector={"endpoint": endpoint}) as (started, client):
        async with client.stream("POST", "/v1/chat/completions", json=STREAM, headers=KEY) as response:
            pieces = response.aiter_bytes()
            assert await anext(pieces) == b"data: 1\n\n"
            started.send_signal(number)
            await wait_until_refusing(client.base_url.port)
            go_on.set()
            assert [piece async for piece in pieces] == [b"data: 2\n\n"]
        output = await started.stdout.read()
        assert await started.wait() == 0
    assert b"Traceback" not in output
    assert [record.end_reason for record in records] == [EndReason.COMPLETE]


async def wait_until_refusing(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            return
        writer.close()
        await asyncio.sleep(0.01)


async def test_a_call_that_the_end_overtakes_is_told_and_recorded(gateway, upstream, records):
    """What uvicorn does when its time to stop in has run out."""

    async def silence(writer):
        await writer.wait_closed()

    upstream.answer = silence
    app = await gateway.app()
    sent = []
    left = asyncio.Event()
    body = iter([{"type": "http.request", "body": json.dumps(STREAM).encode(), "more_body": False}])

    async def receive():
        return next(body, None) or await left.wait()

    async def send(message):
        sent.append(message)

    headers = [
        (b"host", b"localhost"),
        (b"authorization", b"Bearer k"),
        (b"content-type", b"application/json"),
    ]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "raw_path": b"/v1/chat/completions",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
    }
    call = asyncio.create_task(app(scope, receive, send))
    async with asyncio.timeout(5):
        await upstream.asked.wait()
    call.cancel()
    await call
    assert sent[0]["status"] == 503
    assert b"gateway_stopping" in sent[1]["body"]
    record = await records.one()
    assert (record.end_reason, record.error_code) == (EndReason.GATEWAY_ERROR, "gateway_stopping")


async def test_mistakes_of_clients_leave_no_line_in_the_log(collected):
    endpoint, records = collected
    async with process(collector={"endpoint": endpoint}) as (started, client):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(b"garbage\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
        writer.close()
        assert (await client.post("/v1/chat/completions", content=b"{")).status_code == 415
        assert (await client.get("/v1/realtime", headers={"upgrade": "websocket"})).status_code == 400
        assert (await client.get("/nowhere", headers={"host": "evil.test"})).status_code == 403
        assert (await client.post("/flush")).json()["flushed"]
        started.send_signal(signal.SIGTERM)
        assert await started.stdout.read() == b""
        assert await started.wait() == 0
    assert [record.end_reason for record in records] == [EndReason.REJECTED] * 3
