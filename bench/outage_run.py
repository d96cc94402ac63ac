"""Calls through a gateway while its collector comes and goes, timed: the rounds of an outage.

In each round, for each way to spool, a gateway and a collector are started anew and live through all states,
so that states are compared within one process. The gateway has a core of its own. The upstream and the load
share the other one with the collector (more cores: the collector has those), so that a direct call now and
then shows what that does to the load. At the end of each round every call must be one row.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import services
import traffic
import upstream
import uvloop
from http_client import Client, Reply
from measuring import cpu_s
from services import Services

Spool = Literal["off", "overflow", "always"]
SPOOLS: Sequence[Spool] = ("overflow", "always", "off")
State = Literal["direct", "up", "up again", "killed", "long gone", "back", "held up"]
STATES: Sequence[State] = (  # with a gateway
    "up",
    "up again",
    "killed",
    "long gone",
    "back",
    "held up",
)
PROBE_EVERY_S = 0.02
WARM_UP_S = 0.5
FLUSH_S = 300.0


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked for, and how many ask at once."""

    name: str
    target: bytes
    at_once: int
    think_s: float = 0.0  # between an answer and the next call

    @property
    def is_stream(self) -> bool:
        """Whether the answer is one."""
        return traffic.is_stream(self.target)


# Slow enough that neither the gateway nor the collector is saturated: then queues would be measured.
CASES = (
    Case("calls, 1 at once", traffic.chat_target(0), 1, think_s=0.004),
    Case("calls, 64 at once", traffic.chat_target(0.2), 64),
    Case("streams, 1 at once", traffic.stream_target(0.001), 1),
    Case("streams, 64 at once", traffic.stream_target(0.015), 64),
)
FILLING = CASES[1]


@dataclass(slots=True)
class Sample:
    """Calls of one case in one state."""

    round: int
    spool: Spool
    state: State
    case: str
    failed: int = 0  # calls that were not answered as the upstream did
    cpu_s: float = 0.0  # of the gateway
    latencies_s: list[float] = field(default_factory=list)
    firsts_s: list[float] = field(default_factory=list)  # to the first byte of the body
    probes_s: list[float] = field(default_factory=list)  # latencies of direct calls meanwhile

    @property
    def calls(self) -> int:
        """That were made, the direct ones apart."""
        return len(self.latencies_s) + self.failed


@dataclass(slots=True)
class Outage:
    """What came of it."""

    samples: list[Sample] = field(default_factory=list)
    calls: int = 0  # through a gateway, measured or not
    failed: int = 0
    rows: int = 0
    twice: int = 0  # rows too many
    lost: float = 0.0  # records that gateways declared lost

    @property
    def is_whole(self) -> bool:
        """Whether no call failed, and each is one row."""
        return not self.failed and not self.twice and self.rows == self.calls


def run(
    rounds: int, seconds: float, gone_s: float, spools: Sequence[Spool], tell: Callable[[str], None]
) -> Outage:
    """So many rounds, of samples of so many seconds. Calls of `gone_s` fill the spool in between."""
    outage = Outage()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    placed = {"gateway": {cores[-1]}, "collector": set(cores[1:-1] or cores[:1])}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        server = runner.run(upstream.listen(lambda head, _: traffic.answer(head), is_awake=False))
        port = upstream.port_of(server)
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}:")
            for spool in spools:
                tell(f" {spool}")
                with _started(port, spool, placed) as running:
                    series = _Series(outage, number, spool, running, port)
                    # What there is without a gateway has nothing to do with spools: once a round.
                    runner.run(series.run(seconds, gone_s, is_first=spool == spools[0]))
                    series.count_rows()
            tell("\n")
    return outage


@contextmanager
def _started(port: int, spool: Spool, cores: dict[str, set[int]]) -> Iterator[Services]:
    document = {
        "providers": {"openai": {"base_url": f"http://127.0.0.1:{port}/v1"}},
        "gateway": {"measure_non_streaming": False},  # a plain call is to be one
        "logging": {"spool": spool},
    }
    with (
        tempfile.TemporaryDirectory(prefix="bench-outage-") as folder,
        services.running(Path(folder), document, cores=cores) as running,
    ):
        yield running


