"""What was kept long enough is deleted (`logging.retention`): bodies first, whole calls later.

In steps on the writer's thread, with new records committed in between: what a step takes is bounded by rows
and by bytes. A checkpoint after some of them frees the space for new calls; the file itself does not shrink
(`lessllm compact` makes it). What fails is counted, logged once and tried again at the next run: nothing here
ends the collector, and nothing but age decides what goes.
"""

import asyncio
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import NoReturn

import duckdb
from lessllm_shared.config import sections
from prometheus_client import Counter

from lessllm_collector import metrics
from lessllm_collector.faults import reason
from lessllm_collector.quarantine import Quarantine
from lessllm_collector.schema import BODIES
from lessllm_collector.spending import first_of_last_month
from lessllm_collector.store import Store
from lessllm_collector.writer import Writer

INTERVAL_S = 300.0
STEP_ROWS = 2048  # DuckDB's own step
# Of bodies, by their full sizes. Seen: 64 MB in 800 rows 0.15 s, in 8,000 rows 0.05 s.
STEP_BYTES = 64 * 1024 * 1024
# A checkpoint writes the row groups anew that a step left half: 16 to 32 MB of bodies, 0.3 s.
CHECKPOINT_BYTES = 64 * 1024 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Deletion:
    """What happens to old rows for which `condition` holds."""

    condition: str
    statement: str
    counter: Counter


@dataclass(frozen=True)
class Step:
    """Rows start … end - 1, and how large their bodies are or were."""

    start: int
    end: int
    size_bytes: int


class Retention:
    """`run` until cancelled."""

    def __init__(
        self, store: Store, writer: Writer, quarantine: Quarantine, keep: sections.Retention
    ) -> None:
        self._store = store
        self._quarantine = quarantine
        self._writer = writer
        self._keep = keep
        self._freed_bytes = 0  # since the last checkpoint of ours
        self._failing = False

    async def run(self) -> NoReturn:
        """The first run is now."""
        while True:
            await self.run_once()
            await asyncio.sleep(INTERVAL_S)

    async def run_once(self) -> None:
        """Deletes everything that is old enough."""
        try:
            async with self._writer.rowids:
                await self._delete(datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 - the task's top: the next run tries again
            metrics.RETENTION_FAILED.inc()
            if not self._failing:
                log.error("old data can't be deleted, tried again every %g s: %s", INTERVAL_S, reason(error))  # noqa: TRY400 - it says all
            self._failing = True
        else:
            metrics.RETENTION_RUN.set_to_current_time()
            if self._failing:
                log.warning("old data is deleted again")
            self._failing = False

    async def _delete(self, now: datetime) -> None:
        for deletion, keep in ((_CALLS, self._keep.calls), (_BODIES, self._keep.bodies)):
            if keep is not None:
                # Again until there is nothing: a checkpoint that frees rows numbers the others anew.
                while await self._pass(deletion, now - keep):
                    pass
        if self._keep.bodies is not None:
            before = now - self._keep.bodies
            await self._writer.run(partial(_empty_quarantined, before=before))
            await asyncio.to_thread(self._quarantine.expire, before)
        if self._keep.calls is not None:
            await self._writer.run(partial(_delete_quarantined, before=now - self._keep.calls))
            await self._writer.run(partial(_delete_spent, before=now - self._keep.calls))
        await self._writer.run(_measure)

    async def _pass(self, deletion: _Deletion, before: datetime) -> int:
        """Returns how many rows were changed."""
        changed = 0
        for step in steps(await self._old(deletion, before)):
            done = await self._writer.run(partial(_take, deletion=deletion, step=step, before=before))
            deletion.counter.inc(done)
            changed += done
            self._freed_bytes += step.size_bytes
            if self._freed_bytes >= CHECKPOINT_BYTES:
                await self._writer.checkpoint()
                self._freed_bytes = 0
        return changed

    async def _old(self, deletion: _Deletion, before: datetime) -> list[Step]:
        """What there is to do. Read beside the writer, since it may be much."""
        connection = self._store.cursor()
        try:
            return await asyncio.to_thread(_find, connection, deletion, before)
        finally:
            connection.interrupt()  # cancelled, the thread still reads


def steps(windows: Iterable[Step]) -> Iterator[Step]:
    """The same rows in steps that are small enough, as far as bodies are of a size."""
    for window in windows:
        parts = min(math.ceil(window.size_bytes / STEP_BYTES), window.end - window.start) or 1
        rows = math.ceil((window.end - window.start) / parts)
        for start in range(window.start, window.end, rows):
            yield Step(start, min(start + rows, window.end), window.size_bytes // parts)


def _find(connection: duckdb.DuckDBPyConnection, deletion: _Deletion, before: datetime) -> list[Step]:
    found = connection.execute(
        "SELECT min(rowid), max(rowid) + 1, sum(request_body_bytes) + sum(response_body_bytes)"  # noqa: S608 - our own names
        f' FROM internal.calls WHERE "timestamp" < ? AND {deletion.condition}'
        f" GROUP BY rowid // {STEP_ROWS} ORDER BY 1",
        [before],
    ).fetchall()
    return [Step(start, end, int(size_bytes)) for start, end, size_bytes in found]


def _take(connection: duckdb.DuckDBPyConnection, *, deletion: _Deletion, step: Step, before: datetime) -> int:
    changed = connection.execute(
        f'{deletion.statement} WHERE rowid >= ? AND rowid < ? AND "timestamp" < ? AND {deletion.condition}',
        [step.start, step.end, before],
    ).fetchone()
    return int(changed[0]) if changed else 0


def _empty_quarantined(connection: duckdb.DuckDBPyConnection, *, before: datetime) -> None:
    """Records that could not be read: they hold bodies."""
    connection.execute(
        "UPDATE internal.quarantine SET record = ''::BLOB WHERE received < ? AND record != ''::BLOB", [before]
    )


def _delete_quarantined(connection: duckdb.DuckDBPyConnection, *, before: datetime) -> None:
    connection.execute("DELETE FROM internal.quarantine WHERE received < ?", [before])


def _delete_spent(connection: duckdb.DuckDBPyConnection, *, before: datetime) -> None:
    """What budgets go by stays."""
    day = min(before.date(), first_of_last_month(datetime.now(UTC).date()))
    connection.execute("DELETE FROM internal.spent WHERE day < ?", [day])


def _measure(connection: duckdb.DuckDBPyConnection) -> None:
    size = connection.execute(
        "SELECT block_size, total_blocks, free_blocks FROM pragma_database_size()"
    ).fetchone()
    if size is not None:
        metrics.DATABASE_BYTES.set(size[0] * size[1])
        metrics.DATABASE_FREE_BYTES.set(size[0] * size[2])


_CALLS = _Deletion("true", "DELETE FROM internal.calls", metrics.CALLS_EXPIRED)
_BODIES = _Deletion(
    f"({' OR '.join(f'{name} IS NOT NULL' for name in BODIES)})",
    f"UPDATE internal.calls SET {', '.join(f'{name} = NULL' for name in BODIES)}",  # noqa: S608 - our own names
    metrics.BODIES_EXPIRED,
)
