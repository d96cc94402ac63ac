"""The console over a million calls: server time of each page, and what pages take from the rate of commits.

    uv run bench/console.py                    # about ten minutes; --calls 100000 is quicker

A collector of its own serves a database made by SQL. Each page is asked for in turns, so that none has the
machine in a better moment. CPU is the collector's, all its threads; it compares where wall time does not.
Then records come from a gateway's socket as fast as they are committed, in turns alone and with one page a
second.
"""

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import yaml
import zmq
from console_database import fill
from lessllm_collector.store import Store
from lessllm_shared import wire
from lessllm_shared.config.sections import Query
from lessllm_shared.record import ApiFormat, CallRecord, EndReason, encode, new_request_id
from measuring import cpu_s
from services import Services, inherited

_PAGES = (
    *("/?period=24h", "/?period=7d", "/?period=30d", "/console/calls", "/console/calls?model=gpt-5"),
    *("/console/calls/{call}", "/console/compare", "/console/suggestions", "/console/sql", "/console/system"),
)
_ALLOWED_MS = 200
_FRAME_RECORDS = 200
_WINDOW_RECORDS = 2000  # on their way to be committed
_ROUND_S = 10.0


def main() -> int:
    """0: every page's p95 is within what is allowed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=40, help="that each page is asked for")
    parser.add_argument("--rounds", type=int, default=4, help="of records alone and with pages")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lessllm-console-") as folder:
        services = Services(Path(folder), {}, {}, inherited())
        call = _make(services.database, options.calls)
        with _running(services):
            pages = [page.format(call=call) for page in _PAGES]
            is_fast = _time_pages(services, pages, options.times)
            _time_records(services, pages, options.rounds)
            services.collector.stop()
    return 0 if is_fast else 1


def _make(database: Path, calls: int) -> str:
    """Gives the id of one of them."""
    _say(f"making {calls:,} calls …")
    store = Store(database, Query())
    with store.cursor() as connection:
        fill(connection, calls=calls, days=62, until=datetime.now(UTC), seed=1)
        (call,) = connection.execute("SELECT request_id FROM internal.calls LIMIT 1 OFFSET 100").fetchall()[0]
    store.close()
    return str(call)


@contextmanager
def _running(services: Services) -> Iterator[None]:
    try:
        services.collector.start()
        yield
    finally:
        services.collector.kill()


def _time_pages(services: Services, pages: list[str], times: int) -> bool:
    found: dict[str, list[tuple[float, float]]] = {page: [] for page in pages}
    with httpx.Client(base_url=services.collector.url, trust_env=False, timeout=120) as client:
        for page in pages:
            client.get(page).raise_for_status()  # the first time, DuckDB reads from the disk
        for page in pages * times:
            begin_s, begin_cpu_s = time.perf_counter(), cpu_s(services.collector.pid)
            client.get(page).raise_for_status()
            took = (time.perf_counter() - begin_s, cpu_s(services.collector.pid) - begin_cpu_s)
            found[page].append(took)
    _say(f"\n{'page':<40}{'p50':>8}{'p95':>8}{'CPU':>8}   ms, of {times}")
    slowest = 0.0
    for page, took in found.items():
        walls = [wall * 1000 for wall, _ in took]
        p95 = statistics.quantiles(walls, n=20)[-1]
        slowest = max(slowest, p95)
        cpu_ms = statistics.fmean(cpu for _, cpu in took) * 1000
        _say(f"{page:<40}{statistics.median(walls):>8.0f}{p95:>8.0f}{cpu_ms:>8.0f}")
    return slowest <= _ALLOWED_MS


def _time_records(services: Services, pages: list[str], rounds: int) -> None:
    rates: dict[bool, list[float]] = {False: [], True: []}
    endpoint = yaml.safe_load(services.collector.config.read_text())["collector"]["endpoint"]
    with _sender(endpoint) as send:
        send(_ROUND_S / 2)  # until it is warm
        for _, with_pages in itertools.product(range(rounds), (False, True)):
            with _reading(services.collector.url, pages if with_pages else []):
                rates[with_pages].append(send(_ROUND_S))
    alone, beside = (statistics.median(rates[with_pages]) for with_pages in (False, True))
    ratios = [b / a for a, b in zip(rates[False], rates[True], strict=True)]
    _say(f"\nrecords committed a second: {alone:,.0f} alone, {beside:,.0f} with a page a second")
    _say(f"with / without, by pairs: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


@contextmanager
def _reading(url: str, pages: list[str]) -> Iterator[None]:
    """Somebody goes from page to page, one a second, while the block runs."""
    done = threading.Event()

    def read() -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=120) as client:
            for page in itertools.cycle(pages):
                if done.wait(1.0):
                    return
                client.get(page).raise_for_status()

    reader = threading.Thread(target=read) if pages else None
    if reader is not None:
        reader.start()
    yield
    done.set()
    if reader is not None:
        reader.join()


@contextmanager
def _sender(endpoint: str) -> Iterator[Callable[[float], float]]:
    """Sends records as a gateway does, as fast as they are committed. Gives how many a second."""
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(endpoint)
    sent = committed = 0

    def send(length_s: float) -> float:
        nonlocal sent, committed
        begin_s, before = time.perf_counter(), committed
        while time.perf_counter() - begin_s < length_s:
            while sent - committed < _WINDOW_RECORDS:
                frame = wire.Records("bench-console", sent + 1, [_record() for _ in range(_FRAME_RECORDS)])
                socket.send(wire.pack(frame))
                sent += _FRAME_RECORDS
            answer = wire.unpack_to_gateway(socket.recv())
            if isinstance(answer, wire.Ack):  # nothing else comes to the only one who sends
                committed = answer.committed
        return (committed - before) / (time.perf_counter() - begin_s)

    yield send
    socket.close()
    context.term()


def _record() -> bytes:
    """Of a chat call of 8 KB, different from all others."""
    request_id = new_request_id(time.time_ns())
    text = f"{request_id} where is my order? " * 150
    answer = {"model": "gpt-4o", "choices": [{"message": {"content": "Here."}}], "usage": _USAGE}
    request = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
    return encode(
        CallRecord(
            request_id=request_id,
            t0_unix_ns=time.time_ns(),
            end_reason=EndReason.COMPLETE,
            api_format=ApiFormat.CHAT,
            upstream_format=ApiFormat.CHAT,
            endpoint="/v1/chat/completions",
            model="gpt-4o",
            upstream_model="gpt-4o",
            provider="openai",
            status_code=200,
            request_body=json.dumps(request).encode(),
            response_body=json.dumps(answer).encode(),
            upstream_start_ns=1_000_000,
            upstream_headers_ns=90_000_000,
            upstream_end_ns=400_000_000,
            end_ns=400_000_000,
        )
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


_USAGE = {"prompt_tokens": 2000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 0}}

if __name__ == "__main__":
    sys.exit(main())