class _Series:
    """All states, with one gateway."""

    def __init__(self, outage: Outage, number: int, spool: Spool, running: Services, port: int) -> None:
        self._outage = outage
        self._number = number
        self._spool = spool
        self._services = running
        self._through = Client(running.gateway.port)
        self._direct = Client(port)
        self._made = 0
        # Another case each time is the first to meet a new state.
        first = number % len(CASES)
        self._cases = (*CASES[first:], *CASES[:first])

    async def run(self, seconds: float, gone_s: float, *, is_first: bool) -> None:
        collector = self._services.collector
        for case in self._cases:
            await self._calls(self._direct, case, WARM_UP_S)
            await self._calls(self._through, case, WARM_UP_S)
        if is_first:
            await self._state("direct", seconds)
        await self._flushed()
        await self._state("up", seconds)
        await self._state("up again", seconds)
        await self._state("killed", seconds, collector.kill)
        await self._calls(self._through, FILLING, gone_s)
        await self._state("long gone", seconds)
        await self._state("back", seconds, collector.launch)
        await asyncio.to_thread(collector.wait_until_ready)
        await self._flushed()
        await self._state("held up", seconds, collector.hold_up)
        collector.go_on()
        await self._flushed()
        self._through.close()
        self._direct.close()

    def count_rows(self) -> None:
        """Every call of this series must be one row."""
        ids = list(self._services.request_ids())
        self._outage.calls += self._made
        self._outage.rows += len(ids)
        self._outage.twice += len(ids) - len(set(ids))
        self._outage.lost += self._services.gateway.metric("lessllm_gateway_records_lost_total")

    async def _state(self, state: State, seconds: float, event: Callable[[], None] | None = None) -> None:
        """A sample of each case; in the beginning of the first one comes the event."""
        for case in self._cases:
            self._outage.samples.append(await self._sample(state, case, seconds, event))
            event = None

    async def _sample(
        self,
        state: State,
        case: Case,
        seconds: float,
        event: Callable[[], None] | None = None,
    ) -> Sample:
        sample = Sample(self._number, self._spool, state, case.name)
        client = self._direct if state == "direct" else self._through
        gateway = self._services.gateway.pid
        begin_cpu_s = cpu_s(gateway)
        async with asyncio.TaskGroup() as tasks:
            calls = tasks.create_task(self._calls(client, case, seconds))
            probes = tasks.create_task(self._probes(seconds))
            if event is not None:
                tasks.create_task(asyncio.to_thread(event))
        sample.cpu_s = cpu_s(gateway) - begin_cpu_s
        for reply in calls.result():
            if _is_right(reply, case) and reply.first_s is not None and reply.end_s is not None:
                sample.latencies_s.append(reply.end_s - reply.began_s)
                sample.firsts_s.append(reply.first_s - reply.began_s)
            else:
                sample.failed += 1
        sample.probes_s = [
            reply.end_s - reply.began_s for reply in probes.result() if reply.end_s is not None
        ]
        return sample

    async def _calls(self, client: Client, case: Case, seconds: float) -> list[Reply]:
        """So many at a time, each followed by the next; those that have begun in time are finished."""
        request = _request(case.target)
        end_s = time.monotonic() + seconds
        replies: list[Reply] = []

        async def call_on() -> None:
            while time.monotonic() < end_s:
                replies.append(await client.ask(request))
                await asyncio.sleep(case.think_s)

        await asyncio.gather(*(call_on() for _ in range(case.at_once)))
        if client is self._through:
            self._made += len(replies)
            self._outage.failed += sum(not _is_right(reply, case) for reply in replies)
        return replies

    async def _probes(self, seconds: float) -> list[Reply]:
        request = _request(CASES[0].target)
        end_s = time.monotonic() + seconds
        replies: list[Reply] = []
        while time.monotonic() < end_s:
            replies.append(await self._direct.ask(request))
            await asyncio.sleep(PROBE_EVERY_S)
        return replies

    async def _flushed(self) -> None:
        await asyncio.to_thread(self._services.flush, FLUSH_S)


def _request(target: bytes) -> bytes:
    lines = [b"%b: %b" % header for header in traffic.REQUEST_HEADERS if header[0] != b"host"]
    head = b"\r\n".join((b"POST %b HTTP/1.1" % target, b"host: 127.0.0.1", *lines, b"", b""))
    return head + traffic.request_body(target)


def _is_right(reply: Reply, case: Case) -> bool:
    is_all = reply.is_whole and reply.body_bytes == traffic.answer_bytes(case.target)
    return reply.status == 200 and is_all
