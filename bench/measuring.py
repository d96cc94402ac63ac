"""CPU time of a process while calls are made: so many at a time, each followed by the next.

A job enters, a sample leaves. What is measured is the process that makes the calls or, for nginx, the one
that they go through: its load comes from the upstream's process, which is awake anyway.
"""

import asyncio
import os
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import traffic
import upstream
import uvloop
from contenders import CONTENDERS, Call


@dataclass(frozen=True, slots=True)
class Job:
    """Calls for this target, for this time. Those that have begun by then are finished."""

    contender: str
    url: str
    ca_file: Path | None  # of the authority to trust, for TLS
    proxy_pid: int | None  # whose time counts, if it isn't that of the process which makes the calls
    target: bytes
    concurrency: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Of one job."""

    calls: int
    chunks: int
    cpu_s: float
    wall_s: float


def cpu_s(pid: int) -> float:
    """CPU time of a process so far, by the clock that its own time.process_time() reads."""
    return time.clock_gettime(~pid << 3 | 2)  # as the C library's clock_getcpuclockid() makes it, on Linux


def run(parent: Connection, core: int) -> None:
    """Do the parent's jobs, one after the other, until it has gone."""
    os.sched_setaffinity(0, {core})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, suppress(EOFError):
        while True:
            parent.send(runner.run(sample(parent.recv())))


def run_with_upstream(parent: Connection, core: int, pem_file: Path | None) -> None:
    """Serve at a port, which the parent is told, and do the parent's jobs, until it ends this process."""
    os.sched_setaffinity(0, {core})
    tls = None
    if pem_file is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(pem_file)

    async def serve() -> None:
        server = await upstream.listen(lambda head, _: traffic.answer(head), tls, is_awake=True)
        parent.send(upstream.port_of(server))
        while True:
            job = await asyncio.get_running_loop().run_in_executor(None, parent.recv)
            parent.send(await sample(job))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


async def sample(job: Job) -> Sample:
    """Of a client that was made for it, so that what the jobs before left open changes nothing."""
    tls = None if job.ca_file is None else ssl.create_default_context(cafile=job.ca_file)
    async with CONTENDERS[job.contender](job.url, tls) as call:
        # Dialling isn't measured: each connection is open before that begins.
        await asyncio.gather(*(call(traffic.CHAT_TARGET) for _ in range(job.concurrency)))
        return await _measured(call, job)


async def _measured(call: Call, job: Job) -> Sample:
    calls = chunks = 0
    pid = os.getpid() if job.proxy_pid is None else job.proxy_pid
    start_s, start_cpu_s = time.monotonic(), cpu_s(pid)

    async def call_on() -> None:
        nonlocal calls, chunks
        while time.monotonic() < start_s + job.seconds:
            received = await call(job.target)  # `chunks += await …` would read chunks before the call
            chunks += received
            calls += 1

    await asyncio.gather(*(call_on() for _ in range(job.concurrency)))
    return Sample(calls, chunks, cpu_s(pid) - start_cpu_s, time.monotonic() - start_s)
