"""A run: all ways are started, and take turns, round after round, with each workload. Samples leave.

While one way is measured the others are held up (SIGSTOP), so that nobody shares its core. CPU time counts
until the gateway has no more to do; for LessLLM that is when all its calls are rows. A way that fails is left
out from then on, with the reason.
"""

import asyncio
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import load
import machine
import traffic
import uvloop
from latencies import p50, p99
from load import Reply, Target, Upstream
from peers import Missing
from upstream import Answer
from ways import ALONE, LESSLLM, WAYS, Cores, Way

FLUSH_S = 600.0
REST_S = 0.3  # for what others do after an answer
SAMPLE_S = 300.0  # at most
_BACKGROUND, _NORMAL = 19, 0  # nice


@dataclass(frozen=True, slots=True)
class Workload:
    """What is asked for, and how many ask at once."""

    name: str
    at_once: int
    most: int = 10_000  # calls in a sample: what collectors are behind with must fit in memory
    request_bytes: int = 4096
    chunks: int = 0  # of a stream; 0: an answer in one piece
    pause_s: float = 0.0  # before each chunk but the first
    is_timed: bool = False  # what its calls take is wanted: collectors may not disturb the load
    is_held: bool = False  # what the gateway holds meanwhile is wanted; each calls once

    def answer(self) -> Answer:
        """What the upstream answers."""
        return traffic.stamped_stream(self.chunks, self.pause_s) if self.chunks else traffic.plain_answer()


CALLS, CALL, LARGE = "calls, 64 at once", "calls, one at a time", "100 KB calls, 64 at once"
STREAMS, STREAM, OPEN = "streams, 64 at once", "streams, one at a time", "open streams"


def workloads(open_streams: int) -> list[Workload]:
    """All."""
    return [
        Workload(CALLS, 64),
        Workload(CALL, 1, is_timed=True),
        Workload(LARGE, 64, most=1000, request_bytes=100 * 1024),
        Workload(STREAMS, 64, chunks=100, pause_s=0.01),
        Workload(STREAM, 1, chunks=100, pause_s=0.002, is_timed=True),
        Workload(OPEN, open_streams, most=open_streams, chunks=20, pause_s=0.3, is_held=True),
    ]


@dataclass(frozen=True, slots=True)
class Sample:
    """Of one way with one workload. None: it is not known, or there is no such thing."""

    round: int
    way: str
    workload: str
    calls: int
    wrong: int  # calls that were not answered as the upstream did
    wall_s: float
    cpu_ms: float | None  # of the gateway, a call
    rss_mb: float | None  # of the gateway; the most that was seen
    latency_p50_ms: float
    latency_p99_ms: float
    first_p50_ms: float | None  # from the request to the first chunk
    chunk_p50_ms: float | None  # from the upstream's write to the client's read, of the other chunks
    chunk_p99_ms: float | None
    collector_cpu_ms: float | None  # a record


@dataclass(slots=True)
class Run:
    """What came of it."""

    samples: list[Sample] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # way → why
    made: dict[str, int] = field(default_factory=dict)  # calls, measured or not, by way of LessLLM
    rows: dict[str, int] = field(default_factory=dict)
    others_cores: float = 0.0  # that were busy with what is not of this run, on average

    @property
    def is_whole(self) -> bool:
        """Whether LessLLM went to the end, every call was answered, and each that it took is a row."""
        is_there = not {LESSLLM, ALONE} & self.left_out.keys()
        return is_there and self.rows == self.made and not any(sample.wrong for sample in self.samples)

    def samples_as_json(self) -> list[dict[str, object]]:
        """For a file."""
        return [asdict(sample) for sample in self.samples]


