"""Running SQL for readers: a statement in, Arrow batches out, within limits of time, memory, rows and number.

Each query has its own cursor, a read-only transaction, a worker thread and the watchdog's eye, so that the
event loop and the writer go on. It must never run a user's SQL that `guard` did not judge.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import duckdb
import msgspec
import pyarrow as pa
from lessllm_shared.config.sections import Query

from lessllm_collector.errors import Refusal
from lessllm_collector.faults import reason
from lessllm_collector.guard import judge
from lessllm_collector.store import Store
from lessllm_collector.watchdog import Bounds, Watchdog

AT_ONCE = 4  # more would only share the database's threads
MAX_WAITING = 32
MAX_WAIT_S = 10.0
MAX_RESULT_BYTES = 64 * 1024 * 1024  # in Arrow; 100,000 rows with bodies would be gigabytes
_BATCH_ROWS = 2048  # DuckDB's own step

Scalar = None | bool | int | float | str
Value = Scalar | list[Scalar]
Parameters = Sequence[Any] | Mapping[str, Any]
_Found = TypeVar("_Found")
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Result:
    """What a statement gave. `types` are DuckDB's names of the columns' types."""

    schema: pa.Schema
    types: tuple[str, ...]
    batches: list[pa.RecordBatch]
    truncated: bool  # by max_rows or MAX_RESULT_BYTES
    elapsed_ms: float


class Question(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A user's statement. `params` fill ? or $name, by position or by name."""

    sql: str
    params: list[Value] | dict[str, Value] | None = None
    max_rows: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Readers:
    """Owns `at_once` worker threads. Who finds all of them busy waits, and is refused after MAX_WAIT_S."""

    def __init__(self, store: Store, watchdog: Watchdog, at_once: int = AT_ONCE) -> None:
        self._store = store
        self._watchdog = watchdog
        self._free = asyncio.Semaphore(at_once)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="reader")
        self._waiting = 0

    async def read(
        self, job: Callable[[duckdb.DuckDBPyConnection], _Found], finish: Callable[[_Found], _Made]
    ) -> _Made:
        """What `finish` makes of what `job` finds over a connection that can only read.

        Raises Refusal, StoreError.
        """
        await self._take_turn()
        work = asyncio.get_running_loop().run_in_executor(self._threads, lambda: finish(self._find(job)))
        work.add_done_callback(self._give_turn)
        return await asyncio.shield(work)  # cancelled or not, the thread takes its time

    def close(self) -> None:
        """Waits for what runs; nothing new begins."""
        self._threads.shutdown(cancel_futures=True)

    async def _take_turn(self) -> None:
        if self._free.locked() and self._waiting >= MAX_WAITING:
            raise _busy()
        self._waiting += 1
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                await self._free.acquire()
        except TimeoutError:
            raise _busy() from None
        finally:
            self._waiting -= 1

    def _give_turn(self, work: asyncio.Future[_Made]) -> None:
        self._free.release()
        if not work.cancelled():
            work.exception()  # seen, though the one who waited may have left

    def _find(self, job: Callable[[duckdb.DuckDBPyConnection], _Found]) -> _Found:
        connection = self._store.cursor()
        with self._watchdog.watching(connection) as watch:
            try:
                connection.execute("BEGIN TRANSACTION READ ONLY")
                return job(connection)
            except (
                duckdb.Error,
                pa.ArrowException,
                OSError,
            ) as error:  # OSError: Arrow's reader, interrupted
                if isinstance(error, _ENDS):
                    self._store.check(error)
                raise refusal(error, watch.exceeded) from None
            finally:
                connection.close()


def bounds(limits: Query) -> Bounds:
    """What the configuration says. Some operators were seen to take twice DuckDB's memory_limit."""
    growth_bytes = 2 * _bytes(limits.memory_limit) + 512 * 1024**2
    return Bounds(limits.timeout_s, growth_bytes=growth_bytes, total_bytes=growth_bytes + 1024**3)


def ask(connection: duckdb.DuckDBPyConnection, question: Question, max_rows: int) -> Result:
    """A user's statement, judged. Raises Refusal, duckdb.Error."""
    judge(connection, question.sql)
    return run(connection, question.sql, question.params, min(question.max_rows or max_rows, max_rows))


def run(connection: duckdb.DuckDBPyConnection, sql: str, params: Parameters | None, max_rows: int) -> Result:
    """The first `max_rows` rows."""
    start = time.perf_counter()
    cursor = connection.execute(sql, params)
    types = tuple(str(column[1]) for column in cursor.description or ())
    reader = cursor.to_arrow_reader(_BATCH_ROWS)
    batches, truncated = _first(reader, max_rows)
    return Result(reader.schema, types, batches, truncated, (time.perf_counter() - start) * 1000)


def _first(reader: pa.RecordBatchReader, max_rows: int) -> tuple[list[pa.RecordBatch], bool]:
    batches: list[pa.RecordBatch] = []
    rows, size_bytes = 0, 0
    for batch in reader:
        if batch.num_rows == 0:
            continue
        fitting = int(batch.num_rows * (MAX_RESULT_BYTES - size_bytes) / max(batch.nbytes, 1))
        wanted = min(max_rows - rows, batch.num_rows, max(fitting, 0 if batches else 1))
        if wanted:
            batches.append(batch.slice(0, wanted))
        if wanted < batch.num_rows:
            return batches, True
        rows, size_bytes = rows + batch.num_rows, size_bytes + batch.nbytes
    return batches, False


def refusal(error: Exception, exceeded: str | None = None) -> Refusal:
    """What a failed statement becomes; `exceeded` as in Watch."""
    if exceeded == "stopping":
        return Refusal(503, "stopping", "the collector is stopping: ask again when it is back")
    if exceeded == "time":
        return Refusal(422, "query_timeout", "the query took longer than collector.query.timeout_s allows")
    if exceeded == "memory" or isinstance(error, duckdb.OutOfMemoryException):
        return Refusal(
            422,
            "query_memory",
            "the query needs more memory than collector.query.memory_limit allows:"
            " read fewer rows or columns, or raise it",
        )
    # The rest of DuckDB's text shows the place in the statement.
    message = str(error).strip().partition("\n\n")[0]
    if isinstance(error, _FAULTS):
        return Refusal(500, "query_failed", reason(error))
    return Refusal(400, "sql_error", message)


def _busy() -> Refusal:
    return Refusal(503, "busy", "too many queries run already: try again soon")


def _bytes(limit: str) -> int:
    number = limit.rstrip("BGMi ")
    return int(float(number) * _UNITS[limit[len(number) :].strip()])


_UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
# What a statement hears when the database has failed, or was closed for that under it.
_ENDS = (duckdb.FatalException, duckdb.ConnectionException)
_FAULTS = (*_ENDS, duckdb.InternalException, duckdb.IOException)
