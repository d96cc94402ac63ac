"""A thread that ends queries which take too long or too much memory: first the query, at last the process.

DuckDB stops an interrupted query at its next chunk of rows. A single step may never come that far, and some
don't heed the memory limit. Then the process ends: it is started again, and no record is lost, since what
was not committed was not acknowledged. While no query runs, this thread sleeps.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import duckdb

EXIT_CODE = 70  # EX_SOFTWARE
_TICK_S = 0.02  # memory was seen to grow by 1 GB/s: 20 MB between two looks
_STATM = Path("/proc/self/statm")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

log = logging.getLogger(__name__)

Limit = Literal["time", "memory", "stopping"]


@dataclass(frozen=True)
class Bounds:
    """When the watchdog acts."""

    timeout_s: float
    grace_s: float = 10.0  # from the interrupt to the end of the process
    growth_bytes: int | None = None  # of the process since a query began: the query is interrupted
    total_bytes: int | None = None  # of the process: it ends


@dataclass
class Watch:
    """One running query. `exceeded` says why it was interrupted."""

    connection: duckdb.DuckDBPyConnection
    deadline: float
    began_bytes: int  # what an earlier query took is given back only after a while
    exceeded: Limit | None = None


class Watchdog:
    """Owns the thread, which starts with the first query. `end_process` must not return."""

    def __init__(
        self,
        bounds: Bounds,
        end_process: Callable[[str], object],
        give_way: threading.Event,
        closing: threading.Event,
    ) -> None:
        """When `give_way` is set, every query is interrupted and it is cleared. `closing` stays set."""
        self.end_process = end_process
        self._bounds = bounds
        self._give_way = give_way
        self._closing = closing
        self._changed = threading.Condition()
        self._watched: list[Watch] = []
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, connection: duckdb.DuckDBPyConnection) -> Iterator[Watch]:
        """What runs on `connection` inside the block is bounded."""
        watch = Watch(connection, time.monotonic() + self._bounds.timeout_s, resident_bytes() or 0)
        with self._changed:
            self._watched.append(watch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
            self._changed.notify()
        try:
            yield watch
        finally:
            with self._changed:
                self._watched.remove(watch)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._watched)
                self._look()
            time.sleep(_TICK_S)

    def _look(self) -> None:
        now, memory_bytes = time.monotonic(), resident_bytes() or 0
        bounds = self._bounds
        if bounds.total_bytes is not None and memory_bytes > bounds.total_bytes:
            self.end_process(
                f"queries made this process {memory_bytes / 1e6:,.0f} MB large: it ends, to be started again"
            )
        give_way = self._give_way.is_set()
        self._give_way.clear()
        for watch in self._watched:
            if now > watch.deadline + bounds.grace_s:
                self.end_process(
                    f"a query did not stop {bounds.grace_s:g} s after it was interrupted:"
                    " this process ends, to be started again"
                )
            if not watch.exceeded:
                watch.exceeded = "memory" if give_way else self._exceeded(watch, now, memory_bytes)
            if watch.exceeded:
                # At every look, not once: an interrupt between two statements is forgotten.
                with suppress(duckdb.Error):
                    watch.connection.interrupt()

    def _exceeded(self, watch: Watch, now: float, memory_bytes: int) -> Limit | None:
        if self._closing.is_set():
            return "stopping"
        growth_bytes = self._bounds.growth_bytes
        if growth_bytes is not None and memory_bytes - watch.began_bytes > growth_bytes:
            return "memory"
        return "time" if now > watch.deadline else None


def end_process(reason: str) -> NoReturn:
    """At once: no clean-up can be trusted to end while a query does not."""
    log.critical(reason)
    for handler in logging.getLogger().handlers:
        handler.flush()
    os._exit(EXIT_CODE)


def resident_bytes() -> int | None:
    """Memory that this process holds. None where the system doesn't say."""
    try:
        return int(_STATM.read_text("ascii").split()[1]) * _PAGE_BYTES
    except OSError:
        return None
