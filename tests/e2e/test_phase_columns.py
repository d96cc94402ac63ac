"""Each phase of a call has a column: with a known time let pass in every one of them, each shows its own, no
other does, and together they make up the total.

A time is right within 10 ms and 5 %. A busy machine may spoil a measurement: it is repeated twice at most.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvloop
from e2e import delays
from e2e.delays import hold, listening
from e2e.in_process import Inside, Row, gateway
from e2e.street import CONNECTING, DELAYS, WAYS, Expected, street
from e2e.upstream import certificate
from lessllm_gateway.egress import health

pytestmark = pytest.mark.alone
TRIES = 3
OVERHEAD_MS = 5.0
WAIT_MS = 300
LARGE_BYTES = 6 << 20  # more than a socket buffers: 4 MiB at most, as Linux comes
PATH = "/v1/chat/completions"
ASKED = json.dumps({"model": "m", "stream": True, "messages": []}).encode()
HEADERS = {"authorization": "Bearer sk-x", "content-type": "application/json"}
BINARY = {"authorization": "Bearer sk-x", "content-type": "application/octet-stream"}
PHASES = (
    *("request_receive_ms", "prior_attempts_ms", "pool_wait_ms", *CONNECTING, "request_send_ms"),
    *("server_wait_ms", "receive_ms", "client_blocked_ms", "gateway_overhead_ms"),
)
NOTHING: Expected = dict.fromkeys(PHASES, 0) | dict.fromkeys(("dns_ms", "proxy_handshake_ms", "tls_ms"))


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("shown"))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_each_column_shows_its_own_delay_and_all_add_up(way, shown, monkeypatch):
    monkeypatch.setattr(health, "FIRST_BACKOFF_S", 60.0)  # the second call doesn't try what has failed

    async def measure():
        async with (
            street(shown) as there,
            gateway(way.document(there, shown), there.resolve) as inside,
            client_of(inside) as client,
        ):
            await ask(client, slowly())
            new = await inside.rows.next()
            await ask(client, slowly())
            again = await inside.rows.next()
        assert (new["connection_reused"], again["connection_reused"]) == (False, True)
        assert new["remote_dns"] == way.remote_dns
        return wrong(new, way.expected) + wrong(again, way.expected_again)

    holds(measure)


def test_what_failed_is_shown_where_it_failed(shown):
    """Both proxies of a chain."""

    async def measure():
        async with street(shown) as there, listening(delays.failing_proxy(DELAYS)) as second:
            chain = [f"socks5h://127.0.0.1:{port}" for port in (there.proxies["failing"], second)]
            async with gateway({"proxy": {"chain": chain}}) as inside, client_of(inside) as client:
                answer = await client.post(PATH, content=slowly(), headers=HEADERS)
                assert answer.json()["error"]["code"] == "proxy_protocol_error"
                row = await inside.rows.next()
        return wrong(
            row,
            {
                "request_receive_ms": DELAYS.upload,
                "prior_attempts_ms": DELAYS.prior,
                "tcp_connect_ms": 0,
                "proxy_handshake_ms": DELAYS.prior,
                "request_send_ms": None,
                "server_wait_ms": None,
                "client_blocked_ms": 0,
                "compute_ms": None,
            },
        )

    holds(measure)


@pytest.mark.parametrize(
    ("answer", "reused"), [(delays.EMPTY, True), (delays.CLOSING, False)], ids=["kept", "closed"]
)
def test_waiting_for_a_connection_is_a_phase(answer, reused):
    async def measure():
        gate = asyncio.Event()
        async with (
            listening(delays.gated_upstream(gate, answer)) as port,
            gateway({**plainly(port), "pool": {"max_connections": 1}}) as inside,
            client_of(inside) as client,
        ):
            first = asyncio.create_task(ask(client, ASKED))
            await until(lambda: inside.pool.open_count == 1)
            second = asyncio.create_task(ask(client, ASKED))
            await until(lambda: inside.pool.waiting_count == 1)
            await hold(WAIT_MS)
            gate.set()
            await asyncio.gather(first, second)
            await inside.rows.next()
            row = await inside.rows.next()
        assert row["connection_reused"] is reused
        connecting = {"tcp_connect_ms": None if reused else 0}
        return wrong(row, {**NOTHING, **connecting, "pool_wait_ms": WAIT_MS, "total_latency_ms": WAIT_MS})

    holds(measure)


def test_an_upstream_that_reads_slowly_is_seen_in_sending():
    async def measure():
        async with (
            listening(delays.slow_reader(WAIT_MS)) as port,
            gateway(plainly(port)) as inside,
            client_of(inside) as client,
        ):
            await client.post("/openai/v1/files", content=bytes(LARGE_BYTES), headers=BINARY)
            row = await inside.rows.next()
        return wrong(
            row, {**NOTHING, "request_receive_ms": row["request_receive_ms"], "request_send_ms": WAIT_MS}
        )

    holds(measure)


def test_a_client_that_reads_slowly_is_seen_as_that():
    async def measure():
        async with (
            listening(delays.large_upstream(LARGE_BYTES)) as port,
            gateway(plainly(port)) as inside,
        ):
            reader, writer = await asyncio.open_connection(sock=connected(urlsplit(inside.url).port))
            writer.write(
                b"GET /openai/v1/files HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer k\r\n\r\n"
            )
            head = await reader.readuntil(b"\r\n\r\n")
            await hold(WAIT_MS)
            left_bytes = delays.content_length(head)
            while left_bytes:
                left_bytes -= len(await reader.read(1 << 20))
            writer.close()
            row = await inside.rows.next()
        receiving = {"receive_ms": row["receive_ms"]}  # takes as long as so many bytes take here
        return wrong(row, {**NOTHING, **receiving, "client_blocked_ms": WAIT_MS, "total_latency_ms": WAIT_MS})

    holds(measure)


def plainly(port: int) -> dict[str, Any]:
    """Direct, without TLS."""
    return {"providers": {"openai": {"base_url": f"http://127.0.0.1:{port}/v1"}}}


def holds(measure: Callable[[], Awaitable[list[str]]]) -> None:
    """Fails with what was wrong in the best of several measurements."""

    async def best() -> list[str]:
        found: list[list[str]] = []
        for _ in range(TRIES):
            found.append(await measure())
            if not found[-1]:
                break
        return min(found, key=len)

    assert uvloop.run(best()) == []


def wrong(row: Row, expected: Expected) -> list[str]:
    """Columns that are not as expected, and sums that do not add up."""
    together_ms = sum(row[name] or 0 for name in PHASES)
    checks = [(name, row[name], wanted) for name, wanted in expected.items()]
    checks.append(("the phases' sum", together_ms, row["total_latency_ms"]))
    found = [
        f"{name} is {is_}, not {wanted}"
        for name, is_, wanted in checks
        if (is_ is None) != (wanted is None)
        or (wanted is not None and abs(is_ - wanted) > 10 + 0.05 * wanted)
    ]
    if row["gateway_overhead_ms"] > OVERHEAD_MS:
        found.append(f"gateway_overhead_ms is {row['gateway_overhead_ms']}")
    return found


def client_of(inside: Inside) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=inside.url, trust_env=False, timeout=30)


async def ask(client: httpx.AsyncClient, content: Any) -> httpx.Response:
    answer = await client.post(PATH, content=content, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    return answer


async def slowly() -> AsyncIterator[bytes]:
    """A request whose body's second half comes late."""
    yield ASKED[:10]
    await hold(DELAYS.upload)
    yield ASKED[10:]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.001)


def connected(port: int) -> socket.socket:
    """A client's socket that takes little before it is read."""
    made = delays.small_socket()
    made.connect(("127.0.0.1", port))
    made.setblocking(False)
    return made
