"""docker-compose.yml on a real engine: one entrance, gateways that come, go and are killed, and all rows."""

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from e2e.compose import Compose, Provider, running_provider, why_not
from e2e.processes import wait_for

REASON = why_not()
pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(REASON is not None, reason=f"no Docker engine: {REASON}"),
    pytest.mark.timeout(900),  # images are built, if there are none
]
KEY = {"authorization": "Bearer sk-someone"}
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "tell me something"}]}
WORKERS = 6
PAUSE_S = 0.05  # after each call: enough is going on


@dataclass
class Stack:
    """It runs, with the number of gateways that each test wants."""

    compose: Compose
    provider: Provider

    @property
    def url(self) -> str:
        return self.compose.url("nginx", 8000)

    def wait_for_rows(self, session: str, count: int) -> None:
        sql = "SELECT count(*) FROM api_calls WHERE session_id = ?"
        wait_for(lambda: self.compose.rows(sql, session) == [(count,)], f"{count} rows of {session}")

    def request_ids(self) -> list[str]:
        return [row[0] for row in self.compose.rows("SELECT request_id FROM api_calls")]

    def wait_for_scrapes(self, gateways: int) -> None:
        """Prometheus sees that many, and the collector."""
        expected = {"gateway": str(gateways), "collector": "1"}
        url = f"{self.compose.url('prometheus', 9090)}/api/v1/query"

        def seen() -> dict[str, str]:
            query = 'count by (job) (up{job=~"gateway|collector"} == 1)'
            result = httpx.get(url, params={"query": query}, trust_env=False).json()["data"]["result"]
            return {entry["metric"]["job"]: entry["value"][1] for entry in result}

        wait_for(lambda: seen() == expected, f"Prometheus to see {expected}", timeout_s=90)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_provider() as (provider, url):
        compose = Compose(tmp_path_factory.mktemp("compose") / "config", url)
        try:
            compose.up(gateways=3)
            yield Stack(compose, provider)
            assert "Traceback" not in compose.logs()
        finally:
            compose.close()


@dataclass
class Call:
    """As its client saw it."""

    began_s: float
    request_id: str | None = None  # of an answer that began
    error: str | None = None


@dataclass
class Clients:
    """They call again and again, plain and streaming in turn, each on connections of its own."""

    url: str
    session: str
    calls: list[Call] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextlib.asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """While the block runs. At the end, what has begun is finished."""
        leaving = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._call_on(leaving))
            try:
                yield
            finally:
                leaving.set()

    async def until_there_are(self, count: int) -> None:
        """That many more calls."""
        wanted = len(self.calls) + count
        while len(self.calls) < wanted:  # noqa: ASYNC110 - a condition of a test
            await asyncio.sleep(0.02)

    async def _call_on(self, leaving: asyncio.Event) -> None:
        headers = {**KEY, "x-lessllm-session": self.session}
        async with httpx.AsyncClient(timeout=60, trust_env=False, headers=headers) as client:
            while not leaving.is_set():
                call = Call(time.monotonic())
                self.calls.append(call)
                streams = next(self._numbers) % 2 == 0
                try:
                    await self._ask(client, call, streams)
                except httpx.HTTPError as error:
                    call.error = repr(error)
                await asyncio.sleep(PAUSE_S)

    async def _ask(self, client: httpx.AsyncClient, call: Call, streams: bool) -> None:
        url = f"{self.url}/v1/chat/completions"
        async with client.stream("POST", url, json={**CHAT, "stream": streams}) as response:
            call.request_id = response.headers.get("x-lessllm-request-id")
            text = (await response.aread()).decode()
            is_whole = text.endswith("data: [DONE]\n\n") if streams else '"usage"' in text
            if response.status_code != 200 or not is_whole:
                call.error = f"{response.status_code}: {text[-200:]}"


def test_clients_do_not_see_metrics(stack: Stack) -> None:
    for path in ("/metrics", "//metrics", "/%6detrics"):
        assert httpx.get(stack.url + path, trust_env=False).status_code == 404


async def test_calls_are_spread_over_three_gateways_and_each_is_one_row(stack):
    stack.compose.up(gateways=3)
    clients = Clients(stack.url, "spread")
    async with clients.calling():
        await clients.until_there_are(120)
    assert [call.error for call in clients.calls if call.error] == []
    stack.wait_for_rows("spread", len(clients.calls))
    sql = "SELECT DISTINCT gateway_id, streaming FROM api_calls WHERE session_id = 'spread'"
    assert len(stack.compose.rows(sql)) == 6
    stack.wait_for_scrapes(gateways=3)


def test_a_stream_reaches_the_client_as_it_comes_and_the_row_says_who_asked(stack):
    headers = {**KEY, "x-lessllm-session": "held", "x-forwarded-for": "203.0.113.9"}
    body = {**CHAT, "model": "held/model", "stream": True}
    url = f"{stack.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, trust_env=False, timeout=60) as response:
        lines = response.iter_lines()
        assert "first" in next(lines)  # the whole event, before there is a second
        stack.provider.is_let_go.set()
        assert "second" in "".join(lines)
    stack.wait_for_rows("held", 1)
    ((client_ip,),) = stack.compose.rows("SELECT client_ip FROM api_calls WHERE session_id = 'held'")
    assert client_ip not in (None, "203.0.113.9")


async def test_a_killed_gateway_takes_no_call_with_it_but_those_it_had_and_no_row(stack):
    stack.compose.up(gateways=3)
    clients = Clients(stack.url, "killed")
    async with clients.calling():
        await clients.until_there_are(60)
        await asyncio.to_thread(stack.compose.kill_one_gateway)
        killed_s = time.monotonic()
        await clients.until_there_are(120)
    failed = [call for call in clients.calls if call.error]
    assert all(call.began_s < killed_s for call in failed), failed
    assert len(failed) <= WORKERS
    begun = {call.request_id for call in clients.calls if call.request_id}
    wait_for(lambda: begun <= set(stack.request_ids()), "the rows of all calls that got an answer")
    assert not [request_id for request_id, count in Counter(stack.request_ids()).items() if count > 1]


async def test_gateways_are_added_and_leave_while_calls_go_on(stack):
    stack.compose.up(gateways=3)
    clients = Clients(stack.url, "scaled")
    async with clients.calling():
        await asyncio.to_thread(stack.compose.up, 5)
        await clients.until_there_are(100)
        await asyncio.to_thread(stack.wait_for_scrapes, 5)
        await asyncio.to_thread(stack.compose.up, 3)
        await clients.until_there_are(100)
    assert [call.error for call in clients.calls if call.error] == []
    stack.wait_for_rows("scaled", len(clients.calls))
    sql = "SELECT count(DISTINCT gateway_id) FROM api_calls WHERE session_id = 'scaled'"
    assert stack.compose.rows(sql) == [(5,)]


def test_everything_stops_in_order_and_in_time(stack):
    stack.compose("stop", "gateway")
    answer = httpx.post(
        f"{stack.url}/v1/chat/completions", json=CHAT, headers=KEY, trust_env=False, timeout=60
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "gateway_unavailable")
    stack.compose("stop")
    codes = stack.compose.exit_codes()
    assert {name: code for name, code in codes.items() if code} == {}
