"""A collector with many calls, as a process: how long it takes to start, to answer and to export.

And what those notice of it who wait for their records to be committed.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import many_calls
import yaml
import zmq
from lessllm_shared import wire
from services import STOP_S, Service, free_ports, inherited
from vitals import vitals

_EVERY_S = 0.1  # a frame of a gateway, and its records
_FRAME_RECORDS = 20
_DAY = f"TIMESTAMPTZ '{many_calls.LAST_DAY} 00:00:00+00'"
_WEEK = f"{_DAY} - INTERVAL 6 DAY"

_PERCENTILES = "SELECT model, quantile_cont(total_latency_ms, [0.5, 0.95, 0.99]) FROM api_calls"

# As users ask them: the requirements' examples over all calls, then what a day or a week was like
QUERIES = {
    "usage by model": "SELECT model, count(*), sum(estimated_cost_usd), avg(estimated_cache_hit_rate)"
    " FROM api_calls WHERE timestamp >= '2024-01-01' GROUP BY model",
    "models compared": "SELECT model, avg(estimated_ttft_ms), avg(estimated_tpot_ms),"
    " avg(estimated_cache_hit_rate), avg(estimated_cost_usd)"
    " FROM api_calls WHERE timestamp >= '2024-01-01' GROUP BY model",
    "slow calls": "SELECT request_id, model, estimated_ttft_ms, estimated_tpot_ms, estimated_cache_hit_rate,"
    " actual_cache_hit_rate FROM api_calls WHERE estimated_ttft_ms > 2000 ORDER BY timestamp DESC",
    "predictions by model": "SELECT model, avg(estimated_cache_hit_rate), avg(actual_cache_hit_rate),"
    " avg(actual_cache_hit_rate) - avg(estimated_cache_hit_rate) FROM api_calls"
    " WHERE actual_cache_hit_rate IS NOT NULL GROUP BY model",
    "tokens by model and day": "SELECT model, date(timestamp) AS date, sum(actual_total_tokens),"
    " avg(estimated_cache_hit_rate) FROM api_calls GROUP BY model, date(timestamp) ORDER BY date DESC",
    "cost_by_day": "SELECT * FROM cost_by_day",
    "cost_by_model, a week": f"SELECT * FROM cost_by_model WHERE day >= DATE '{many_calls.LAST_DAY}' - 6",  # noqa: S608 - our own names
    "cost_by_user": "SELECT user_id, sum(cost_usd) FROM cost_by_user GROUP BY 1 ORDER BY 2 DESC",
    "percentiles by model, a day": f"{_PERCENTILES} WHERE timestamp >= {_DAY} GROUP BY model",
    "percentiles by model, a week": f"{_PERCENTILES} WHERE timestamp >= {_WEEK} GROUP BY model",
    "percentiles by model, all": "SELECT model, approx_quantile(total_latency_ms, [0.5, 0.95, 0.99])"
    " FROM api_calls GROUP BY model",
}


@dataclass(slots=True)
class Reports:
    """Seconds, and MB."""

    start_s: float = 0.0
    queries_s: dict[str, list[float]] = field(default_factory=dict)
    committed_s: dict[str, list[float]] = field(
        default_factory=dict
    )  # until a frame is, by what goes on beside
    export_rows: int = 0
    export_bytes: int = 0
    export_s: float = 0.0
    export_mb: float = 0.0  # how much more memory than before, at the most


class Collector:
    """The process, and its only gateway."""

    def __init__(self, folder: Path, database: Path) -> None:
        port, records_port = free_ports(2)
        self._endpoint = f"tcp://127.0.0.1:{records_port}"
        document = {
            "collector": {"port": port, "endpoint": self._endpoint},
            "logging": {"db_path": str(database)},
        }
        config = folder / "lessllm.yaml"
        config.write_text(yaml.safe_dump(document))
        self.service = Service("collector", port, config, None, inherited())
        self._client = httpx.Client(base_url=self.service.url, trust_env=False, timeout=STOP_S)
        self._next_seq = 1
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()

    def query(self, sql: str) -> None:
        self._client.post("/query", json={"sql": sql}).raise_for_status()

    def query_all(self, statements: Iterable[str]) -> None:
        for sql in statements:
            self.query(sql)

    def stats(self, days: int) -> None:
        self._client.get("/stats", params={"days": days}).raise_for_status()

    def export(self, day: str) -> tuple[int, int]:
        """Rows and bytes of a day's calls."""
        size_bytes = 0
        with (
            httpx.Client(base_url=self.service.url, trust_env=False, timeout=STOP_S) as client,
            client.stream("GET", "/export", params={"start_date": day}) as answer,
        ):
            answer.raise_for_status()
            for piece in answer.iter_raw():
                size_bytes += len(piece)
            return int(answer.headers["x-lessllm-rows"]), size_bytes

    def frames_s(self, records: Iterator[bytes], until: Callable[[], bool]) -> list[float]:
        """How long each of many frames, one after the other, took to be committed."""
        taken_s = []
        with self._context.socket(zmq.DEALER) as socket:
            socket.linger = 0
            socket.connect(self._endpoint)
            while not until():
                frame = wire.Records("bench", self._next_seq, list(itertools.islice(records, _FRAME_RECORDS)))
                self._next_seq += len(frame.records)
                begin_s = time.monotonic()
                socket.send(wire.pack(frame))
                while not _is_committed(socket.recv(), self._next_seq - 1):
                    pass
                taken_s.append(time.monotonic() - begin_s)
                time.sleep(_EVERY_S)
        return taken_s


