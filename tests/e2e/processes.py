"""Real processes for the tests: started on free ports, waited for, stopped by SIGTERM, and judged.

A command enters, a Process leaves that answers at its port. One of ours that logs a traceback, or does not
end with exit code 0 when it is asked to, fails the test. Only what was started here is ever ended.
"""

import contextlib
import http.client
import itertools
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow.ipc
import yaml
from e2e.forks import Fork, fork_server

START_S = 30.0
STOP_S = 30.0


@dataclass
class Process:
    """A process that was ready once."""

    name: str
    port: int
    popen: "subprocess.Popen[bytes] | Fork"
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """kill -9."""
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(STOP_S)

    def stop(self) -> None:
        """SIGTERM; fails if that is not the end of it, or if the log holds a traceback."""
        self.popen.send_signal(signal.SIGTERM)
        exit_code = self.popen.wait(STOP_S)
        log = self.log.read_text()
        assert "Traceback" not in log, f"{self.name} logged:\n{log}"
        assert exit_code == 0, f"{self.name} ended with {exit_code}:\n{log}"


def launch(name: str, command: Sequence[str | Path], port: int, folder: Path) -> Process:
    """Start a command that will answer at `port`."""
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        popen = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=clean_environment()
        )
    return Process(name, port, popen, log)


def launch_service(name: str, service: str, config: Path, port: int, folder: Path) -> Process:
    """Start `gateway` or `collector`, of which several may run under names of their own."""
    log = folder / f"{name}.log"
    server = fork_server(f"lessllm_{service}.service")
    return Process(name, port, server.start(["--config", str(config)], clean_environment(), log), log)


def wait_until_ready(process: Process, path: str | None) -> None:
    """Returns when the process answers 200 at the path, or answers at all (None); else fails."""
    popen, port = process.popen, process.port
    try:
        wait_for(
            lambda: popen.poll() is not None or (answers(port, path) if path else _accepts(port)),
            f"{process.name} to be ready",
        )
        assert popen.poll() is None, f"{process.name} ended with {popen.poll()}:\n{process.log.read_text()}"
    except BaseException:
        process.kill()
        raise


@contextlib.contextmanager
def running(
    name: str, command: Sequence[str | Path], port: int, folder: Path, ready: str | None = None
) -> Iterator[Process]:
    """A process that is not ours, while the block runs: how it ends is not judged."""
    process = launch(name, command, port, folder)
    wait_until_ready(process, ready)
    try:
        yield process
    finally:
        process.popen.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.popen.wait(STOP_S)
        process.kill()


class Services:
    """A gateway and a collector with one configuration and a database of their own."""

    def __init__(self, folder: Path, document: dict[str, Any]) -> None:
        self.folder = folder
        self.database = Path(document.get("logging", {}).get("db_path", folder / "calls.duckdb"))
        self._config = folder / "lessllm.yaml"
        self._ports = {"gateway": free_port(), "collector": free_port()}
        self.records_port = free_port()  # where the collector takes them
        own = {
            "gateway": {"port": self._ports["gateway"]},
            "collector": {
                "port": self._ports["collector"],
                "endpoint": f"tcp://127.0.0.1:{self.records_port}",
            },
            "logging": {"db_path": str(self.database)},
        }
        merged = {**document, **{name: {**document.get(name, {}), **own[name]} for name in own}}
        self._config.write_text(yaml.safe_dump(merged))
        self._processes: dict[str, Process] = {}
        self._http = httpx.Client(trust_env=False, timeout=30)

    @property
    def gateway(self) -> Process:
        return self._processes["gateway"]

    @property
    def collector(self) -> Process:
        return self._processes["collector"]

    def start(self, *names: str, ready: str = "/readyz") -> None:
        """Start these services, and wait until they answer 200 at that path."""
        for name in names:
            port = self._ports[name]
            self._processes[name] = launch_service(name, name, self._config, port, self.folder)
        for name in names:
            wait_until_ready(self._processes[name], ready)

    def configure(self, section: str, **settings: Any) -> None:
        """Other settings, for what is started from now on."""
        document = yaml.safe_load(self._config.read_text())
        document[section].update(settings)
        self._config.write_text(yaml.safe_dump(document))

    def flush(self) -> None:
        """Wait until every call so far is a row."""
        answer = self._http.post(f"{self.gateway.url}/flush", params={"timeout_s": 20}).json()
        assert answer["flushed"], answer

    def rows(self, sql: str, *params: Any) -> list[dict[str, Any]]:
        """The answer to a query that sees every call so far."""
        self.flush()
        response = self._http.post(
            f"{self.collector.url}/query",
            json={"sql": sql, "params": list(params)},
            headers={"accept": "application/vnd.apache.arrow.stream"},
        )
        assert response.status_code == 200, response.text
        rows: list[dict[str, Any]] = pyarrow.ipc.open_stream(response.content).read_all().to_pylist()
        return rows

    def row(self, sql: str = "SELECT * FROM api_calls", *params: Any) -> dict[str, Any]:
        """The one row of a query."""
        (row,) = self.rows(sql, *params)
        return row

    def stop(self) -> None:
        """The gateway first: it hands its last records over."""
        try:
            self.gateway.stop()
            self.collector.stop()
        finally:
            self.kill()

    def kill(self) -> None:
        """kill -9 for what runs."""
        self._http.close()
        for process in self._processes.values():
            process.kill()


@contextlib.contextmanager
def running_services(folder: Path, document: dict[str, Any]) -> Iterator[Services]:
    """Both services while the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    services = Services(folder, document)
    try:
        services.start("collector", "gateway")
        yield services
    except BaseException:
        services.kill()
        raise
    services.stop()


def free_port() -> int:
    """A port that nobody uses, and that is given to nobody else."""
    while True:
        port = next(_PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _ports() -> Iterator[int]:
    """Below those that the system gives to outgoing connections. Each process of pytest-xdist has its own."""
    first = 20_000 + 3_000 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 4)
    return itertools.cycle(random.sample(range(first, first + 3_000), 3_000))


_PORTS = _ports()


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = START_S) -> None:
    """Fails when the condition does not come true."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.02)


def clean_environment() -> dict[str, str]:
    """The environment without a developer's keys, proxies and settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith(("_api_key", "_proxy")) and not name.startswith("LESSLLM_")
    }


def answers(port: int, path: str) -> bool:
    """Whether GET is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STOP_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
