"""A writer over a database of its own, and records of any age to put into it."""

import asyncio
import contextlib
import resource
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from lessllm_collector.inbox import Batch, Inbox
from lessllm_collector.interpret import Prices
from lessllm_collector.interpreting import Interpreter
from lessllm_collector.quarantine import Quarantine
from lessllm_collector.retention import Retention
from lessllm_collector.store import Store
from lessllm_collector.switches import Switches
from lessllm_collector.writer import Writer
from lessllm_shared.config import sections
from lessllm_shared.record import ApiFormat, CallRecord, EndReason, encode, new_request_id

ANSWER = b'{"model":"m","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}'
PRICES = Prices({"m": sections.Price(input_usd_per_mtok=1, output_usd_per_mtok=1)})
DAY = timedelta(days=1)


def record(age, **fields):
    t0 = int((datetime.now(UTC) - age).timestamp()) * 10**9
    known = {
        "request_id": new_request_id(t0),
        "t0_unix_ns": t0,
        "end_reason": EndReason.COMPLETE,
        "api_format": ApiFormat.CHAT,
        "upstream_format": ApiFormat.CHAT,
        "model": "m",
        "upstream_model": "m",
        "provider": "local",
        "status_code": 200,
        "request_body": b'{"messages": []}',
        "response_body": ANSWER,
        "end_ns": 1_000_000,
        **fields,
    }
    sizes = {f"{name}_bytes": len(known[name]) for name in ("request_body", "response_body")}
    return CallRecord(**{**sizes, **known})


class Running:
    """A writer over a database of its own."""

    def __init__(self, path, bodies="full", predictor=None):
        self.path = path
        self.store = Store(path, sections.Query())
        self.inbox = Inbox()
        self.quarantine = Quarantine(path, keeps_content=True)
        self.switches = Switches(debug_mode=False, enable_cache_analysis=True)
        self.acks = []
        acknowledge = lambda gateway_id, last: self.acks.append((gateway_id, last))  # noqa: E731
        interpreter = Interpreter(PRICES, self.switches, bodies, predictor)
        self.writer = Writer(self.store, self.inbox, interpreter, self.switches, acknowledge)
        self.writer.start()
        self._last = 0

    async def add(self, *records):
        first, self._last = self._last + 1, self._last + len(records)
        await self.inbox.put(Batch("g", first, self._last, [encode(one) for one in records]))
        await self.ask("SELECT 1")  # they are committed

    async def ask(self, sql):
        """After everything that was put in before."""
        table = await self.writer.run(lambda connection: connection.execute(sql).to_arrow_table())
        return [tuple(row.values()) for row in table.to_pylist()]

    def retention(self, bodies=30 * DAY, calls=365 * DAY):
        return Retention(
            self.store, self.writer, self.quarantine, sections.Retention(bodies=bodies, calls=calls)
        )

    async def close(self):
        await self.writer.stop()
        self.store.close()


@contextlib.contextmanager
def largest_file(size_bytes):
    """No file can be written to beyond that size while the block runs: as on a full disk, writes fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def eventually(condition):
    """Waits until it holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - threads bring it about
            await asyncio.sleep(0.01)


@contextlib.contextmanager
def held(path):
    """Another process has the database while the block runs. Gives its id."""
    command = f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout.readline() == b"open\n"
        yield holder.pid
        holder.stdin.close()
