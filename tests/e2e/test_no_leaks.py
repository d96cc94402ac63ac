"""Whatever upstreams, proxies and clients do, the gateway says what happened and keeps nothing of it: no
connection, no task, no memory. Counted from outside of a gateway's process, and inside of one.
"""

import asyncio
import contextlib
import gc
import json
import re
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvloop
from e2e.in_process import gateway
from e2e.misbehaving import PEERS, running_peers
from e2e.processes import Services, running_services, wait_for
from e2e.upstream import certificate
from lessllm_gateway.egress.connection import Connection

CALLS = AT_ONCE = 50
WARM_UP_ROUNDS, CALLS_A_ROUND = 2, 25
INSIDE = 10  # calls
GROWTH_BYTES = 12 * 1024 * 1024  # over 2,600 calls; from round to round memory varies by a third of that
LIMITS: dict[str, Any] = {
    "gateway": {"measure_non_streaming": False},
    "logging": {"max_body_bytes": 4096},
    "timeouts": {"connect_s": 2, "proxy_handshake_s": 2, "first_byte_s": 2, "idle_s": 1},
    "pool": {"keepalive_s": 0.2},
}
LEAVING = ("silent", "silent-in-head", "silent-in-stream", "http-silent", "socks5h-silent", "tls-silent")
GAUGES = (
    "open_calls",
    "calls_waiting",
    "requests_held_bytes",
    r"connections\{.*\}",
    "records_buffer_used_bytes",
)

Meet = Callable[[int, str, str], Awaitable[bytes]]


@pytest.fixture(scope="module")
def providers(tmp_path_factory):
    with running_peers(certificate(tmp_path_factory.mktemp("shown"))) as running:
        yield running


@pytest.fixture(scope="module")
def watched(providers, tmp_path_factory):
    with (
        running_services(tmp_path_factory.mktemp("leaks"), {**LIMITS, "providers": providers}) as services,
        httpx.Client(base_url=services.gateway.url, trust_env=False) as client,
    ):
        watched = Watched(services, client)
        watched.meet("fine", "", AT_ONCE)
        watched.settle()
        watched.sockets_at_rest = watched.sockets
        yield watched


