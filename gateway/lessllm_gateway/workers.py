"""Several gateways at one port, each a process with records, spool folder and connections of its own.

They are forked before anything is open but the port, which they share: who is free takes the next connection,
and what waits there outlives each of them. One that dies is started again; one that can't start at first ends
all. SIGTERM and SIGINT stop all, and so does the end of this process, however it comes.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from lessllm_shared.service import end_on_signals

FIRST_PAUSE_S, LAST_PAUSE_S = (
    0.2,
    30.0,
)  # before one that died is started again: longer for one that dies soon
POLL_S = 0.05
STEADY_S = 60.0  # who ran so long did not die soon

Work = Callable[
    [int, Callable[[], None]], None
]  # what a worker does: its number, and what to call when ready

_STOPPING = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger(__name__)


class Workers:
    """So many, numbered from 0."""

    def __init__(self, count: int, work: Work) -> None:
        self._count = count
        self._work = work
        self._running: dict[int, tuple[int, float]] = {}  # by process id: which worker, and since when
        self._pauses_s = [FIRST_PAUSE_S] * count
        self._is_stopping = False
        self._lifeline, self._held = os.pipe()  # nobody writes to it: its end is this process's

    def run(self) -> int:
        """Returns when all have ended: 0, or the exit code of one that could not start."""
        for number in _STOPPING:
            signal.signal(number, lambda *_: self._stop())
        code = self._start_all()
        while self._running and not code:
            worker, since_s, how = self._ended()
            if not self._is_stopping:
                self._start_again(worker, since_s, how)
        self._stop()
        while self._running:
            self._ended()
        return code

    def _start_all(self) -> int:
        """One after the other, so that what is wrong is said once."""
        for worker in range(self._count):
            if not self._is_stopping and not self._start(worker):
                _, _, code = self._ended()
                return 0 if self._is_stopping else max(code, 1)
        return 0

    def _start_again(self, worker: int, since_s: float, how: int) -> None:
        pause_s = FIRST_PAUSE_S
        if time.monotonic() - since_s < STEADY_S:
            pause_s = self._pauses_s[worker]
        self._pauses_s[worker] = min(2 * pause_s, LAST_PAUSE_S)
        ending = f"was ended by {signal.Signals(-how).name}" if how < 0 else f"ended with exit code {how}"
        log.error("worker %d %s; starting it again in %g s", worker, ending, pause_s)
        again_s = time.monotonic() + pause_s
        while time.monotonic() < again_s and not self._is_stopping:
            time.sleep(POLL_S)
        if not self._is_stopping and self._start(worker):
            log.info("worker %d is ready again", worker)

    def _start(self, worker: int) -> bool:
        """Returns when it is ready. False: it ended before."""
        ready, tell = os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)  # none may be lost, nor find ours in the child
        pid = os.fork()
        if not pid:
            os.close(ready)
            self._become(worker, tell)
        self._running[pid] = worker, time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
        os.close(tell)
        with os.fdopen(ready, "rb") as telling:
            return bool(telling.read(1))

    def _become(self, worker: int, tell: int) -> NoReturn:
        """The rest of a new process."""
        code = 1
        try:
            os.close(self._held)
            end_on_signals()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
            threading.Thread(target=_end_with_parent, args=(self._lifeline,), daemon=True).start()
            self._work(worker, lambda: _say_ready(tell))
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            log.exception("worker %d failed", worker)
        finally:
            os._exit(code)

    def _ended(self) -> tuple[int, float, int]:
        """Waits until one has: which, since when it ran, its exit code or, negative, the signal's number."""
        pid, status = os.waitpid(-1, 0)
        worker, since_s = self._running.pop(pid)
        return worker, since_s, os.waitstatus_to_exitcode(status)

    def _stop(self) -> None:
        self._is_stopping = True
        for pid in tuple(self._running):
            os.kill(pid, signal.SIGTERM)


def _say_ready(tell: int) -> None:
    os.write(tell, b"1")
    os.close(tell)


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
