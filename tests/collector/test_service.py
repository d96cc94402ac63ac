"""The process `lessllm-collector`, from outside. What it is waited for has the time that a test has."""

import asyncio
import contextlib
import json
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.request

import duckdb
import pytest
import zmq
import zmq.asyncio
from lessllm_shared import record, wire
from lessllm_shared.record import CallRecord, EndReason, new_request_id

COMMAND = [sys.executable, "-m", "lessllm_collector", "--config", "-"]


def records(count):
    """A frame with the first records of a gateway."""
    known = {"t0_unix_ns": 1_790_000_000_000_000_000, "end_ns": 1_000_000, "provider": "openai"}
    calls = [
        CallRecord(request_id=new_request_id(), end_reason=EndReason.COMPLETE, **known) for _ in range(count)
    ]
    return wire.pack(wire.Records("g", 1, [record.encode(call) for call in calls]))


def run(document):
    text = document if isinstance(document, str) else json.dumps(document)
    return subprocess.run(COMMAND, input=text, capture_output=True, text=True, check=False)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def document(tmp_path):
    return {
        "collector": {"port": free_port(), "endpoint": f"ipc://{tmp_path / 'records'}"},
        "logging": {"db_path": str(tmp_path / "calls.duckdb")},
    }


def files(folder):
    """The permissions of each."""
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def get(url):
    with urllib.request.urlopen(url) as response:
        return response.read()


def say(port, data):
    """All that comes back for it."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(4096), b""))


@contextlib.asynccontextmanager
async def process(document):
    """The process, ready, and its URL."""
    started = await asyncio.create_subprocess_exec(
        *COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, umask=0
    )
    started.stdin.write(json.dumps(document).encode())
    started.stdin.close()
    url = f"http://127.0.0.1:{document['collector']['port']}"
    try:
        while True:
            assert started.returncode is None, (await started.stdout.read()).decode()
            with contextlib.suppress(OSError):
                await asyncio.to_thread(get, f"{url}/readyz")
                break
            await asyncio.sleep(0.05)
        yield started, url
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        await started.wait()


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("collector: {prot: 1}", "collector.prot: unknown key; did you mean port?"),
        ("collector: {endpoint: 'http://x'}", "collector.endpoint: "),
        ("collector: {endpoint: 'tcp://*:5555'}", "set the keys that `lessllm keys` makes, or"),
        ("collector: {host: 0.0.0.0}", "collector.host: whoever reaches 0.0.0.0 could read every call"),
        ("collector: {query: {memory_limit: lots}}", "collector.query.memory_limit: "),
        ("prices: {m: {input_usd_per_mtok: -1, output_usd_per_mtok: 1}}", "prices.m.input_usd_per_mtok: "),
        ("logging: {storage: postgres}", "logging.storage: "),
    ],
)
def test_a_wrong_configuration_ends_with_2_and_names_its_key(document, said):
    result = run(document)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("lessllm-collector: configuration: ")
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run({**document(tmp_path), "collector": {"port": port}})
    assert result.returncode == 1
    assert f"can't listen on 127.0.0.1:{port}: Address already in use; set collector.port" in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_endpoint_that_is_taken_is_named(tmp_path):
    with zmq.Context() as context, context.socket(zmq.ROUTER) as holder:
        port = holder.bind_to_random_port("tcp://127.0.0.1")
        endpoint = f"tcp://127.0.0.1:{port}"
        result = run({**document(tmp_path), "collector": {"port": free_port(), "endpoint": endpoint}})
    assert result.returncode == 1
    assert f"can't listen on {endpoint}: Address already in use; set collector.endpoint" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "calls.duckdb").write_bytes(b"a letter to my aunt " * 1000)
    result = run(document(tmp_path))
    assert result.returncode == 1
    assert "calls.duckdb: is not a DuckDB file: move it away, or set logging.db_path" in result.stderr
    assert result.stderr.count("\n") == 1


async def test_a_database_that_is_in_use_is_named_with_who_has_it(tmp_path):
    first = document(tmp_path)
    async with process(first) as (started, _):
        result = await asyncio.to_thread(run, {**document(tmp_path), "logging": first["logging"]})
    assert result.returncode == 1
    assert f"calls.duckdb: in use by process {started.pid}: stop it" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_commits_what_was_received_acknowledges_it_and_ends_with_0(tmp_path, number):
    settings = document(tmp_path)
    async with process(settings) as (started, _):
        with zmq.asyncio.Context() as context, context.socket(zmq.DEALER) as gateway:
            gateway.connect(settings["collector"]["endpoint"])
            await gateway.send(records(20))
            answer = await gateway.recv()
            assert wire.unpack_to_gateway(answer) == wire.Ack("g", 20)
            assert {name for name in files(tmp_path) if "wal" in name}
            assert all(mode & 0o077 == 0 for mode in files(tmp_path).values()), files(tmp_path)
            started.send_signal(number)
            assert await started.stdout.read() == b""
            assert await started.wait() == 0
    with duckdb.connect(settings["logging"]["db_path"]) as database:
        assert database.execute("SELECT count(*), max(sequence) FROM api_calls").fetchone() == (20, 20)
    assert "calls.duckdb.wal" not in files(tmp_path)
    assert all(mode & 0o077 == 0 for mode in files(tmp_path).values()), files(tmp_path)  # prompts are in them


async def test_it_tells_how_it_is_and_what_it_counts(tmp_path):
    settings = document(tmp_path)
    async with process(settings) as (_, url):
        with zmq.asyncio.Context() as context, context.socket(zmq.DEALER) as gateway:
            gateway.connect(settings["collector"]["endpoint"])
            await gateway.send(records(1))
            await gateway.recv()
        metrics = (await asyncio.to_thread(get, f"{url}/metrics")).decode()
        assert json.loads(await asyncio.to_thread(get, f"{url}/healthz")) == {"status": "ok"}
        assert b'"code":"invalid_http"' in await asyncio.to_thread(
            say, settings["collector"]["port"], b"?\r\n\r\n"
        )
        assert b"<code>POST /query</code>" in await asyncio.to_thread(get, f"{url}/docs")
    labels = 'end_reason="complete",model="none",provider="openai",status="none"'
    assert f"lessllm_calls_total{{{labels}}} 1.0" in metrics
    assert 'gen_ai_client_operation_duration_seconds_count{gen_ai_provider_name="openai"' in metrics
    assert 'lessllm_collector_delivery_gaps_total{reason="lost"} 0.0' in metrics
    assert "lessllm_collector_inbox_bytes 0.0" in metrics
    assert re.search(r"^lessllm_collector_duckdb_memory_bytes{kind=\"cache\"} \d", metrics, re.MULTILINE)