class Watched:
    """A gateway's process, and what it holds."""

    sockets_at_rest: int

    def __init__(self, services: Services, client: httpx.Client) -> None:
        self.services = services
        self._client = client
        self._process = Path(f"/proc/{services.gateway.popen.pid}")

    def meet(self, name: str, session: str, calls: int = CALLS, how: Meet | None = None) -> list[bytes]:
        """Calls by one peer. Returns the answers."""
        return asyncio.run(meet(self.services.gateway.port, name, session, calls, how or ask))

    def settle(self) -> None:
        """Wait until nothing is under way or kept."""
        self.services.flush()
        wait_for(lambda: set(self._gauges().values()) == {0.0}, "the gateway to hold nothing")

    def rest(self) -> None:
        """Wait until it is as it was at first."""
        self.settle()
        wait_for(lambda: self.sockets <= self.sockets_at_rest, f"{self.sockets_at_rest} sockets")

    @property
    def sockets(self) -> int:
        found = 0
        for file in (self._process / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found += str(file.readlink()).startswith("socket:")
        return found

    @property
    def memory_bytes(self) -> int:
        return int(re.findall(r"VmRSS:\s+(\d+) kB", (self._process / "status").read_text())[0]) * 1024

    def ends(self, session: str) -> Counter[tuple[str, str | None]]:
        """How often calls of that session ended so, by their rows."""
        sql = "SELECT end_reason, error_code FROM api_calls WHERE session_id = ?"
        return Counter((row["end_reason"], row["error_code"]) for row in self.services.rows(sql, session))

    def _gauges(self) -> dict[str, float]:
        text = self._client.get("/metrics").text
        gauges = re.findall(rf"^lessllm_gateway_((?:{'|'.join(GAUGES)})) (\S+)$", text, re.MULTILINE)
        assert len(gauges) == len(GAUGES) + 1  # connections are idle or busy
        return {name: float(value) for name, value in gauges}


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_that_misbehaves_is_named_and_leaves_nothing_behind(watched, name):
    peer, session = PEERS[name], secrets.token_hex(8)
    answers = watched.meet(name, session)
    watched.rest()
    ends = watched.ends(session)
    assert ends.total() == CALLS
    assert ends[peer.ends] > 0, ends
    assert set(ends) <= {peer.ends, *peer.may_end}
    assert Counter(map(status_of, answers))[peer.status] == ends[peer.ends]
    errors = [error_of(answer) for answer in answers if status_of(answer) >= 500]
    assert all(error["message"].startswith(name) for error in errors)
    told = Counter(error["code"] for error in errors)
    assert told == {code: n for (_, code), n in ends.items() if code in told or peer.status >= 500}


@pytest.mark.parametrize("name", LEAVING)
def test_a_client_that_leaves_leaves_nothing_behind(watched, name):
    session = secrets.token_hex(8)
    watched.meet(name, session, CALLS, leave)
    watched.rest()
    assert watched.ends(session) == {("client_cancelled", "client_disconnected"): CALLS}


def test_memory_stays_flat(watched):
    """Rounds of everything at once, the first of which fill what is kept for the next ones."""
    port = watched.services.gateway.port

    async def all_peers() -> None:
        await asyncio.gather(
            *(meet(port, name, "", CALLS_A_ROUND, ask, at_once=4) for name in PEERS),
            *(meet(port, name, "", CALLS_A_ROUND, leave, at_once=4) for name in LEAVING),
        )

    sizes_bytes: list[int] = []
    for _ in range(WARM_UP_ROUNDS + 2):
        asyncio.run(all_peers())
        watched.settle()
        sizes_bytes.append(watched.memory_bytes)
    assert sizes_bytes[-1] - sizes_bytes[WARM_UP_ROUNDS - 1] < GROWTH_BYTES, sizes_bytes


def test_no_task_and_no_connection_outlives_its_call(providers):
    others = connections()  # that other tests of this process left behind

    async def main() -> None:
        async with gateway({**LIMITS, "providers": providers}) as inside:
            port = urlsplit(inside.url).port or 0
            before = len(asyncio.all_tasks())
            for how, names in ((ask, PEERS), (leave, LEAVING)):
                for name in names:
                    await meet(port, name, "", INSIDE, how)
                    async with asyncio.timeout(10):
                        while len(asyncio.all_tasks()) > before or inside.pool.open_count:  # noqa: ASYNC110 - nothing tells
                            await asyncio.sleep(0.01)
            assert inside.pool.waiting_count == 0
            gc.collect()
            assert [kept for kept in connections() if kept not in others] == []

    uvloop.run(main())


def connections() -> list[Connection]:
    """All that this process holds."""
    return [kept for kept in gc.get_objects() if isinstance(kept, Connection)]


async def meet(
    port: int, name: str, session: str, calls: int, how: Meet, at_once: int = AT_ONCE
) -> list[bytes]:
    """So many calls by one peer, some of them at a time."""
    room = asyncio.Semaphore(at_once)

    async def one() -> bytes:
        async with room:
            return await how(port, name, session)

    return await asyncio.gather(*(one() for _ in range(calls)))


async def ask(port: int, name: str, session: str) -> bytes:
    """All that comes back. Nothing of an answer that did not wait for all of us, and reset the connection."""
    reader, writer = await begin(port, name, session)
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        answer = await reader.read()
    writer.close()
    return answer


async def leave(port: int, name: str, session: str) -> bytes:
    """As soon as an answer begins, or something should have."""
    reader, writer = await begin(port, name, session)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.02):
            await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    return b""


async def begin(port: int, name: str, session: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    body = b'{"model": "m", "messages": [], "padding": "%b"}' % (b"x" * PEERS[name].body_bytes)
    lines = (
        f"POST /{name}/v1/chat/completions HTTP/1.1",
        "host: localhost",
        "connection: close",
        "content-type: application/json",
        f"content-length: {len(body)}",
        f"x-lessllm-session: {session}",
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join((*lines, "", "")).encode() + body)
    return reader, writer


def status_of(answer: bytes) -> int:
    return int(answer[9:12])


def error_of(answer: bytes) -> dict[str, str]:
    error: dict[str, str] = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    return error
