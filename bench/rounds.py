"""A run: the upstream, nginx and a process for each contender are started, and the contenders take turns.

What leaves are the samples of each round, and how busy others kept the machine meanwhile. All that was
started ends with the run.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import machine
import measuring
import nginx
import traffic
import trustme
from contenders import CONTENDERS
from figures import Kind, Round
from measuring import Job

# Before each chunk, by concurrency: the slowest contender is done with a chunk of each stream sooner.
PAUSES_S = {1: 0.0003, 64: 0.01}
_spawning = get_context("spawn")


@dataclass(frozen=True, slots=True)
class Run:
    """What came of it."""

    rounds: list[Round]
    others_cores: float  # that others kept busy, on average


@dataclass(frozen=True, slots=True)
class _Child:
    pid: int
    pipe: Connection


@dataclass(frozen=True, slots=True)
class _Contender:
    pipe: Connection  # to whoever makes its calls
    job: Callable[[bytes, int, float], Job]  # from target, concurrency and seconds


def run(count: int, seconds: float, *, tls: bool, tell: Callable[[str], None]) -> Run:
    """So many rounds, with so much time for each sample. `tell` hears of the progress."""
    with ExitStack() as stack:
        contenders, pids = _start(stack, tls=tls)
        pids.append(os.getpid())
        start_s, start_busy_s = time.monotonic(), machine.busy_s() - sum(map(measuring.cpu_s, pids))
        rounds = []
        for number in range(1, count + 1):
            tell(f"round {number} of {count}:")
            rounds.append(_round(contenders, seconds, tell))
            tell("\n")
        others_s = machine.busy_s() - sum(map(measuring.cpu_s, pids)) - start_busy_s
        return Run(rounds, max(0.0, others_s) / (time.monotonic() - start_s))


def _start(stack: ExitStack, *, tls: bool) -> tuple[dict[str, _Contender], list[int]]:
    """The contenders, and all processes that were started."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
    pem_file, ca_file = _certificate(folder) if tls else (None, None)
    cores = sorted(os.sched_getaffinity(0))
    upstream_core, measured_core = cores[0], cores[-1]
    served = stack.enter_context(_child(measuring.run_with_upstream, upstream_core, pem_file))
    url = f"{'https' if tls else 'http'}://127.0.0.1:{served.pipe.recv()}"
    pids = [served.pid]
    contenders = {}
    for name in CONTENDERS:
        child = stack.enter_context(_child(measuring.run, measured_core))
        pids.append(child.pid)
        contenders[name] = _Contender(child.pipe, partial(Job, name, url, ca_file, None))
    if nginx.program() is not None:
        proxy = stack.enter_context(nginx.running(url, measured_core))
        pids.append(proxy.pid)
        contenders["nginx"] = _Contender(served.pipe, partial(Job, "bare", proxy.url, None, proxy.pid))
    return contenders, pids


def _round(contenders: dict[str, _Contender], seconds: float, tell: Callable[[str], None]) -> Round:
    samples: Round = {}
    for name, contender in contenders.items():
        tell(f" {name}")
        for concurrency, pause_s in PAUSES_S.items():
            targets: dict[Kind, bytes] = {
                "chat": traffic.CHAT_TARGET,
                "stream": traffic.stream_target(pause_s),
            }
            for kind, target in targets.items():
                try:
                    contender.pipe.send(contender.job(target, concurrency, seconds))
                    samples[name, kind, concurrency] = contender.pipe.recv()
                except (EOFError, BrokenPipeError):
                    raise RuntimeError(f"{name} has failed; why is said above") from None
    return samples


@contextmanager
def _child(run: Callable[..., None], *arguments: Any) -> Iterator[_Child]:
    """A process with a pipe to it, while the block runs."""
    pipe, its_pipe = _spawning.Pipe()
    process = _spawning.Process(target=run, args=(its_pipe, *arguments), daemon=True)
    process.start()
    its_pipe.close()  # so that the pipe ends with the process
    try:
        assert process.pid is not None  # noqa: S101 - it is started
        yield _Child(process.pid, pipe)
    finally:
        process.terminate()
        process.join()
        pipe.close()


def _certificate(folder: Path) -> tuple[Path, Path]:
    """For the upstream, of an authority for this run alone."""
    pem_file, ca_file = folder / "server.pem", folder / "ca.pem"
    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca_file)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem_file)
    return pem_file, ca_file
