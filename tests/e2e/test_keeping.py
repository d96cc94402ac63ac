"""What is kept, copied and deleted by real processes: killed at any moment, they lose and double nothing."""

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from e2e.processes import clean_environment, wait_for
from lessllm_collector.store import Store
from lessllm_shared.config.sections import Query

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
KEY = {"authorization": "Bearer sk-someone"}
IDS = "SELECT request_id FROM api_calls WHERE session_id IS NULL"
LESSLLM = Path(sys.executable).with_name("lessllm")
OLD = 8_000


@pytest.fixture
def running(services, simulator):
    return services({"providers": {"openai": {"base_url": f"{simulator}/v1"}}})


def calls(services, count):
    """Makes so many. Returns their ids."""
    with httpx.Client(base_url=services.gateway.url, headers=KEY, trust_env=False, timeout=30) as client:
        answers = [client.post("/v1/chat/completions", json=CHAT) for _ in range(count)]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.headers["x-lessllm-request-id"] for answer in answers]


def add_old_calls(services):
    """Into the database, while no collector runs: of 40 days ago, 5 KB each, of which zstd makes 2.5."""
    store = Store(services.database, Query())
    with store.cursor() as connection:
        for first in range(0, OLD, 2000):
            connection.execute(
                "INSERT INTO internal.calls BY NAME SELECT 'old' || i AS request_id, 'old' AS gateway_id,"
                " now() - INTERVAL 40 DAY AS timestamp, i AS sequence, 'old' AS session_id,"
                " 5 AS actual_total_tokens, 5120 AS request_body_bytes, 0 AS response_body_bytes,"
                " array_to_string(list_transform(range(80), lambda n: sha256(concat(i, n))), '')::BLOB"
                " AS request_body FROM range(?, ?) _(i)",
                [first, first + 2000],
            )
            connection.execute("CHECKPOINT")
    store.close()


def metric(services, name):
    text = httpx.get(f"{services.collector.url}/metrics", trust_env=False).text
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))


def parts(services):
    return list(services.folder.glob(".calls.duckdb.*.part*"))


def recorded(services):
    return sorted(row["request_id"] for row in services.rows(IDS))


def test_a_collector_killed_while_it_deletes_loses_no_call_and_finishes_later(running):
    made = calls(running, 10)
    running.flush()
    running.collector.stop()
    add_old_calls(running)
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    for _ in range(3):
        running.start("collector")
        made += calls(running, 3)
        time.sleep(moments.uniform(0, 0.4))
        running.collector.kill()
    running.start("collector")
    wait_for(
        lambda: metric(running, "lessllm_collector_retention_last_run_timestamp_seconds") > 0,
        "old bodies to be deleted",
    )
    assert recorded(running) == sorted(made), seed
    found = running.row(
        "SELECT count(*) AS rows, count(DISTINCT request_id) AS ids, count(request_body) AS bodies,"
        " sum(actual_total_tokens)::BIGINT AS tokens FROM api_calls WHERE session_id = 'old'"
    )
    assert found == {"rows": OLD, "ids": OLD, "bodies": 0, "tokens": 5 * OLD}, seed
    assert running.row(f"SELECT count(raw_request) AS bodies FROM ({IDS.replace('request_id', '*')})") == {
        "bodies": len(made)
    }
    assert metric(running, "lessllm_collector_database_free_bytes") > 5_000_000


def test_a_backup_under_load_is_restored_and_gateways_go_on_with_what_it_lacks(running, tmp_path):
    copy, before, during, done = tmp_path / "copy.duckdb", calls(running, 30), [], threading.Event()

    def keep_calling():
        while not done.is_set():
            during.extend(calls(running, 1))

    thread = threading.Thread(target=keep_calling)
    thread.start()
    backup(running, copy, check=True)
    done.set()
    thread.join()
    running.flush()
    running.collector.stop()
    unsent = calls(running, 10)

    copy.replace(running.database)
    running.start("collector")
    after = calls(running, 10)
    found = recorded(running)
    restored = set(found) - {*unsent, *after}
    assert len(found) == len(set(found))
    assert {*unsent, *after} <= set(found)
    assert set(before) <= restored <= {*before, *during}
    lost = metric(running, 'lessllm_collector_delivery_gaps_total{reason="lost"}')
    assert lost == len(before) + len(during) - len(restored)


def test_a_collector_killed_while_it_copies_leaves_no_half_file(running, tmp_path):
    made = calls(running, 10)
    running.flush()
    os.truncate(running.database, 400_000_000)  # as if it were large: DuckDB knows where its data ends
    with backup(running, tmp_path / "copy.duckdb") as process:
        wait_for(lambda: bool(parts(running)) or process.poll() is not None, "the copy to begin")
        running.collector.kill()
        said = process.stderr.read()
    assert process.returncode == 1, said
    assert said.startswith(b"lessllm: ") and said.count(b"\n") == 1
    assert not list(tmp_path.glob("*copy.duckdb*"))
    running.start("collector")
    assert parts(running) == []
    assert recorded(running) == sorted(made)
    backup(running, tmp_path / "copy.duckdb", check=True)


def backup(services, copy, *, check=False):
    process = subprocess.Popen(
        [LESSLLM, "backup", copy, "--url", services.collector.url],
        stderr=subprocess.PIPE,
        env=clean_environment(),
        cwd=services.folder,
    )
    if check:
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 0, said
    return process
