"""The one thread that writes: batches of records in, rows, watermarks and acknowledgements out.

Rows and the number up to which they are committed go into one transaction, so that every record becomes
exactly one row. A record that can't be a row is set aside as it came, and never holds up its neighbours.
If the database can't take a commit (the disk is full, say), the same batches are tried again until it can,
and nothing is acknowledged meanwhile: the records are safe in the gateways.
"""

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

import duckdb
from lessllm_shared import record as call_record
from lessllm_shared.now_and_then import NowAndThen

from lessllm_collector import metrics, room, rows
from lessllm_collector.bodies import Policy, as_kept
from lessllm_collector.cache import Correction, Predictor
from lessllm_collector.faults import reason
from lessllm_collector.inbox import Batch, Inbox
from lessllm_collector.interpret import Prices, Seen, interpret
from lessllm_collector.rows import Row, Unstorable
from lessllm_collector.store import Store, StoreError
from lessllm_collector.switches import Switches

RETRY_S = 1.0
DRAIN_S = 5.0

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Committed = Callable[[str, int], None]


class Writer:
    """Owns the thread: `start`, then `stop`."""

    def __init__(
        self,
        store: Store,
        inbox: Inbox,
        prices: Prices,
        switches: Switches,
        committed: Committed,
        bodies: Policy = "full",
        predictor: Predictor | None = None,
    ) -> None:
        """`committed(gateway_id, last_seq)` is called on the writer's thread after each commit.

        The predictor, if there is one, is used on that thread alone.
        """
        self.trouble: str | None = None  # why commits fail at the moment
        # Held by whoever goes through all rows by rowid: a checkpoint after deletions numbers them anew.
        self.rowids = asyncio.Lock()
        self._store = store
        self._inbox = inbox
        self._prices = prices
        self._switches = switches
        self._committed = committed
        self._bodies = bodies
        self._predictor = predictor
        self._seen_texts = Seen()
        self._corrections: dict[str, Correction] = {}  # of calls that were committed before, by request_id
        self._in_doubt = False  # the database failed, perhaps after a commit
        self._known: dict[str, int] = {}  # what was committed when it was open again
        self._is_to_be_said = NowAndThen()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer")
        metrics.COMMITS_FAILING.set_function(lambda: self.trouble is not None)
        metrics.DISK_FREE_BYTES.set_function(partial(room.free_bytes, store.path))

    def start(self) -> None:
        """From now on the inbox is worked off."""
        self._thread.start()

    async def stop(self) -> None:
        """Commit what is in the inbox, as far as time allows, then end: gateways still have the rest.

        Commits that fail are not tried again.
        """
        self._stopping.set()
        self._inbox.close(DRAIN_S)
        await asyncio.to_thread(self._thread.join)

    async def run(self, job: Callable[[duckdb.DuckDBPyConnection], Result]) -> Result:
        """The result of `job`, done on the writer's thread in a transaction between commits."""
        return await self._submit(lambda connection: _in_transaction(connection, job))

    async def checkpoint(self) -> None:
        """What was committed goes from the log into the database's file, and what was deleted frees space.

        Not now if a transaction of someone else's is in the way, or the disk is full: it is done at a later
        commit.
        """

        def write(connection: duckdb.DuckDBPyConnection) -> None:
            with contextlib.suppress(duckdb.TransactionException, room.NoRoom):
                room.checkpoint(self._store.path, connection)

        await self._submit(write)

    async def _submit(self, job: Callable[[duckdb.DuckDBPyConnection], Result]) -> Result:
        future: Future[Result] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                with self._store.cursor() as connection:
                    future.set_result(job(connection))
            except Exception as error:  # noqa: BLE001 - whoever waits for the job gets it
                self._look_at(error)
                future.set_exception(error)

        self._inbox.submit(work)
        return await asyncio.wrap_future(future)

    def _run(self) -> None:
        try:
            while (work := self._inbox.take()) is not None:
                if isinstance(work, list):
                    self._work_off(work)
                    self._inbox.done(work)
                else:
                    work()
        except Exception as error:
            # Whoever runs the collector starts it again, and the gateways send again what is not committed.
            log.exception("the writer can't go on: the collector stops")
            self.trouble = type(error).__name__
            os.kill(os.getpid(), signal.SIGTERM)

    def _work_off(self, batches: list[Batch]) -> None:
        """Commit, acknowledge, count."""
        with metrics.COMMIT_SECONDS.time():
            good, bad = self._interpret(batches)
            while (error := self._commit(batches, good, bad)) is not None:
                parts = batches if len(batches) > 1 else batches[0].halves()
                if parts:  # each may fit where all together don't
                    for part in parts:
                        self._work_off([part])
                    return
                self._note(error)
                self._do_jobs(RETRY_S)
                if self._stopping.is_set():
                    return
        for gateway_id, last_seq in _watermarks(batches).items():
            self._committed(gateway_id, last_seq)
        metrics.GAPS.labels("unreadable").inc(len(bad))
        for row, _ in good:
            metrics.count(row)
            if self._switches.debug_mode:
                _log_call(row)

    def _do_jobs(self, for_s: float) -> None:
        """What waits while the disk is full may be what makes room."""
        until_s = time.monotonic() + for_s
        while (job := self._inbox.take_job(until_s - time.monotonic())) is not None:
            job()

    def _interpret(self, batches: Iterable[Batch]) -> tuple[list[tuple[Row, bytes]], list[Unstorable]]:
        """Rows with the records they came from, and records that can't be read."""
        good: list[tuple[dict[str, Any], bytes]] = []
        bad: list[Unstorable] = []
        for batch in batches:
            for sequence, data in enumerate(batch.records or (), batch.first_seq):
                try:
                    record = call_record.decode(data)
                except ValueError as error:
                    bad.append(self._unstorable(batch.gateway_id, sequence, error, data))
                    continue
                row = interpret(
                    record,
                    gateway_id=batch.gateway_id,
                    sequence=sequence,
                    prices=self._prices,
                    seen_texts=self._seen_texts,
                )
                good.append((row, data))
        if self._predictor is not None and self._switches.enable_cache_analysis:
            for correction in self._predictor.score([row for row, _ in good]):
                self._corrections[correction.request_id] = correction
        return [(as_kept(row, self._bodies), data) for row, data in good], bad

    def _commit(
        self, batches: list[Batch], good: list[tuple[Row, bytes]], bad: list[Unstorable]
    ) -> Exception | None:
        """Returns why the database can't take it now. What can never be a row moves from `good` to `bad`."""
        try:
            if not self._is_committed(batches):
                with self._store.cursor() as connection:
                    size_bytes = rows.size_bytes([row for row, _ in good], bad)
                    room.make(self._store.path, connection, size_bytes)
                    try:
                        self._write(connection, batches, good, bad)
                    except rows.UNSTORABLE:
                        bad += self._sift(connection, good)
                        self._write(connection, batches, good, bad)
        except (duckdb.Error, StoreError, room.NoRoom, OSError) as error:
            self._look_at(error)
            return error
        self._corrections.clear()
        self._store.give_way.clear()
        if self.trouble is not None:
            log.warning("records are committed again")
            self.trouble = None
        return None

    def _is_committed(self, batches: list[Batch]) -> bool:
        if self._in_doubt:
            self._known = self._store.committed()
            self._in_doubt = False
        return all(self._known.get(batch.gateway_id, 0) >= batch.last_seq for batch in batches)

    def _note(self, error: Exception) -> None:
        """A commit failed."""
        metrics.COMMITS_FAILED.inc()
        if isinstance(error, duckdb.OutOfMemoryException):
            self._store.give_way.set()
        if self.trouble is None:
            log.error("records can't be committed, nothing is acknowledged until they can: %s", reason(error))
        self.trouble = reason(error)

    def _look_at(self, error: Exception) -> None:
        if isinstance(error, duckdb.FatalException):
            self._in_doubt = True
            with contextlib.suppress(StoreError):
                self._store.check(error)

    def _write(
        self,
        connection: duckdb.DuckDBPyConnection,
        batches: list[Batch],
        good: list[tuple[Row, bytes]],
        bad: list[Unstorable],
    ) -> None:
        def write(connection: duckdb.DuckDBPyConnection) -> None:
            if good:
                rows.insert(connection, [row for row, _ in good])
            if self._corrections:
                rows.correct(connection, list(self._corrections.values()))
            rows.quarantine(connection, bad)
            rows.add_lost(
                connection, ((b.gateway_id, b.first_seq, b.last_seq) for b in batches if b.records is None)
            )
            rows.set_committed(connection, _watermarks(batches))

        _in_transaction(connection, write)

    def _sift(self, connection: duckdb.DuckDBPyConnection, good: list[tuple[Row, bytes]]) -> list[Unstorable]:
        """Takes those rows out of `good` that can't be inserted even alone."""
        bad: list[Unstorable] = []
        for row, data in good[:]:
            connection.begin()
            try:
                rows.insert(connection, [row])
            except rows.UNSTORABLE as error:
                good.remove((row, data))
                bad.append(self._unstorable(row["gateway_id"], row["sequence"], error, data))
            finally:
                connection.rollback()
        return bad

    def _unstorable(self, gateway_id: str, sequence: int, error: Exception, data: bytes) -> Unstorable:
        # Only the kind of the error: its message may quote a prompt.
        if self._is_to_be_said("unreadable"):
            log.warning(
                "record %d of gateway %s is set aside: %s", sequence, gateway_id, type(error).__name__
            )
        # Whether its call failed can't be told: its bodies are kept only where all are.
        return Unstorable(gateway_id, sequence, type(error).__name__, data if self._bodies == "full" else b"")


def _in_transaction(
    connection: duckdb.DuckDBPyConnection, work: Callable[[duckdb.DuckDBPyConnection], Result]
) -> Result:
    connection.begin()
    try:
        result = work(connection)
        connection.commit()
    except BaseException:
        _roll_back(connection)
        raise
    return result


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.rollback()
    except duckdb.Error:
        log.debug("nothing to roll back: the failure has ended the transaction")


def _watermarks(batches: Iterable[Batch]) -> dict[str, int]:
    """How far each gateway process's records are once these are committed: they come in order."""
    return {batch.gateway_id: batch.last_seq for batch in batches}


def _log_call(row: Row) -> None:
    log.info(
        "call %s: %s → %s %s, %s, total %.0f ms, TTFT %s ms, tokens %s → %s, %s USD",
        *(row["request_id"], row["model"], row["provider"], row["route"], row["end_reason"]),
        row["total_latency_ms"],
        *(row["estimated_ttft_ms"], row["actual_prompt_tokens"], row["actual_completion_tokens"]),
        row["estimated_cost_usd"],
    )
