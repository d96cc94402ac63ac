"""Exporting calls as Parquet: filters in, pieces of one file out, in memory that more calls don't raise.

DuckDB unpacks a column in vectors of 2,048 rows, bodies too, so one such vector is read at a time, all in
one transaction: the file shows one moment. The next is read when the client has taken the last.
"""

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from starlette.responses import StreamingResponse

from lessllm_collector.errors import Refusal
from lessllm_collector.filters import METRICS, Filter
from lessllm_collector.formats import PARQUET
from lessllm_collector.pieces import PiecesResponse
from lessllm_collector.query import refusal
from lessllm_collector.schema import COLUMNS
from lessllm_collector.store import Store

AT_ONCE = 2
_VECTOR_ROWS = 2048
_BATCH_ROWS = 256
_ROW_GROUP_BYTES = 16 * 1024 * 1024

_SELECT = ", ".join(f"""{column.generated or f'"{column.name}"'} AS "{column.name}\"""" for column in COLUMNS)


class Exports:
    """At most AT_ONCE of them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running = 0

    async def start(self, chosen: Filter) -> StreamingResponse:
        """The answer, once its beginning is there. Raises Refusal, StoreError."""
        if self._running >= AT_ONCE:
            raise Refusal(503, "busy", "too many exports run already: try again when one is done")
        export = Export(self._store.cursor(), chosen)
        self._running += 1
        try:
            first = await asyncio.to_thread(export.begin)
        except BaseException:
            await self._end(export)
            raise
        headers = {
            "content-disposition": 'attachment; filename="lessllm-calls.parquet"',
            "x-lessllm-rows": str(export.rows),
        }
        return PiecesResponse(_pieces(export, first), PARQUET, headers, lambda: self._end(export))

    async def _end(self, export: "Export") -> None:
        await asyncio.shield(asyncio.to_thread(export.close))
        self._running -= 1


class Export:
    """One file. `rows` is known after `begin`. Its methods block; `close` from any thread."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, chosen: Filter) -> None:
        self.rows = 0
        self._connection = connection
        self._chosen = chosen
        self._pieces: Iterator[bytes] = iter(())
        self._reading = threading.Lock()

    def begin(self) -> bytes:
        """The first piece. Raises Refusal."""
        with self._reading:
            try:
                self._connection.execute("BEGIN TRANSACTION READ ONLY")
                counted = self._connection.execute(
                    f"SELECT rowid // {_VECTOR_ROWS}, count(*) FROM internal.calls"  # noqa: S608 - our own names
                    f" WHERE {self._chosen.sql} GROUP BY 1 ORDER BY 1",
                    self._chosen.values,
                ).fetchall()
                self.rows = sum(count for _, count in counted)
                self._pieces = self._write([vector for vector, _ in counted])
                return next(self._pieces)
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                raise refusal(error) from None

    def next_piece(self) -> bytes | None:
        """None: that was all."""
        with self._reading:
            return next(self._pieces, None)

    def close(self) -> None:
        """Stops what is being read, and waits for it."""
        self._connection.interrupt()
        with self._reading:
            self._connection.close()

    def _write(self, vectors: Iterable[int]) -> Iterator[bytes]:
        sink = _Sink()
        schema = self._read(-1).schema
        # A dictionary of bodies would only take memory.
        with pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=[*METRICS]) as writer:
            for group in _row_groups(batch for vector in vectors for batch in self._read(vector)):
                writer.write_table(pa.Table.from_batches(group))
                yield sink.take()
        yield sink.take()

    def _read(self, vector: int) -> pa.RecordBatchReader:
        start = vector * _VECTOR_ROWS
        return self._connection.execute(
            f"SELECT {_SELECT} FROM internal.calls"  # noqa: S608 - our own names
            f" WHERE rowid >= ? AND rowid < ? AND {self._chosen.sql}",
            [start, start + _VECTOR_ROWS, *self._chosen.values],
        ).to_arrow_reader(_BATCH_ROWS)


async def _pieces(export: Export, first: bytes) -> AsyncIterator[bytes]:
    piece: bytes | None = first
    while piece is not None:
        yield piece
        piece = await asyncio.to_thread(export.next_piece)


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Batches put together until they are worth a row group."""
    group: list[pa.RecordBatch] = []
    size_bytes = 0
    for batch in batches:
        group.append(batch)
        size_bytes += batch.nbytes
        if size_bytes >= _ROW_GROUP_BYTES:
            yield group
            group, size_bytes = [], 0
    if size_bytes:
        yield group


class _Sink(io.RawIOBase):
    """A file that gives away what was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._position += len(part)
        return len(part)

    def tell(self) -> int:
        return self._position

    def take(self) -> bytes:
        """Everything since the last time."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