def _is_committed(answer: bytes, sequence: int) -> bool:
    message = wire.unpack_to_gateway(answer)
    return isinstance(message, wire.Ack) and message.committed >= sequence


@contextmanager
def started(folder: Path, database: Path, reports: Reports) -> Iterator[Collector]:
    """The collector, ready; how long that took is noted."""
    collector = Collector(folder, database)
    begin_s = time.monotonic()
    try:
        collector.service.start()
        reports.start_s = time.monotonic() - begin_s
        yield collector
        collector.service.stop()
    finally:
        collector.service.kill()


def measure(
    folder: Path, database: Path, records: Sequence[bytes], rounds: int, tell: Callable[[str], None]
) -> Reports:
    """Everything. `records` are sent as often as it takes."""
    reports = Reports()
    tell("starting the collector")
    with started(folder, database, reports) as collector:
        asked: dict[str, Callable[[], Any]] = {
            name: lambda sql=sql: collector.query(sql)  # type: ignore[misc]
            for name, sql in QUERIES.items()
        }
        days = _days_since(many_calls.LAST_DAY)
        asked["/stats, a week"] = lambda: collector.stats(min(366, days + 7))
        for number in range(rounds + 1):  # the first reads the file
            for name, ask in asked.items():
                tell(f"round {number} of {rounds}: {name}")
                begin_s = time.monotonic()
                ask()
                if number:
                    reports.queries_s.setdefault(name, []).append(time.monotonic() - begin_s)
        _export(collector, reports, tell)
        endless = itertools.cycle(records)
        beside: dict[str, Callable[[], object]] = {
            "nothing": lambda: time.sleep(5),
            "queries": lambda: collector.query_all(QUERIES.values()),
            "an export": lambda: collector.export(many_calls.LAST_DAY),
        }
        for name, work in beside.items():
            tell(f"frames beside {name}")
            reports.committed_s[name] = _beside(collector, endless, work)
    return reports


def _beside(collector: Collector, records: Iterator[bytes], work: Callable[[], object]) -> list[float]:
    thread = threading.Thread(target=work)
    thread.start()
    taken_s = collector.frames_s(records, lambda: not thread.is_alive())
    thread.join()
    return taken_s


def _export(collector: Collector, reports: Reports, tell: Callable[[str], None]) -> None:
    tell("exporting a day")
    over, most_mb = threading.Event(), [0.0]

    def watch() -> None:
        while not over.wait(0.05):
            held = vitals(collector.service.pid)
            most_mb[0] = max(most_mb[0], held.rss_mb if held else 0.0)

    before = vitals(collector.service.pid)
    watcher = threading.Thread(target=watch)
    watcher.start()
    begin_s = time.monotonic()
    reports.export_rows, reports.export_bytes = collector.export(many_calls.LAST_DAY)
    reports.export_s = time.monotonic() - begin_s
    over.set()
    watcher.join()
    reports.export_mb = max(0.0, most_mb[0] - (before.rss_mb if before else 0.0))


def _days_since(day: str) -> int:
    return (datetime.now(UTC).date() - date.fromisoformat(day)).days