def run(
    rounds: int, seconds: float, wanted: Sequence[str], works: Sequence[Workload], tell: Callable[[str], None]
) -> Run:
    """So many rounds, of samples of so many seconds."""
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    everywhere = sorted(os.sched_getaffinity(0))
    load_core, measured_core = everywhere[0], everywhere[-1]
    cores = Cores({measured_core}, {load_core}, set(everywhere[1:-1] or everywhere[:1]))
    os.sched_setaffinity(0, cores.load)
    found = Run()
    with (
        tempfile.TemporaryDirectory(prefix="bench-gateway-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ExitStack() as stack,
    ):
        upstream = Upstream()
        port = runner.run(upstream.listen())
        ways = _started(stack, wanted, port, cores, Path(folder), found, tell)
        series = _Series(found, upstream, ways, is_shared=cores.rest == cores.load)
        stack.callback(series.all_go_on)  # or they can't end
        begin_s, begin_others_s = time.monotonic(), series.others_s()
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}:")
            for work in works:
                tell(f" {work.name}")
                runner.run(series.round(number, work, seconds))
            tell("\n")
        found.others_cores = (series.others_s() - begin_others_s) / (time.monotonic() - begin_s)
        series.end()
    return found


def _started(
    stack: ExitStack,
    wanted: Sequence[str],
    port: int,
    cores: Cores,
    folder: Path,
    found: Run,
    tell: Callable[[str], None],
) -> dict[str, Way]:
    ways = {}
    for name in wanted:
        tell(f"starting {name}\n")
        try:
            ways[name] = stack.enter_context(WAYS[name](port, cores, folder))
        except (Missing, RuntimeError, OSError) as error:
            found.left_out[name] = str(error).strip().splitlines()[-1]
            tell(f"  left out: {error}\n")
    return ways


class _Series:
    """The ways, while they run."""

    def __init__(self, found: Run, upstream: Upstream, ways: dict[str, Way], *, is_shared: bool) -> None:
        self._found = found
        self._upstream = upstream
        self._ways = ways
        self._is_shared = is_shared  # whether collectors are on the load's core
        self._all = dict(ways)
        found.made = {name: 0 for name, way in ways.items() if way.services is not None}

    async def round(self, number: int, work: Workload, seconds: float) -> None:
        """One sample of each way, of which another one is the first each time."""
        names = list(self._ways)
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            self._only_goes_on(name)
            try:
                async with asyncio.timeout(SAMPLE_S):
                    sample = await self._sample(number, name, work, seconds)
            except (OSError, TimeoutError, RuntimeError) as error:
                self._found.left_out[name] = f"{work.name}: {type(error).__name__} {error}"
                del self._ways[name]
            else:
                self._found.samples.append(sample)

    def others_s(self) -> float:
        """CPU time so far of all but this run."""
        own_s = sum(tree.cpu_s() for way in self._all.values() for tree in way.trees())
        return machine.busy_s() - own_s - time.process_time()

    def all_go_on(self) -> None:
        """None is held up any more."""
        for way in self._all.values():
            for tree in way.trees():
                tree.go_on()

    def end(self) -> None:
        """Every call must be one row, those that found no collector as well: it is started now."""
        self.all_go_on()
        for name, way in self._all.items():
            if way.services is not None:
                if not way.services.collector.is_running:
                    way.services.collector.start()
                way.services.flush(FLUSH_S)
                ((rows,),) = way.services.query("SELECT count(DISTINCT request_id) FROM api_calls")
                self._found.rows[name] = rows

    async def _sample(self, number: int, name: str, work: Workload, seconds: float) -> Sample:
        way = self._ways[name]
        self._upstream.answer = work.answer()
        target = Target(way.port, way.request(work.request_bytes, is_stream=work.chunks > 0))
        if not work.is_held:  # elsewhere dialling isn't measured
            self._count(name, await load.several(target, work.at_once, 0, work.at_once))
        self._settle(name)
        begin_s, begin_cpu_s = time.monotonic(), _cpu_s(way)
        watch = asyncio.create_task(_most_memory(way)) if work.is_held else None
        with self._behind(way, work):
            replies = await load.several(target, work.at_once, seconds, work.most)
        wall_s = time.monotonic() - begin_s
        rss_mb = None
        if watch is not None:
            watch.cancel()
            rss_mb = await watch
        self._count(name, replies)
        self._settle(name)
        cpu_s, collector_cpu_s = (end - begin for begin, end in zip(begin_cpu_s, _cpu_s(way), strict=True))
        target.close()
        return _summary(number, name, work, replies, wall_s, way, rss_mb, cpu_s, collector_cpu_s)

    def _count(self, name: str, replies: Sequence[Reply]) -> None:
        if name in self._found.made:
            self._found.made[name] += len(replies)

    def _settle(self, name: str) -> None:
        """Returns when nothing is left to do for the calls so far. The loop, with the load, stands still."""
        services = self._ways[name].services
        if services is None or name == ALONE:
            time.sleep(REST_S)
            return
        services.flush(FLUSH_S)
        ((rows,),) = services.query("SELECT count(*) FROM api_calls")
        if rows != self._found.made[name]:
            raise RuntimeError(f"{self._found.made[name]} calls became {rows} rows")

    def _only_goes_on(self, name: str) -> None:
        for other, way in self._all.items():
            for tree in way.trees():
                tree.go_on() if other == name else tree.hold_up()

    @contextmanager
    def _behind(self, way: Way, work: Workload) -> Iterator[None]:
        """Where times are wanted, a collector on the load's core has what the load leaves of it."""
        if not (self._is_shared and work.is_timed and way.services and way.others):
            yield
            return
        collector = way.others[0]
        _nice(collector.root, _BACKGROUND)
        try:
            yield
        finally:
            _nice(collector.root, _NORMAL)


