"""A chain of real proxies, of which some are dead, die under load, and come back.

Clients notice nothing of it but calls that had begun to answer. Later calls don't pay for a dead proxy, each
try is in the record, and nothing goes direct unless the configuration says so.
"""

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass

import httpx
import pytest
from e2e.processes import free_port, running_services, wait_for
from e2e.proxies import shown_credentials
from e2e.proxy_programs import running_proxies
from e2e.upstream import running_upstream

CHAT = "/v1/chat/completions"
HELLO = {"model": "chain/gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
CLIENTS, CALLS_EACH = 20, 12
MODES = pytest.mark.parametrize("mode", ["plain", "stream"])


@pytest.fixture(scope="module")
def upstream():
    with running_upstream(time_scale=0.05) as running:
        yield running


@pytest.fixture
def first(tools):
    """A proxy to kill."""
    del tools
    with running_proxies("microsocks") as proxies:
        yield proxies["microsocks-socks5"]


@pytest.fixture(scope="module")
def second(proxies):
    """A proxy of another kind, that wants a password."""
    return proxies["squid-password-http"]


@pytest.fixture(scope="module")
def chains(proxies, second):
    """Chains by their names, which are those of providers: no two of them share what is dead."""
    refusing = proxies["dante-password-socks5"].url(password="wrong")
    return {
        "dead-first.plain": (dead("socks5"), second.url()),
        "dead-first.stream": (dead("socks4"), second.url()),
        "refusing-first": (refusing, second.url()),
        "upstream-down": (proxies["microsocks-socks5"].url(), second.url()),
        "all-dead.plain": (dead("socks5h"), dead("http")),
        "all-dead.stream": (dead("http"), dead("socks4")),
    }


@pytest.fixture(scope="module")
def running(chains, upstream, tmp_path_factory):
    """The services with these chains."""
    providers = {name: provider(upstream.url, *chain) for name, chain in chains.items()}
    providers["upstream-down"]["base_url"] = f"https://127.0.0.1:{free_port()}"
    with running_services(tmp_path_factory.mktemp("chains"), {"providers": providers}) as services:
        yield services


@pytest.fixture
def gateway(services, upstream, first, second):
    """The services with a chain whose first proxy is to be killed."""

    def start(*chain, retries=None, **proxy):
        chain = chain or (first.url(), second.url())
        return services(
            {"providers": {"chain": provider(upstream.url, *chain, **proxy)}, "retries": retries or {}}
        )

    return start


def dead(kind):
    return f"{kind}://127.0.0.1:{free_port()}"


def provider(url, *chain, **proxy):
    return {
        "format": "openai",
        "base_url": f"{url}/v1",
        "api_key": "sk-someone",
        "proxy": {"chain": chain, **proxy},
    }


def call(running, name="chain", streaming=False):
    """One call: its answer, and its row with its attempts."""
    body = {**HELLO, "model": f"{name}/gpt-4o", "stream": streaming}
    answer = httpx.post(f"{running.gateway.url}{CHAT}", json=body)
    row = running.row("SELECT * FROM api_calls WHERE request_id = ?", answer.headers["x-lessllm-request-id"])
    return answer, {**row, "attempts": json.loads(row["attempts"])}


def routes(row):
    return [attempt["route"] for attempt in row["attempts"]]


@MODES
def test_a_dead_proxy_is_passed_over_and_both_tries_are_in_the_row(running, chains, second, mode):
    gone, _ = chains[f"dead-first.{mode}"]
    answer, row = call(running, f"dead-first.{mode}", mode == "stream")
    assert answer.status_code == 200
    assert is_whole(answer.text, mode == "stream")
    failed, done = row["attempts"]
    assert (failed["route"], failed["phase"], failed["error_code"]) == (gone, "connect", "proxy_unreachable")
    assert gone in failed["error_message"]
    assert (done["route"], done["phase"], done["status_code"]) == (second.route, "done", 200)
    assert "error_code" not in done
    assert failed["end_ns"] <= done["start_ns"]
    assert (row["route"], row["end_reason"], row["error_code"]) == (second.route, "complete", None)
    assert row["prior_attempts_ms"] > 0
    assert not shown_credentials(str(row))


def test_a_proxy_that_refuses_its_password_is_passed_over(running, proxies, second):
    answer, row = call(running, "refusing-first")
    assert answer.status_code == 200
    assert routes(row) == [proxies["dante-password-socks5"].route, second.route]
    assert row["attempts"][0]["error_code"] == "proxy_auth_failed"


def test_an_upstream_that_is_down_is_not_its_proxies_fault(running, proxies, second):
    for _ in range(2):
        answer, row = call(running, "upstream-down")
        assert answer.json()["error"]["code"] == "upstream_unreachable"
        assert routes(row) == [proxies["microsocks-socks5"].route, second.route]


@MODES
def test_nothing_goes_direct_when_all_are_down(running, chains, upstream, mode):
    reached = upstream.counts
    answer, row = call(running, f"all-dead.{mode}", mode == "stream")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (502, "proxy_unreachable")
    assert (row["end_reason"], row["error_code"]) == ("proxy_error", "proxy_unreachable")
    assert routes(row) == list(chains[f"all-dead.{mode}"])
    assert routes(row)[-1] in error["message"]
    assert upstream.counts == reached


@MODES
def test_calls_go_direct_when_all_are_down_if_told_so_and_not_before(gateway, first, upstream, mode):
    gone = dead("http")
    running = gateway(gone, first.url(), fallback_direct=True)
    assert routes(call(running, streaming=mode == "stream")[1]) == [gone, first.route]
    first.program.kill()
    requests = upstream.counts[1]
    answer, row = call(running, streaming=mode == "stream")
    assert is_whole(answer.text, mode == "stream")
    assert (row["route"], row["end_reason"]) == ("direct", "complete")
    assert routes(row)[-1] == "direct" and first.route in routes(row)
    assert upstream.counts[1] == requests + 1


def test_later_calls_do_not_pay_for_a_dead_proxy_and_use_it_when_it_is_back(gateway, first, second, upstream):
    first.program.kill()
    running = gateway()

    def tried():
        answer, row = call(running)
        assert answer.status_code == 200
        return routes(row)

    both, rest = [first.route, second.route], [second.route]
    set_aside_until_s = time.monotonic() + 0.8  # or a little later: it is for 1 s, a fifth more or less
    assert tried() == both
    while time.monotonic() < set_aside_until_s:
        assert tried() == rest or time.monotonic() >= set_aside_until_s
    wait_for(lambda: tried() == both, "a call to try the dead proxy again")
    assert tried() == rest  # for another 2 s

    first.program.start()
    logged = first.log_size()
    wait_for(lambda: tried() == [first.route], "a call to find the proxy back")
    assert tried() == [first.route]
    assert first.count("127.0.0.1", upstream.port, scheme="http", since=logged) == 1


@dataclass(frozen=True)
class Told:
    """What a client was told."""

    request_id: str
    status: int
    is_whole: bool
    streaming: bool


async def test_a_proxy_killed_under_load_costs_no_call_that_had_not_begun_to_answer(
    gateway, first, second, upstream
):
    running = gateway(retries={"resend": True, "attempts": 2, "budget": 1})
    told, killed_unix_s = await load(running.gateway.url, first.program.kill)
    assert len(told) == CLIENTS * CALLS_EACH
    assert {one.status for one in told} == {200}

    rows = {
        row["request_id"]: {**row, "attempts": json.loads(row["attempts"])}
        for row in running.rows("SELECT * FROM api_calls")
    }
    assert set(rows) == {one.request_id for one in told}
    broken = [one for one in told if not one.is_whole]
    assert all(one.streaming for one in broken)  # a plain call is answered when its answer is whole
    assert len(broken) < CLIENTS
    for one in broken:
        row = rows[one.request_id]
        assert (row["end_reason"], row["route"]) == ("truncated", first.route)
        assert row["attempts"][-1]["phase"] == "receive"

    by_first, by_second, moved, late = [], [], [], []
    for row in rows.values():
        tried = routes(row)
        assert tried[-1] == row["route"]
        by_first += [row] if tried == [first.route] else []
        by_second += [row] if tried == [second.route] else []
        moved += [row] if len(tried) > 1 else []
        late += [row] if row["timestamp"].timestamp() > killed_unix_s else []
    assert len(by_first) + len(by_second) + len(moved) == len(told)
    assert len(by_first) > CLIENTS  # before
    assert len(moved) <= 2 * CLIENTS  # those under way, and the few that try it again
    assert all(row["attempts"][0]["error_code"] for row in moved)
    assert all(row["route"] == second.route for row in late)
    assert len([row for row in late if len(routes(row)) == 1]) > len(late) / 2
    assert first.count("127.0.0.1", upstream.port, scheme="http", since=0) > 0


async def load(url, kill):
    """Calls by all clients at once; `kill` beside them, when a third is done. Returns when that was, too."""
    told = []
    killing = None

    async def work(client):
        nonlocal killing
        for number in range(CALLS_EACH):
            told.append(await ask(client, streaming=number % 2 == 0))
            if killing is None and len(told) >= CLIENTS * CALLS_EACH / 3:
                killing = asyncio.create_task(asyncio.to_thread(kill))
                killing.add_done_callback(lambda _: ended.append(time.time()))

    ended = []
    limits = httpx.Limits(max_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as client:
        await asyncio.gather(*(work(client) for _ in range(CLIENTS)))
    await killing
    return told, ended[0]


async def ask(client, *, streaming):
    """One call, whose answer takes a while to begin: most are in that state when the proxy dies."""
    body, slow = {**HELLO, "stream": streaming}, {"x-simulate": "slow_first_byte=0.2"}
    text = ""
    async with client.stream("POST", CHAT, json=body, headers=slow) as response:
        with contextlib.suppress(httpx.RemoteProtocolError):  # the answer breaks off
            async for piece in response.aiter_text():
                text += piece
    request_id = response.headers["x-lessllm-request-id"]
    return Told(request_id, response.status_code, is_whole(text, streaming), streaming)


def is_whole(text, streaming):
    """Whether an answer goes to its end."""
    if streaming:
        return text.endswith("data: [DONE]\n\n")
    try:
        return json.loads(text)["choices"][0]["finish_reason"] == "stop"
    except (ValueError, KeyError):
        return False
