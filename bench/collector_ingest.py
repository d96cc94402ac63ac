"""Records into an empty database, in this process, as the collector's writer does it: CPU, bytes.

CPU is that of the whole process, DuckDB's threads and the last checkpoint included.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from collector_records import Recorded
from lessllm_collector.account import Account
from lessllm_collector.cache import Predictor
from lessllm_collector.inbox import Batch
from lessllm_collector.interpret import Prices
from lessllm_collector.interpreting import Interpreter
from lessllm_collector.store import Store
from lessllm_collector.switches import Switches
from lessllm_shared.config.sections import Query

BATCH_RECORDS = 500  # as many as a gateway sends at once, at most


@dataclass(frozen=True, slots=True)
class Ingest:
    """CPU seconds by step, and bytes on the disk."""

    reading_s: float  # decoding, interpreting, predicting
    committing_s: float  # Arrow, SQL, the log
    counting_s: float  # for Prometheus
    filing_s: float  # the last checkpoint
    disk_bytes: int

    @property
    def cpu_s(self) -> float:
        return self.reading_s + self.committing_s + self.counting_s + self.filing_s


def ingest(recorded: Recorded, path: Path, *, predicts: bool) -> Ingest:
    """Into a new file, which is deleted."""
    switches = Switches(debug_mode=False, enable_cache_analysis=predicts)
    interpreter, account = Interpreter(Prices({}), switches, "full", Predictor()), Account(switches)
    steps_s = [0.0] * 4
    store = Store(path, Query())
    for start in range(0, len(recorded.records), BATCH_RECORDS):
        records = list(recorded.records[start : start + BATCH_RECORDS])
        marks_s = [time.process_time()]
        commit = interpreter.read([Batch("g", start + 1, start + len(records), records)])
        marks_s.append(time.process_time())
        with store.cursor() as connection:
            commit.write(connection)
        marks_s.append(time.process_time())
        account.add(commit)
        marks_s.append(time.process_time())
        for step in range(3):
            steps_s[step] += marks_s[step + 1] - marks_s[step]
    begin_s = time.process_time()
    store.close()
    steps_s[3] = time.process_time() - begin_s
    disk_bytes = path.stat().st_size
    path.unlink()
    reading_s, committing_s, counting_s, filing_s = steps_s
    return Ingest(reading_s, committing_s, counting_s, filing_s, disk_bytes)


def parts_us(flagged: Recorded, unflagged: Recorded, folder: Path, rounds: int) -> dict[str, list[float]]:
    """µs a record of each part, a figure for each round. Both are the same calls, looked through or not."""
    found: dict[str, list[float]] = {}
    count = len(flagged.records)
    for number in range(rounds):
        path = folder / f"{number}.duckdb"
        whole = ingest(flagged, path, predicts=True)
        without_prediction = ingest(flagged, path, predicts=False)
        without_both = ingest(unflagged, path, predicts=False)
        for name, seconds in {
            "all": whole.cpu_s,
            "interpreting": without_both.reading_s,
            "looking for sensitive data": without_prediction.reading_s - without_both.reading_s,
            "predicting cache hits": whole.reading_s - without_prediction.reading_s,
            "committing": whole.committing_s,
            "counting": whole.counting_s,
            "last checkpoint": whole.filing_s,
        }.items():
            found.setdefault(name, []).append(seconds / count * 1e6)
    return found


def disk_ratio(recorded: Recorded, folder: Path) -> float:
    """Bytes on disk, all columns, for a byte of bodies."""
    return ingest(recorded, folder / "disk.duckdb", predicts=True).disk_bytes / recorded.raw_bytes


def spread(values: list[float]) -> dict[str, float]:
    return {"median": median(values), "lowest": min(values), "highest": max(values)}