def _nice(pid: int, value: int) -> None:
    """Of all threads, if this user may."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, int(task.name), value)


def _cpu_s(way: Way) -> tuple[float, float]:
    """Of the gateway, and of its collector."""
    has_collector = way.services is not None and bool(way.others)
    return (
        way.gateway.cpu_s() if way.gateway else 0.0,
        way.others[0].cpu_s() if has_collector else 0.0,
    )


async def _most_memory(way: Way) -> float | None:
    """Of the gateway, until cancelled."""
    if way.gateway is None:
        return None
    most_mb = 0.0
    with suppress(asyncio.CancelledError):
        while True:
            most_mb = max(most_mb, way.gateway.rss_mb())
            await asyncio.sleep(0.5)
    return most_mb


def _summary(
    number: int,
    name: str,
    work: Workload,
    replies: Sequence[Reply],
    wall_s: float,
    way: Way,
    rss_mb: float | None,
    cpu_s: float,
    collector_cpu_s: float,
) -> Sample:
    good = [reply for reply in replies if load.is_right(reply, work.chunks)]
    if not good:
        said = replies[0].start.decode(errors="replace")
        raise RuntimeError(f"no call was answered as the upstream did: {said[-300:]!r}")
    latencies = [reply.end_s - reply.began_s for reply in good if reply.end_s is not None]
    firsts = [reply.stamps[0][1] - reply.began_s for reply in good if reply.stamps]
    lags = [read_s - written_s for reply in good for written_s, read_s in reply.stamps[1:]]
    return Sample(
        number,
        name,
        work.name,
        calls=len(replies),
        wrong=len(replies) - len(good),
        wall_s=wall_s,
        cpu_ms=None if way.gateway is None else cpu_s / len(replies) * 1e3,
        rss_mb=rss_mb,
        latency_p50_ms=p50(latencies) * 1e3,
        latency_p99_ms=p99(latencies) * 1e3,
        first_p50_ms=p50(firsts) * 1e3 if firsts else None,
        chunk_p50_ms=p50(lags) * 1e3 if lags else None,
        chunk_p99_ms=p99(lags) * 1e3 if lags else None,
        collector_cpu_ms=collector_cpu_s / len(replies) * 1e3 if collector_cpu_s else None,
    )
