"""Each phase shows the delay that was put into it, within 10 ms and 5 %, no other does, and they add up.

The machine may be busy with something else: of three measurements, one has to hold.
"""

import asyncio
import contextlib
import time

import pytest
from gateway.egress.calls import PATIENCE, place_of, pooled, request
from gateway.egress.servers import HOST, Proxy, Server, read_request, relay
from lessllm_gateway.egress import tcp
from lessllm_gateway.egress.dialer import Dialer
from lessllm_gateway.egress.hops import Hop, Kind, Origin
from lessllm_gateway.egress.pool import Limits

pytestmark = [pytest.mark.alone, pytest.mark.usefixtures("nothing_left")]

DELAY_S = 0.15
SLACK_NS = 10_000_000
BUFFER_BYTES = 64 * 1024  # of the upstream's system
LARGE = bytes(5 << 20)  # more than the systems' buffers hold
CASES = [
    ("pool", None, False),
    ("dns", None, False),
    ("dns", Kind.SOCKS5, False),
    ("proxy_handshake", Kind.HTTP, True),
    ("proxy_handshake", Kind.HTTPS, True),
    ("proxy_handshake", Kind.SOCKS4A, False),
    ("proxy_handshake", Kind.SOCKS5H, True),
    ("tls", None, True),
    ("tls", Kind.HTTP, True),
    ("tls", Kind.SOCKS5H, True),
    ("send", None, False),
    ("wait", None, True),
    ("wait", Kind.HTTP, False),
    ("receive", None, False),
    ("receive", Kind.SOCKS5H, True),
]


class Delay:
    """Of one phase; how long it really was."""

    def __init__(self, phase: str) -> None:
        self.took_ns = 0
        self.phase = phase

    async def at(self, phase: str) -> None:
        if phase == self.phase:
            start = time.monotonic_ns()
            await asyncio.sleep(DELAY_S)
            self.took_ns = time.monotonic_ns() - start

    async def resolve(self, host, port):
        if host == "localhost":  # the upstream's
            await self.at("dns")
        return await tcp.resolve("localhost", port)

    async def upstream(self, reader, writer):
        writer.transport.pause_reading()
        await self.at("send")
        writer.transport.resume_reading()
        while True:
            await read_request(reader)
            await self.at("wait")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
            await writer.drain()
            await self.at("receive")
            writer.write(b"hello")

    def holding(self, port: int):
        """A relay before an upstream, which keeps the first words of its answer back."""

        async def hold(reader, writer):
            far_reader, far_writer = await asyncio.open_connection(HOST, port)
            far_writer.write(await reader.read(1 << 16))
            first = await far_reader.read(1 << 16)
            await self.at("tls")
            writer.write(first)
            await relay(reader, writer, far_reader, far_writer)

        return hold

    def proxy(self, kind: Kind) -> Proxy:
        return Proxy(kind, before_reply=lambda: self.at("proxy_handshake"))


@contextlib.asynccontextmanager
async def delayed(delay: Delay, kind: Kind | None, serving, trusting, *, tls: bool):
    """A pool and a transport whose way has the delay."""
    async with contextlib.AsyncExitStack() as stack:
        upstream = Server(delay.upstream).listening(serving if tls else None, BUFFER_BYTES)
        end = await stack.enter_async_context(upstream)
        if tls:
            end = await stack.enter_async_context(Server(delay.holding(end.port)).listening())
        hop = None
        if kind is not None:
            context = serving if kind is Kind.HTTPS else None
            way = await stack.enter_async_context(Server(delay.proxy(kind)).listening(context))
            hop = Hop(kind, HOST, way.port)
        place = place_of(hop, Origin(tls, "localhost", end.port), trusting)
        dialer = Dialer(PATIENCE, delay.resolve)
        pool, transport = await stack.enter_async_context(pooled(place, Limits(1, 1, 60), dialer))
        yield pool, transport, f"http://localhost:{end.port}/"


async def measured(delay: Delay, transport, url: str, body: bytes) -> tuple[dict[str, int], int]:
    """The durations of a call's phases, and its own."""
    start = time.monotonic_ns()
    if delay.phase == "pool":
        first = await transport.handle_async_request(request(url))
        start = time.monotonic_ns()
        holding = asyncio.ensure_future(release(delay, first))
    asked = request(url, body=body)
    response = await transport.handle_async_request(asked)
    async for _ in response.stream:
        pass
    end = time.monotonic_ns()
    if delay.phase == "pool":
        await holding
    exchange = asked.extensions["exchange"]
    return {**dict(exchange.durations_ns()), "receive": end - exchange.head}, end - start


async def release(delay: Delay, response) -> None:
    await delay.at("pool")
    async for _ in response.stream:
        pass


def complaints(phase: str, delay_ns: int, durations: dict[str, int], total_ns: int) -> list[str]:
    """What is not as it should be."""
    slack_ns = SLACK_NS + delay_ns // 20
    wrong = [
        f"{name}: {duration / 1e6:.1f} ms with a delay of {delay_ns / 1e6:.1f} ms in {phase}"
        for name, duration in durations.items()
        if abs(duration - (delay_ns if name == phase else 0)) > slack_ns
    ]
    if abs(total_ns - sum(durations.values())) > slack_ns:
        wrong.append(f"{durations} are not {total_ns}")
    return wrong


@pytest.mark.parametrize(("phase", "kind", "tls"), CASES)
async def test_a_phase_shows_its_own_delay_and_no_other_does(phase, kind, tls, serving, trusting):
    for _ in range(3):
        delay = Delay(phase)
        async with delayed(delay, kind, serving, trusting, tls=tls) as (_, transport, url):
            body = LARGE if phase == "send" else b"{}"
            durations, total_ns = await measured(delay, transport, url, body)
        wrong = complaints(phase, delay.took_ns, durations, total_ns)
        if not wrong:
            return
    pytest.fail("\n".join(wrong))
