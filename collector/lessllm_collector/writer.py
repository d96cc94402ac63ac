"""The one thread that writes: batches of records in, commits and acknowledgements out; jobs in between.

If the database can't take a commit (the disk is full, say), it is tried in parts, and the first of them again
until the database can. Nothing of what follows is committed or acknowledged meanwhile: the records are safe
in the gateways.
"""

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

import duckdb

from lessllm_collector import metrics, room
from lessllm_collector.account import Account
from lessllm_collector.commit import Commit, in_transaction
from lessllm_collector.faults import reason
from lessllm_collector.inbox import Batch, Inbox
from lessllm_collector.interpreting import Interpreter
from lessllm_collector.spending import Spending
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
        interpreter: Interpreter,
        switches: Switches,
        committed: Committed,
    ) -> None:
        """`committed(gateway_id, last_seq)` is called on the writer's thread after each commit."""
        self.trouble: str | None = None  # why commits fail at the moment
        # Held by whoever goes through all rows by rowid: a checkpoint after deletions numbers them anew.
        self.rowids = asyncio.Lock()
        self._store = store
        self._inbox = inbox
        self._interpreter = interpreter
        self._account = Account(switches)
        self.spending = Spending(store.spent())
        self._committed = committed
        self._in_doubt = False  # the database failed, perhaps after a commit
        self._known: dict[str, int] = {}  # what was committed when it was open again
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer")
        metrics.COMMITS_FAILING.set_function(lambda: self.trouble is not None)
        metrics.DISK_FREE_BYTES.set_function(partial(room.free_bytes, store.path))

    @property
    def waiting_bytes(self) -> int:
        """Received, and not committed yet."""
        return self._inbox.waiting_bytes

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
        return await self._submit(lambda connection: in_transaction(connection, job))

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
                if not isinstance(work, list):
                    work()
                elif self._work_off(work):
                    self._inbox.done(work)
                else:
                    return
        except Exception as error:
            # Whoever runs the collector starts it again, and the gateways send again what is not committed.
            log.exception("the writer can't go on: the collector stops")
            self.trouble = type(error).__name__
            os.kill(os.getpid(), signal.SIGTERM)

    def _work_off(self, batches: list[Batch]) -> bool:
        """Commit and acknowledge. False: not all of it, since it is time to stop.

        Then nothing that follows may be committed: it would acknowledge what comes before it, too.
        """
        with metrics.COMMIT_SECONDS.time():
            waiting = [self._interpreter.read(batches)]
            while waiting:
                error = self._try(waiting[0])
                if error is None:
                    self._acknowledge(waiting.pop(0))
                elif not isinstance(error, StoreError) and (halves := waiting[0].halves()):
                    waiting[:1] = halves  # each may fit where both together don't
                else:
                    self._note(error)
                    self._do_jobs(RETRY_S)
                    if self._stopping.is_set():
                        return False
        return True

    def _try(self, commit: Commit) -> Exception | None:
        """Returns why the database can't take it now."""
        try:
            if self._is_committed(commit):
                self.spending.load(self._store.spent())
            else:
                with self._store.cursor() as connection:
                    room.make(self._store.path, connection, commit.size_bytes)
                    commit.write(connection)
                self.spending.add(commit.booked)
        except (duckdb.Error, StoreError, room.NoRoom, OSError) as error:
            self._look_at(error)
            return error
        self._store.give_way.clear()
        if self.trouble is not None:
            log.warning("records are committed again")
            self.trouble = None
        return None

    def _is_committed(self, commit: Commit) -> bool:
        if self._in_doubt:
            self._known = self._store.committed()
            self._in_doubt = False
        return all(self._known.get(gateway_id, 0) >= last for gateway_id, last in commit.watermarks.items())

    def _acknowledge(self, commit: Commit) -> None:
        for gateway_id, last_seq in commit.watermarks.items():
            self._committed(gateway_id, last_seq)
        self._account.add(commit)

    def _do_jobs(self, for_s: float) -> None:
        """What waits while the disk is full may be what makes room."""
        until_s = time.monotonic() + for_s
        while (job := self._inbox.take_job(until_s - time.monotonic())) is not None:
            job()

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
