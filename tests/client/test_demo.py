"""`lessllm demo`: its workload, and the whole of it end to end."""

import os
import re
import signal
import subprocess
from collections import Counter
from itertools import pairwise

import httpx
import pytest
from lessllm.demo.stage import stage
from lessllm.demo.workload import make_lanes


def test_the_workload_has_as_many_calls_as_wanted_and_is_the_same_for_the_same_seed():
    for calls in (1, 7, 64, 200):
        assert sum(map(len, make_lanes(calls, seed=0))) == calls
    assert make_lanes(64, seed=3) == make_lanes(64, seed=3)
    assert make_lanes(64, seed=3) != make_lanes(64, seed=4)


def test_a_small_workload_has_a_bit_of_everything():
    calls = [call for lane in make_lanes(16, seed=0) for call in lane]
    paths = Counter(call.path for call in calls)
    assert set(paths) == {"/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1/embeddings"}
    assert {call.body.get("stream", False) for call in calls} == {True, False}
    assert len({call.body["model"] for call in calls}) == 6


def test_conversations_grow_and_begin_alike():
    lane = next(lane for lane in make_lanes(64, seed=0) if lane[0].path == "/v1/messages")
    for before, after in pairwise(lane):
        assert after.body["system"] == before.body["system"]
        assert len(after.body["messages"]) == len(before.body["messages"]) + 2


def test_nothing_of_a_demo_lands_in_a_real_database(tmp_path, monkeypatch):
    monkeypatch.setenv("LESSLLM_LOGGING__DB_PATH", str(tmp_path / "real.duckdb"))
    monkeypatch.setenv("OPENAI_BASE_URL", "http://real.example")
    before = dict(os.environ)
    (tmp_path / "demo").mkdir()
    with stage(tmp_path / "demo", is_temporary=True, seed=0) as staged:
        assert staged.database == tmp_path / "demo" / "lessllm.duckdb"
        assert httpx.get(f"{staged.gateway_url}/healthz", trust_env=False).status_code == 200
    assert dict(os.environ) == before
    assert not (tmp_path / "real.duckdb").exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{staged.gateway_url}/healthz", trust_env=False)


def test_the_demo_shows_what_was_learnt_and_leaves_nothing(terminal, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    result = terminal("demo", "--calls", "16", columns=100)
    assert result.code == 0
    assert "16 calls, 2 of them failed on purpose" in result.out
    for words in (
        "calls sent",
        "claude-sonnet-5",
        "text-embedding-3-small",
        "latencies are simulated",
        "Where the time goes",
        "model_not_found",
        "The slowest calls",
        "server wait",
        "lessllm demo --keep",
    ):
        assert words in result.out
    assert max(map(len, result.out.splitlines())) <= 100
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_kept_it_runs_until_a_signal_and_its_database_stays(lessllm_command, tmp_path, run, number):
    command = [lessllm_command, "demo", "--calls", "2", "--keep", "kept"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        url = None
        for line in process.stdout:
            if found := re.search(r"lessllm calls --url (\S+)", line):
                url = found[1]
            if line.startswith("The database stays"):
                break
        assert len(run("calls", "--url", url).out.splitlines()) == 4
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == {signal.SIGINT: 0, signal.SIGTERM: 143}[number]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz", trust_env=False)
    assert (tmp_path / "kept" / "lessllm.duckdb").exists()

    again = run("demo", "--keep", "kept")
    assert again.code == 1
    assert "is there already; name another folder" in again.err
