"""Spells of calls at a steady rate, each followed by a rest, and what the services hold then.

In some spells the collector is away: in the first half of the run it is killed and started again, in the
second it is held up (SIGSTOP), so that the process whose memory is followed stays the same. At a rest every
call is a row and no connection is open: what is held then stays.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path

import mix
import replay
import services
import upstream
import uvloop
import vitals
from http_client import Client, Reply
from mix import Call
from services import Service, Services
from vitals import Vitals

SAMPLE_S = 1.0
MAX_OPEN = 1000  # calls: beyond it the services are too slow for the rate, and the load waits
FLUSH_S = 300.0
SETTLE_S, SETTLED_MB = 1.5, 1.0
MAX_PREFIXES = 20_000  # of prompts, which predictions need: known after the first minutes, not after hours
KEEPALIVE_S = 1.0  # of the gateway's connections to the upstream: a rest waits for their end
# glibc keeps what large bodies took for the next ones: up to what all of a moment took. Seen from outside
# that could be a leak, so here it gives blocks of more than 256 KB back.
_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "262144"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done."""

    spells: int
    spell_s: float
    calls_per_s: float
    away_every: int  # spells
    away_s: float  # in the middle of such a spell
    seed: int

    def is_away(self, spell: int) -> bool:
        """Whether the collector is, for a part of this spell."""
        return spell % self.away_every == self.away_every - 1

    def is_late(self, spell: int) -> bool:
        """Whether it is in the second half of the run."""
        return spell >= self.spells / 2


@dataclass(frozen=True, slots=True)
class Sample:
    """Under load."""

    at_s: float  # since the first call
    spell: int
    gateway: Vitals
    collector: Vitals | None  # it is away
    spool_mb: float


@dataclass(frozen=True, slots=True)
class Rest:
    """After a spell."""

    at_s: float
    spell: int
    calls: int  # that were made by then
    gateway: Vitals
    collector: Vitals
    cache_mb: float  # of the collector's memory: what DuckDB keeps of the database
    work_mb: float  # what else DuckDB holds
    database_mb: float  # with its log


@dataclass(slots=True)
class Soak:
    """What came of it."""

    plan: Plan
    samples: list[Sample] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)  # calls by kind
    wrong: Counter[str] = field(default_factory=Counter)  # calls that ended as they should not, and how
    behind_s: float = 0.0  # how late a call began at most
    known: set[str] = field(default_factory=set)  # request ids that clients were told
    rows: int = 0
    rows_twice: int = 0
    rows_missing: int = 0  # of known calls
    records_lost: float = 0.0
    after_reading: Rest | None = None  # all bodies, by one query: DuckDB keeps what it has read

    @property
    def calls(self) -> int:
        """That were made."""
        return self.kinds.total()

    @property
    def is_whole(self) -> bool:
        """Whether every call ended as it should, and is one row."""
        is_each_once = self.rows == self.calls and not self.rows_twice and not self.rows_missing
        return is_each_once and not self.wrong


