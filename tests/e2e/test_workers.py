"""Several workers at one port, from outside: all take calls, each is a gateway, one that dies is replaced."""

import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from e2e.processes import wait_for

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
KEY = {"authorization": "Bearer sk-someone"}
WORKERS = 2
CALLS = "lessllm_gateway_calls_total"


def call(url: str) -> int:
    """Over a connection of its own."""
    answer = httpx.post(f"{url}/v1/chat/completions", json=CHAT, headers=KEY, trust_env=False, timeout=30)
    return answer.status_code


def calls_by_worker(url: str) -> dict[str, float]:
    text = httpx.get(f"{url}/metrics", trust_env=False, timeout=30).text
    found: dict[str, float] = dict.fromkeys(
        re.findall(r'^process_\w+\{worker="(\d)"\}', text, re.MULTILINE), 0
    )
    for worker, value in re.findall(rf'^{CALLS}\{{.*worker="(\d)".*\}} (\S+)$', text, re.MULTILINE):
        found[worker] += float(value)
    return found


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_workers_share_a_port_and_one_that_is_killed_is_started_again_and_loses_no_record(
    services, simulator
):
    document = {"providers": {"openai": {"base_url": f"{simulator}/v1"}}, "gateway": {"workers": WORKERS}}
    running = services(document)
    url, parent = running.gateway.url, running.gateway.popen.pid
    wait_for(lambda: len(calls_by_worker(url)) == WORKERS, "all workers to be ready")
    made = 0

    def call_until_both_have_some() -> bool:
        nonlocal made
        with ThreadPoolExecutor(16) as threads:
            assert set(threads.map(call, [url] * 32)) == {200}
        made += 32
        return all(calls_by_worker(url).values())

    wait_for(call_until_both_have_some, "both workers to take calls")
    assert sum(calls_by_worker(url).values()) == made

    first, *_ = workers = children(parent)
    assert len(workers) == WORKERS
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len(children(parent)) == WORKERS and first not in children(parent), "another worker")
    wait_for(lambda: len(calls_by_worker(url)) == WORKERS, "it to be ready")
    wait_for(call_until_both_have_some, "both workers to take calls again")

    (counted,) = running.rows(
        "SELECT count(*) AS calls, count(DISTINCT gateway_id) AS gateways FROM api_calls"
    )
    assert counted["gateways"] >= WORKERS
    wait_for(lambda: running.row("SELECT count(*) AS calls FROM api_calls")["calls"] == made, "all rows")

    running.gateway.stop()
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_when_the_first_process_is_killed_its_workers_end(services, simulator):
    document = {"providers": {"openai": {"base_url": f"{simulator}/v1"}}, "gateway": {"workers": WORKERS}}
    running = services(document)
    wait_for(lambda: len(children(running.gateway.popen.pid)) == WORKERS, "the workers")
    workers = children(running.gateway.popen.pid)
    running.gateway.kill()
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), "the workers to end")
    running.start("gateway")  # its port is free
