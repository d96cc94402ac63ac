"""`lessllm demo`: its workload, and the whole of it end to end."""

import json
import re
import signal
import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from itertools import pairwise

import httpx
import pytest
from lessllm.demo.workload import make_lanes
from lessllm.state import all_running


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


def test_the_demo_shows_what_was_learnt_and_leaves_nothing(terminal, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    result = terminal("demo", "--calls", "32", columns=100)
    assert result.code == 0
    assert "32 calls, 3 of them failed on purpose" in result.out
    for words in (
        "calls sent",
        "claude-sonnet-5",
        "text-embedding-3-small",
        "latencies are simulated",
        "Where the time goes",
        "model_not_found",
        "The slowest calls",
        "server wait",
        "A time in messages[0].content changes from call to call",
        "lessllm demo --keep",
    ):
        assert words in result.out
    assert max(map(len, result.out.splitlines())) <= 100
    assert list(tmp_path.iterdir()) == []


def test_kept_it_runs_until_ctrl_c_and_its_database_stays(lessllm_command, tmp_path, run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("LESSLLM_LOGGING__DB_PATH", str(tmp_path / "real.duckdb"))
        with started(lessllm_command, "demo", "--calls", "2", "--keep", "kept") as process:
            shown = list(
                iter(process.stdout.readline, f"The database stays: {tmp_path}/kept/lessllm.duckdb\n")
            )
            url = re.search(r"lessllm calls --url (\S+)", "".join(shown))[1]
            assert len(json.loads(run("calls", "--url", url, "--json").out)) == 2
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
    assert process.returncode == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz", trust_env=False)
    assert (tmp_path / "kept" / "lessllm.duckdb").exists()
    assert not (tmp_path / "real.duckdb").exists()

    again = run("demo", "--keep", "kept")
    assert again.code == 1
    assert "is there already; name another folder" in again.err


def test_stopped_in_the_middle_it_takes_everything_along(lessllm_command, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def servers():
        folders = tmp_path.glob("lessllm-demo-*")
        return [one for folder in folders for one in all_running({"XDG_STATE_HOME": str(folder)})]

    with started(lessllm_command, "demo") as process:
        while not (found := servers()):
            time.sleep(0.05)
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{found[0].url}/healthz", trust_env=False)


@contextmanager
def started(*command):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
