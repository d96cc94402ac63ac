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


@dataclass(frozen=True)
class Bounds:
    """When the watchdog acts."""

    timeout_s: float
    grace_s: float = 10.0  # from the interrupt to the end of the process
    soft_bytes: int | None = None  # of the whole process: every query is interrupted
    hard_bytes: int | None = None  # the process ends


@dataclass
class Watch:
    """One running query. `exceeded` says why it was interrupted."""

    connection: duckdb.DuckDBPyConnection
    deadline: float
    exceeded: Literal["time", "memory"] | None = None


class Watchdog:
    """Owns the thread, which starts with the first query. `end_process` must not return."""

    def __init__(
        self,
        bounds: Bounds,
        end_process: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bounds = bounds
        self.end_process = end_process
        self._clock = clock
        self._changed = threading.Condition()
        self._watched: list[Watch] = []
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, connection: duckdb.DuckDBPyConnection) -> Iterator[Watch]:
        """What runs on `connection` inside the block is bounded."""
        watch = Watch(connection, self._clock() + self._bounds.timeout_s)
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
        now, memory_bytes = self._clock(), resident_bytes()
        bounds = self._bounds
        if _above(memory_bytes, bounds.hard_bytes):
            self.end_process(
                f"queries made this process {_mb(memory_bytes)} large: it ends, to be started again"
            )
        too_large = _above(memory_bytes, bounds.soft_bytes)
        for watch in self._watched:
            if now > watch.deadline + bounds.grace_s:
                self.end_process(
                    f"a query did not stop {bounds.grace_s:g} s after it was interrupted: this process ends,"
                    " to be started again"
                )
            if too_large or now > watch.deadline:
                watch.exceeded = watch.exceeded or ("memory" if too_large else "time")
            if watch.exceeded:
                # At every look, not once: an interrupt between two statements is forgotten.
                with suppress(duckdb.Error):
                    watch.connection.interrupt()


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


def _above(value: int | None, bound: int | None) -> bool:
    return value is not None and bound is not None and value > bound


def _mb(size_bytes: int | None) -> str:
    return f"{(size_bytes or 0) / 1e6:,.0f} MB"
