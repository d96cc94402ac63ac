"""What the processes of both services begin with: arguments, the configuration, a port, an end.

Whatever can't be done is said in one line on stderr, with the exit code 1 (could not start) or 2 (the
configuration is wrong).
"""

import argparse
import atexit
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from lessllm_shared.config import ConfigError, load, read_document
from lessllm_shared.config.load import Settings, parse_document

_LAST_S = 2

SettingsT = TypeVar("SettingsT", bound=Settings)


def keep_private() -> None:
    """What this process makes, such as a database or a spool, is its user's alone: it holds prompts."""
    os.umask(0o077)


def settings_from_arguments(settings: type[SettingsT], *, name: str, does: str) -> SettingsT:
    """The configuration that the command line names, and the environment."""
    parser = argparse.ArgumentParser(
        prog=f"lessllm-{name}",
        description=does,
        epilog=f"Every setting is also an environment variable, such as LESSLLM_{name.upper()}__PORT.",
    )
    parser.add_argument("--config", metavar="FILE", help="lessllm.yaml; - reads it from standard input")
    try:
        return load(settings, _document(parser.parse_args().config))
    except ConfigError as error:
        fail(name, f"configuration: {error}", exit_code=2)


def listen(name: str, host: str, port: int) -> socket.socket:
    """A listening socket. Bound here rather than by uvicorn, to say in one line why it can't be."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        fail(name, f"can't listen on {host}:{port}: {reason}; set {name}.port to a free one")


def end_on_signals() -> None:
    """SIGTERM and SIGINT end the process with exit code 0.

    uvicorn catches them while it runs, stops in order, and then lets them have their own effect. An exit
    that is raised in a callback of the interpreter's own gets lost: then the alarm ends the process.
    """
    atexit.register(signal.alarm, 0)  # it was not lost, and nobody handles an alarm from here on
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))

    def end(*_: object) -> None:
        signal.alarm(_LAST_S)
        sys.exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def fail(name: str, reason: str, *, exit_code: int = 1) -> NoReturn:
    """Say why, and end."""
    print(f"lessllm-{name}: {reason}", file=sys.stderr)  # noqa: T201 - a process's last words
    sys.exit(exit_code)


def _document(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    if path == "-":
        return parse_document(sys.stdin.read(), source="standard input")
    return read_document(Path(path))
