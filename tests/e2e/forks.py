"""Services that begin with everything imported: forks of a process that did that, and does nothing else.

A service imports for a second and the tests start hundreds. What runs is its own `main`; the commands
themselves are what tests/{gateway,collector}/test_service.py start, and `lessllm server`. Each service has a
process of its own here, since neither imports the other.
"""

import atexit
import functools
import importlib
import json
import os
import select
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Fork:
    """What `subprocess.Popen` is to a child of ours, to a child of a fork server."""

    def __init__(self, server: "ForkServer", pid: int) -> None:
        self.pid = pid
        self._server = server
        self._descriptor = os.pidfd_open(pid)
        self._exit_code: int | None = None

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._exit_code if self._has_ended(0) else None

    def wait(self, timeout: float) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        if not self._has_ended(timeout):
            raise subprocess.TimeoutExpired(f"fork {self.pid}", timeout)
        assert self._exit_code is not None
        return self._exit_code

    def send_signal(self, number: int) -> None:
        """Nothing if it has ended: its number may be another's by now."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _has_ended(self, timeout_s: float) -> bool:
        if self._exit_code is None and select.select([self._descriptor], [], [], timeout_s)[0]:
            os.close(self._descriptor)
            self._exit_code = self._server.ask({"ended": self.pid})
        return self._exit_code is not None


class ForkServer:
    """A process that has imported a module and forks when it is asked to. Threads may share it."""

    def __init__(self, module: str) -> None:
        command = [sys.executable, "-P", __file__, module]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._turn = threading.Lock()
        atexit.register(self._end)

    def start(self, arguments: list[str], environment: dict[str, str], log: Path) -> Fork:
        """The module's `main`, with these arguments."""
        request = {"arguments": arguments, "environment": environment, "log": str(log)}
        return Fork(self, self.ask(request))

    def ask(self, request: dict[str, Any]) -> int:
        """Its answer: the number of the process that it started, or the exit code of one that has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        assert answer, "the process that forks has ended; why is said above"
        return int(answer)

    def _end(self) -> None:
        self._process.communicate()


@functools.cache
def fork_server(module: str) -> ForkServer:
    """The one of this test process."""
    return ForkServer(module)


def _next_fork() -> dict[str, Any]:
    """Returns once in every fork, with what it was asked for; the server itself stays in here."""
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        if "ended" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["ended"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                return request
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
    sys.exit()


def _main() -> None:
    service = importlib.import_module(sys.argv[1])
    request = _next_fork()
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for descriptor, number in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, number)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[1:] = request["arguments"]
    os._exit(_exit_code(service.main))  # DuckDB's import began a thread, which no fork has and an exit joins


def _exit_code(main: Callable[[], None]) -> int:
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    _main()
