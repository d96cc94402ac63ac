"""Processes that are killed, and processes that can't start: no call is lost or counted twice, nobody is left
to guess why."""

import asyncio
import socket
import subprocess
import sys

import duckdb
import httpx
import pytest
import yaml
from e2e.processes import clean_environment, free_port, wait_for

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
KEY = {"authorization": "Bearer sk-someone"}
IDS = "SELECT request_id FROM api_calls"


@pytest.fixture
def running(services, simulator):
    return services({"providers": {"openai": {"base_url": f"{simulator}/v1"}}})


async def send(url, calls, after=None):
    """So many calls, eight at a time, and `after` beside them when a third is done. Returns id: status."""
    done = {}
    waiting = iter(range(calls))
    side_job = None

    async def worker(client):
        nonlocal side_job
        for number in waiting:
            body = {**CHAT, "stream": number % 2 == 0}
            try:
                answer = await client.post("/v1/chat/completions", json=body)
                done[answer.headers["x-lessllm-request-id"]] = answer.status_code
            except httpx.RequestError:
                await asyncio.sleep(0.05)
            if after is not None and side_job is None and len(done) >= calls / 3:
                side_job = asyncio.create_task(asyncio.to_thread(after))

    async with httpx.AsyncClient(base_url=url, headers=KEY, timeout=30) as client:
        await asyncio.gather(*(worker(client) for _ in range(8)))
    if side_job is not None:
        await side_job
    return done


async def test_a_killed_collector_costs_no_call_and_doubles_none(running):
    def kill_and_start():
        running.collector.kill()
        running.start("collector")

    done = await send(running.gateway.url, 300, kill_and_start)
    more = await send(running.gateway.url, 20)
    assert set(done.values()) == {200}  # the clients notice nothing
    recorded = [row["request_id"] for row in running.rows(IDS)]
    assert sorted(recorded) == sorted({**done, **more})


async def test_a_collector_that_starts_late_gets_every_call(running):
    running.collector.stop()
    done = await send(running.gateway.url, 50)
    assert set(done.values()) == {200}
    running.start("collector")
    assert sorted(row["request_id"] for row in running.rows(IDS)) == sorted(done)


async def test_after_a_killed_gateway_calls_are_taken_and_recorded_again(running):
    before = await send(running.gateway.url, 50)
    running.flush()

    def kill_and_start():
        running.gateway.kill()
        running.start("gateway")

    await send(running.gateway.url, 100, kill_and_start)
    after = await send(running.gateway.url, 20)
    assert set(after.values()) == {200}
    recorded = [row["request_id"] for row in running.rows(IDS)]
    assert len(recorded) == len(set(recorded))
    assert set(recorded) >= {*before, *after}


async def test_a_stopped_gateway_lets_calls_end_and_hands_their_records_over(running):
    body = {**CHAT, "stream": True}
    slow = {"x-simulate": "slow_first_byte=1"}
    async with httpx.AsyncClient(base_url=running.gateway.url, headers=KEY, timeout=30) as client:
        calls = [
            asyncio.create_task(client.post("/v1/chat/completions", json=body, headers=slow))
            for _ in range(5)
        ]
        await asyncio.to_thread(wait_for, lambda: open_calls(running.gateway.url) == 5, "the calls to begin")
        await asyncio.to_thread(running.gateway.stop)
        answers = [await call for call in calls]
    assert all(answer.text.endswith("data: [DONE]\n\n") for answer in answers)
    running.start("gateway")
    ids = [answer.headers["x-lessllm-request-id"] for answer in answers]
    assert sorted(row["request_id"] for row in running.rows(IDS)) == sorted(ids)


def open_calls(url):
    (line,) = (
        line
        for line in httpx.get(f"{url}/metrics").text.splitlines()
        if line.startswith("lessllm_gateway_open_calls ")
    )
    return float(line.split()[1])


@pytest.fixture
def refused(tmp_path):
    """Runs a service that can't start; returns the one line that says why."""

    def run(service, document, *, exit_code=1):
        config = tmp_path / "lessllm.yaml"
        config.write_text(yaml.safe_dump(document))
        done = subprocess.run(
            [sys.executable, "-m", f"lessllm_{service}", "--config", config],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == exit_code
        (line,) = done.stderr.splitlines()
        return line

    return run


@pytest.mark.parametrize("service", ["gateway", "collector"])
def test_a_taken_port_is_said_in_one_line(refused, tmp_path, service):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(service, {service: {"port": port}, "logging": {"db_path": str(tmp_path / "x.duckdb")}})
    assert f"can't listen on 127.0.0.1:{port}" in line


def test_a_taken_records_endpoint_is_said_in_one_line(refused, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        collector = {"port": free_port(), "endpoint": endpoint}
        line = refused(
            "collector", {"collector": collector, "logging": {"db_path": str(tmp_path / "x.duckdb")}}
        )
    assert endpoint in line


def test_a_database_that_another_process_holds_is_said_in_one_line(refused, running):
    document = {
        "collector": {"port": free_port(), "endpoint": f"tcp://127.0.0.1:{free_port()}"},
        "logging": {"db_path": str(running.database)},
    }
    line = refused("collector", document)
    assert str(running.database) in line
    assert str(running.collector.popen.pid) in line  # who holds it


@pytest.mark.parametrize("content", [b"not a database\n" * 1000, b"SQLite format 3\0" + bytes(4096)])
def test_a_file_that_is_no_duckdb_database_is_said_in_one_line_and_kept(refused, tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    document = {
        "collector": {"port": free_port(), "endpoint": f"tcp://127.0.0.1:{free_port()}"},
        "logging": {"db_path": str(path)},
    }
    assert str(path) in refused("collector", document)
    assert path.read_bytes() == content


def test_a_duckdb_file_of_somebody_else_is_not_touched(refused, tmp_path):
    path = tmp_path / "theirs.duckdb"
    with duckdb.connect(path) as theirs:
        theirs.execute("CREATE TABLE api_calls (mine INTEGER)")
    document = {
        "collector": {"port": free_port(), "endpoint": f"tcp://127.0.0.1:{free_port()}"},
        "logging": {"db_path": str(path)},
    }
    assert str(path) in refused("collector", document)
    with duckdb.connect(path) as theirs:
        assert theirs.execute("SELECT count(*) FROM api_calls").fetchone() == (0,)
