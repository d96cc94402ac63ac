"""A gateway as the machine sees it: a process with all that it starts, their CPU time, memory and files.

Everything comes from /proc, so that it holds for any program, and on a machine that others use as well.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vitals import vitals

START_S = 240.0
STOP_S = 10.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Stat:
    """What /proc/PID/stat says."""

    parent: int
    cpu_ticks: int  # its own and that of children which have ended


@dataclass(frozen=True, slots=True)
class Tree:
    """A process and its descendants."""

    root: int

    def pids(self) -> list[int]:
        """Of those that run now."""
        parents = {pid: stat.parent for pid, stat in _all().items()}
        return descendants(self.root, parents)

    def cpu_s(self) -> float:
        """CPU time so far, to 10 ms."""
        stats = _all()
        pids = descendants(self.root, {pid: stat.parent for pid, stat in stats.items()})
        return sum(stats[pid].cpu_ticks for pid in pids if pid in stats) / _TICKS_PER_S

    def rss_mb(self) -> float:
        """Memory. Pages that several processes share count for each."""
        found = [vitals(pid) for pid in self.pids()]
        return sum(held.rss_mb for held in found if held is not None)

    def hold_up(self) -> None:
        """They stand still until `go_on`."""
        self.send(signal.SIGSTOP)

    def go_on(self) -> None:
        """They do what they missed."""
        self.send(signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        """A signal to all."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def stat_of(text: str) -> Stat:
    """From the content of /proc/PID/stat. A program's name may hold spaces and brackets."""
    fields = text.rpartition(")")[2].split()
    return Stat(int(fields[1]), sum(map(int, fields[11:15])))


def descendants(root: int, parents: Mapping[int, int]) -> list[int]:
    """The root and all below it, by each process's parent."""
    found = [root]
    for above in found:
        found += [pid for pid, parent in parents.items() if parent == above]
    return found


@contextmanager
def running(
    command: Sequence[str | Path],
    is_ready: Callable[[], bool],
    *,
    log: Path,
    cores: set[int],
    environment: Mapping[str, str] | None = None,
) -> Iterator[Tree]:
    """A program, on these cores from its first moment, once it is ready. Ends with the block."""

    def place() -> None:
        os.sched_setaffinity(0, cores)

    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=log.parent,
            preexec_fn=place,  # noqa: PLW1509 - no threads run here yet
        )
    tree = Tree(process.pid)
    try:
        _wait(process, is_ready, log)
        yield tree
    finally:
        tree.go_on()
        below = tree.pids()[1:]
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        for pid in below:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()


def is_listening(port: int) -> bool:
    """As /proc/net says: to some servers a connection would be a call."""
    wanted = f":{port:04X}"
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if local.endswith(wanted) and state == "0A":
                return True
    return False


def _wait(process: "subprocess.Popen[bytes]", is_ready: Callable[[], bool], log: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline_s:
            last = log.read_text(errors="replace").strip().splitlines()[-5:]
            raise RuntimeError("it did not start: " + " / ".join(last))
        time.sleep(0.05)


def _all() -> dict[int, Stat]:
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                found[int(folder.name)] = stat_of((folder / "stat").read_text())
    return found
