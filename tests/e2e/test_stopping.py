"""SIGTERM: each service ends within its time, whoever is still there, and what it has is kept."""

import threading
import time

import httpx
import pytest
from e2e.processes import Process, wait_for
from lessllm_collector.store import Store
from lessllm_shared.config.sections import Query

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
KEY = {"authorization": "Bearer sk-someone"}
ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3"
IMPATIENT_S = 1
LEFT_S = 10  # for everything but the calls that are given stop_s
QUERY_S = 25  # it would go on for longer than the collector may take


@pytest.fixture
def running(services, simulator):
    return services(
        {
            "providers": {"openai": {"base_url": f"{simulator}/v1"}},
            "gateway": {"stop_s": IMPATIENT_S},
            "collector": {"query": {"timeout_s": QUERY_S}},
        }
    )


class Asking(threading.Thread):
    """A request in a thread of its own."""

    def __init__(self, method, url, **request):
        super().__init__()
        self._request = method, url, request
        self.answer = self.error = None
        self.start()

    def run(self):
        method, url, request = self._request
        try:
            self.answer = httpx.request(method, url, trust_env=False, timeout=60, **request)
        except httpx.HTTPError as error:
            self.error = error


def stopped_within(process: Process, limit_s: float) -> None:
    began_s = time.monotonic()
    process.stop()
    assert time.monotonic() - began_s < limit_s, process.log.read_text()


def test_a_query_does_not_hold_the_collector_up_and_is_told(running):
    asking = Asking("POST", f"{running.collector.url}/query", json={"sql": ENDLESS})
    began_s = cpu_s(running.collector)
    wait_for(lambda: cpu_s(running.collector) > began_s + 0.5, "the query to run")
    stopped_within(running.collector, LEFT_S)
    asking.join()
    assert (asking.answer.status_code, asking.answer.json()["error"]["code"]) == (503, "stopping")


def test_an_export_that_nobody_reads_does_not_hold_the_collector_up(running):
    running.collector.stop()
    store = Store(running.database, Query())
    with store.cursor() as connection:
        connection.execute(
            "INSERT INTO internal.calls BY NAME SELECT 'old' || i AS request_id, 'old' AS gateway_id,"
            " now() AS timestamp, i AS sequence, 50000 AS request_body_bytes, 0 AS response_body_bytes,"
            " array_to_string(list_transform(range(800), lambda n: sha256(concat(i, n))), '')::BLOB"
            " AS request_body FROM range(4096) _(i)"
        )
    store.close()
    running.start("collector")
    with httpx.stream("GET", f"{running.collector.url}/export", trust_env=False, timeout=60) as answer:
        assert answer.status_code == 200
        pieces = answer.iter_raw()
        next(pieces)
        stopped_within(running.collector, LEFT_S + 10)
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)


def test_calls_that_take_too_long_are_cut_and_have_a_row(running):
    chat = f"{running.gateway.url}/v1/chat/completions"
    slow = KEY | {"x-simulate": "slow_first_byte=60", "x-lessllm-session": "slow"}
    asking = [
        Asking("POST", chat, headers=slow, json={**CHAT, "stream": is_stream}) for is_stream in (False, True)
    ]
    wait_for(lambda: "lessllm_gateway_open_calls 2.0" in metrics(running), "the calls to be under way")
    stopped_within(running.gateway, IMPATIENT_S + LEFT_S)
    for one in asking:
        one.join()
        assert (one.answer.status_code, one.answer.json()["error"]["code"]) == (503, "gateway_stopping")
    running.start("gateway")
    rows = running.rows("SELECT end_reason, error_code FROM api_calls WHERE session_id = 'slow'")
    assert rows == [{"end_reason": "gateway_error", "error_code": "gateway_stopping"}] * 2


def test_without_a_collector_the_gateway_ends_in_time_too(running):
    running.collector.kill()
    answer = httpx.post(f"{running.gateway.url}/v1/chat/completions", json=CHAT, headers=KEY, trust_env=False)
    stopped_within(running.gateway, IMPATIENT_S + LEFT_S)
    running.start("collector", "gateway")
    wait_for(lambda: len(running.rows("SELECT 1 FROM api_calls")) == 1, "the record to be adopted")
    assert (
        running.row("SELECT request_id FROM api_calls")["request_id"]
        == answer.headers["x-lessllm-request-id"]
    )


def metrics(services):
    return httpx.get(f"{services.gateway.url}/metrics", trust_env=False).text


def cpu_s(process):
    """CPU time of a process so far, on Linux."""
    return time.clock_gettime(~process.popen.pid << 3 | 2)
