"""A real proxy that others wrote, as processes on loopback, and what its own log says of who went through it.

A command enters, a Proxy leaves: its kind, its port, its user, how a configuration names it, and the line
that proves a call. Passwords hold a canary, and only what was started here is ever ended.
"""

import base64
import contextlib
import os
import re
import secrets
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from e2e.processes import STOP_S, Process, free_port, launch, wait_until_ready
from e2e.upstream import Certificate

USER = f"less-{secrets.token_hex(3)}"  # of this process: dante asks the system, which others ask too
CANARY = f"CANARY{secrets.token_hex(8)}"  # in every password: nothing of ours may ever show it
# … plain, or as Proxy-Authorization holds it: 12 + 21 characters, the part that no password's end changes.
CREDENTIALS = (CANARY, base64.b64encode(f"{USER}:{CANARY}".encode()[:33]).decode())
PASSWORD = f"{CANARY}:@/%#"  # has to be quoted in a URL
PLAIN_PASSWORD = f"{CANARY}-x"  # for those whose configuration takes no other characters
FORBIDDEN_PORT = free_port()  # squid and dante open no way to it


def shown_credentials(text: str) -> list[str]:
    """What must not be there: in a record, a log, an error, a metric."""
    return [secret for secret in CREDENTIALS if secret in text]


class Program:
    """A proxy's processes: they are a group, which is killed as one."""

    def __init__(self, name: str, command: list[str | Path], port: int, folder: Path) -> None:
        self._launch = lambda: launch(name, ["setsid", *command], port, folder)
        self.log = folder / f"{name}.log"
        self.start()

    def start(self) -> None:
        """At its port, again."""
        self._process: Process = self._launch()
        wait_until_ready(self._process, None)

    def kill(self) -> None:
        """kill -9, for all of them. Its connections break; its port refuses."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.popen.pid, signal.SIGKILL)
        self._process.kill()

    def stop(self) -> None:
        """As it likes to be stopped, so that it looks after its children, or else by force."""
        self._process.popen.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.popen.wait(STOP_S)
        self.kill()


@dataclass(frozen=True, slots=True)
class Proxy:
    """A program's port, as one kind of proxy."""

    kind: str  # the scheme of its URL
    port: int
    program: Program
    tunnel: str  # what its log says of a tunnel to {host} and {port}: a pattern
    forward: str = ""  # … and of a plain request; "": all it makes is tunnels
    keeps_alive: bool = True  # the connection, after a plain request
    logs_requests: bool = True  # each plain one; False: only the first of a connection
    password: str | None = None
    access_log: Path | None = None  # if it isn't what the program prints
    ca_file: Path | None = None  # of the certificate that it shows

    @property
    def route(self) -> str:
        """Its URL, as a record may show it."""
        return f"{self.kind}://127.0.0.1:{self.port}"

    def url(self, host: str = "127.0.0.1", password: str | None = None) -> str:
        """Its URL with user and password, if it wants them."""
        password = password or self.password
        user = f"{USER}:{quote(password, safe='')}@" if password else ""
        return f"{self.kind}://{user}{host}:{self.port}"

    def settings(self, url: str | None = None) -> dict[str, Any]:
        """The section `proxy` of lessllm.yaml: with that URL, or else with `auth` beside one."""
        name = "socks_proxy" if self.kind.startswith("socks") else "http_proxy"
        section: dict[str, Any] = {name: url or self.route}
        if url is None and self.password is not None:
            section["auth"] = {"username": USER, "password": self.password}
        if self.ca_file is not None:
            section["tls"] = {"ca_file": str(self.ca_file)}
        return section

    def is_tunnel(self, scheme: str) -> bool:
        """Whether upstreams of this scheme are reached by a tunnel through it, not by a request to it."""
        return scheme == "https" or not self.forward

    def log_size(self) -> int:
        """Where its log goes on."""
        log = self._log
        return log.stat().st_size if log.exists() else 0

    def count(self, host: str, port: int, *, scheme: str, since: int) -> int:
        """How many of the lines say that an upstream was reached through it."""
        pattern = self.tunnel if self.is_tunnel(scheme) else self.forward
        line = pattern.format(host=re.escape(host), port=port, user=USER if self.password else "-")
        text = self._log.read_bytes()[since:].decode() if self._log.exists() else ""
        return len(re.findall(line, text, re.MULTILINE))

    @property
    def _log(self) -> Path:
        return self.access_log or self.program.log


Proxies = dict[str, Proxy]


@dataclass(frozen=True, slots=True)
class Bench:
    """Where programs are started: a folder that whoever they become may read."""

    folder: Path
    certificate: Certificate
    stack: contextlib.ExitStack

    def start(self, name: str, command: list[str | Path], port: int) -> Program:
        program = Program(name, command, port, self.folder)
        self.stack.callback(program.stop)
        return program

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path
