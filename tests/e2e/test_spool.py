"""The spool in real processes: records outlive killed gateways, and killed calls have a name."""

import contextlib
import threading

import httpx
import pytest
from e2e.processes import wait_for

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
KEY = {"authorization": "Bearer sk-someone"}
IDS = "SELECT request_id FROM api_calls"


@pytest.fixture
def start(services, simulator):
    """Services with these settings of `logging`."""

    def started(**logging):
        return services({"providers": {"openai": {"base_url": f"{simulator}/v1"}}, "logging": logging})

    return started


def call(services, **headers):
    response = httpx.post(
        f"{services.gateway.url}/v1/chat/completions", json=CHAT, headers=KEY | headers, trust_env=False
    )
    assert response.status_code == 200
    return response.headers["x-lessllm-request-id"]


def spooled(services, pattern="*/*.seg"):
    return list(services.folder.glob(f"calls.duckdb.spool/{pattern}"))


def hanging(services):
    """A call that does not end by itself: it is under way when this returns."""

    def ask():
        with contextlib.suppress(httpx.HTTPError):
            httpx.post(
                f"{services.gateway.url}/v1/chat/completions",
                json=CHAT,
                headers=KEY | {"x-simulate": "slow_first_byte=60", "x-lessllm-session": "hanging"},
                trust_env=False,
                timeout=60,
            )

    thread = threading.Thread(target=ask)
    thread.start()
    wait_for(lambda: "lessllm_gateway_open_calls 1.0" in metrics(services), "the call to be under way")
    return thread


def metrics(services):
    return httpx.get(f"{services.gateway.url}/metrics", trust_env=False).text


def test_a_gateway_that_is_killed_while_the_collector_is_away_loses_nothing(start):
    services = start()
    services.collector.kill()
    done = [call(services) for _ in range(20)]
    wait_for(lambda: spooled(services), "records to be on disk")
    wait_for(lambda: "lessllm_gateway_records_buffer_used_bytes 0.0" in metrics(services), "all of them")
    services.gateway.kill()
    services.start("collector", "gateway")
    done.append(call(services))
    wait_for(lambda: len(services.rows(IDS)) == len(done), "what was left to be adopted")
    assert sorted(row["request_id"] for row in services.rows(IDS)) == sorted(done)
    wait_for(lambda: not spooled(services), "the spool to be empty")


def test_sigterm_leaves_on_disk_what_the_collector_can_not_take(start):
    services = start()
    services.collector.kill()
    done = [call(services) for _ in range(5)]
    services.gateway.stop()
    services.start("collector", "gateway")
    wait_for(lambda: len(services.rows(IDS)) == 5, "what was left to be adopted")
    assert sorted(row["request_id"] for row in services.rows(IDS)) == sorted(done)


@pytest.mark.parametrize("mode", ["overflow", "always"])
def test_a_call_that_dies_with_its_gateway_has_a_row_that_says_so(start, mode):
    services = start(spool=mode)
    call(services)
    services.flush()
    thread = hanging(services)
    services.gateway.kill()
    thread.join()
    services.start("gateway")
    wait_for(lambda: len(services.rows(IDS)) == 2, "the killed call to be told")
    row = services.row("SELECT * FROM api_calls WHERE error_code = 'gateway_killed'")
    assert row["end_reason"] == "gateway_error"
    assert row["total_latency_ms"] is None
    assert row["session_id"] == ("hanging" if mode == "always" else None)
    assert (row["request_body"] or b"").startswith(b"{" if mode == "always" else b"")
    gap = services.row("SELECT * FROM delivery_gaps")
    assert (gap["request_id"], gap["reason"], gap["calls"]) == (row["request_id"], "gateway_killed", 1)
    assert (gap["gateway_id"], gap["first_sequence"]) == (row["gateway_id"], row["sequence"])


def test_without_a_folder_that_can_be_written_to_records_wait_in_memory(start, tmp_path):
    (tmp_path / "file").touch()
    services = start(spool_dir=str(tmp_path / "file"))
    assert f"records wait in memory, the spool can't take them: {tmp_path / 'file'}" in (
        services.gateway.log.read_text()
    )
    request_id = call(services)
    assert [row["request_id"] for row in services.rows(IDS)] == [request_id]