def run(plan: Plan, folder: Path, tell: Callable[[str], None]) -> Soak:
    """All of it, in an empty folder. `tell` hears of the progress, in lines."""
    soak = Soak(plan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answering = runner.run(replay.recorded())
        server = runner.run(upstream.listen(answering, is_awake=False))
        url = f"http://127.0.0.1:{upstream.port_of(server)}"
        with services.running(folder, _document(url), environment=_ENVIRONMENT) as running:
            runner.run(_Work(soak, running, tell).run())
    return soak


def _document(url: str) -> dict[str, object]:
    return {
        "providers": {
            "openai": {"base_url": f"{url}/v1"},
            "anthropic": {"base_url": url, "api_key": "sk-bench"},
        },
        "models": {mix.ALIAS: {"provider": "anthropic", "model": mix.ALIAS_MODEL}},
        "pool": {"keepalive_s": KEEPALIVE_S},
        "timeouts": {"connect_s": 60},  # on a busy machine it is the upstream here that is late
        "cache": {"max_prefixes": MAX_PREFIXES},
    }


class _Work:
    """Load, absences and samples, side by side."""

    def __init__(self, soak: Soak, running: Services, tell: Callable[[str], None]) -> None:
        self._soak = soak
        self._plan = soak.plan
        self._services = running
        self._tell = tell
        self._client = Client(running.gateway.port)
        self._room = asyncio.Semaphore(MAX_OPEN)
        self._calls = mix.calls(soak.plan.seed)
        self._start_s = time.monotonic()
        self._spell = 0

    async def run(self) -> None:
        self._start_s = time.monotonic()
        for spell in range(self._plan.spells):
            self._spell = spell
            async with asyncio.TaskGroup() as tasks:
                sampling = tasks.create_task(self._sample())
                absence = tasks.create_task(self._absence())
                await self._load()
                await absence
                sampling.cancel()
            await self._rest()
        await asyncio.to_thread(self._judge)

    async def _load(self) -> None:
        start_s, per_s = self._now_s(), self._plan.calls_per_s
        calls = islice(self._calls, round(self._plan.spell_s * per_s))
        async with asyncio.TaskGroup() as tasks:
            for number, call in enumerate(calls):
                due_s = start_s + number / per_s
                await self._until(due_s)
                await self._room.acquire()
                self._soak.behind_s = max(self._soak.behind_s, self._now_s() - due_s)
                tasks.create_task(self._make(call))

    async def _make(self, call: Call) -> None:
        soak = self._soak
        soak.kinds[call.kind] += 1
        try:
            reply = await self._client.ask(call.request, call.leave_after_s)
        finally:
            self._room.release()
        if reply.request_id is not None:
            soak.known.add(reply.request_id)
        if reply.status not in call.statuses or (call.is_whole and not reply.is_whole):
            soak.wrong[_what_came(call, reply)] += 1

    async def _absence(self) -> None:
        plan, collector = self._plan, self._services.collector
        if not plan.is_away(self._spell):
            return
        start_s = self._now_s() + (plan.spell_s - plan.away_s) / 2
        await self._until(start_s)
        (collector.hold_up if plan.is_late(self._spell) else collector.kill)()
        await self._until(start_s + plan.away_s)
        if plan.is_late(self._spell):
            collector.go_on()
        else:
            await asyncio.to_thread(collector.start)

    async def _sample(self) -> None:
        start_s = self._now_s()
        for number in count(1):
            await self._until(start_s + number * SAMPLE_S)
            running = self._services
            sample = Sample(
                self._now_s(),
                self._spell,
                _held(running.gateway),
                vitals.vitals(running.collector.pid),
                vitals.size_mb(running.spool),
            )
            self._soak.samples.append(sample)

    async def _rest(self) -> None:
        """Returns when nothing is under way, every call is a row, and no connection is open."""
        self._client.close()
        await asyncio.to_thread(self._services.flush, FLUSH_S)
        await asyncio.to_thread(self._services.wait_for_no_connection)
        rest = await asyncio.to_thread(self._rested)
        self._soak.rests.append(rest)
        self._tell(self._line(rest))

    def _rested(self) -> Rest:
        running = self._services
        _wait_until_settled(running.collector)
        log = running.database.with_name(f"{running.database.name}.wal")
        return Rest(
            at_s=self._now_s(),
            spell=self._spell,
            calls=self._soak.calls,
            gateway=_held(running.gateway),
            collector=_held(running.collector),
            cache_mb=_duckdb_mb(running.collector, "cache"),
            work_mb=_duckdb_mb(running.collector, "work"),
            database_mb=vitals.size_mb(running.database) + vitals.size_mb(log),
        )

    def _line(self, rest: Rest) -> str:
        away = ""
        if self._plan.is_away(self._spell):
            spool_mb = max(sample.spool_mb for sample in self._soak.samples if sample.spell == self._spell)
            how = "held up" if self._plan.is_late(self._spell) else "killed"
            away = f"; the collector was {how}, {spool_mb:.0f} MB were in the spool"
        return (
            f"{rest.at_s:4.0f} s, {rest.calls:,} calls: gateway {rest.gateway.rss_mb:.1f} MB,"
            f" {rest.gateway.files} files; collector {rest.collector.rss_mb:.1f} MB, of them DuckDB's cache"
            f" {rest.cache_mb:.1f}, its work {rest.work_mb:.1f}; database {rest.database_mb:.0f} MB{away}"
        )

    def _judge(self) -> None:
        soak, running = self._soak, self._services
        ids = list(running.request_ids())
        soak.rows = len(ids)
        soak.rows_twice = len(ids) - len(set(ids))
        soak.rows_missing = len(soak.known.difference(ids))
        soak.records_lost = running.gateway.metric("lessllm_gateway_records_lost_total")
        running.query("SELECT sum(octet_length(request_body) + octet_length(response_body)) FROM api_calls")
        soak.after_reading = self._rested()

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self._now_s()))

    def _now_s(self) -> float:
        return time.monotonic() - self._start_s


def _held(service: Service) -> Vitals:
    held = vitals.vitals(service.pid)
    if held is None:
        raise RuntimeError(f"the {service.name} has ended:\n{service.log.read_text()}")
    return held


def _wait_until_settled(collector: Service) -> None:
    """DuckDB's allocator gives back what is free, but takes a second or two."""
    before_mb, now_mb = math.inf, _held(collector).rss_mb
    while now_mb < before_mb - SETTLED_MB:
        time.sleep(SETTLE_S)
        before_mb, now_mb = now_mb, _held(collector).rss_mb


def _duckdb_mb(collector: Service, kind: str) -> float:
    return collector.metric("lessllm_collector_duckdb_memory_bytes", f'{{kind="{kind}"}}') / vitals.MB


def _what_came(call: Call, reply: Reply) -> str:
    return f"{call.kind}: {reply.status or 'nothing'}{'' if reply.is_whole else ', not whole'}"
