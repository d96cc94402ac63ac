"""The real services as processes, for one run: a gateway and a collector with a folder of their own.

A configuration enters; processes leave that can be ended, killed, held up and started again. They listen on
free ports of loopback, get none of the caller's LESSLLM_ settings, keys and proxies, and end with the block.
"""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

START_S = 120.0
STOP_S = 60.0


@dataclass(slots=True)
class Service:
    """One of the two. `start` comes first."""

    name: str
    port: int
    config: Path
    cores: set[int] | None  # None: any
    environment: Mapping[str, str]
    log: Path = field(init=False)
    _process: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        self.log = self.config.with_name(f"{self.name}.log")

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        return self._running.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Returns when it is ready."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Returns at once."""
        command: list[str | Path] = [sys.executable, "-m", f"lessllm_{self.name}", "--config", self.config]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self.environment
            )
        if self.cores is not None:
            os.sched_setaffinity(self.pid, self.cores)

    def wait_until_ready(self) -> None:
        """Raises RuntimeError if it does not get there."""
        deadline_s = time.monotonic() + START_S
        while not self._is_ready():
            if not self.is_running or time.monotonic() > deadline_s:
                raise RuntimeError(f"the {self.name} did not start:\n{self.log.read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """SIGTERM. Raises RuntimeError if it does not end well."""
        process = self._running
        process.terminate()
        exit_code = process.wait(STOP_S)
        if exit_code != 0:
            raise RuntimeError(f"the {self.name} ended with {exit_code}:\n{self.log.read_text()}")

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)

    def metric(self, name: str, labels: str | None = None) -> float:
        """As the service says; without labels the sum over all."""
        text = httpx.get(f"{self.url}/metrics", trust_env=False, timeout=STOP_S).text
        wanted = r"(?:\{.*\})?" if labels is None else re.escape(labels)
        found = re.findall(rf"^{name}{wanted} (\S+)$", text, re.MULTILINE)
        return sum(map(float, found))

    def hold_up(self) -> None:
        """It stands still, with its connections open, until `go_on`."""
        self._running.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """It does what it has missed."""
        self._running.send_signal(signal.SIGCONT)

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError(f"the {self.name} was not started")
        return self._process

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False, timeout=START_S).status_code == 200
        except httpx.TransportError:
            return False


class Services:
    """Both."""

    def __init__(
        self,
        folder: Path,
        document: Mapping[str, Any],
        cores: Mapping[str, set[int]],
        environment: Mapping[str, str],
    ) -> None:
        self.database = folder / "calls.duckdb"
        self.spool = folder / "calls.duckdb.spool"
        config = folder / "lessllm.yaml"
        gateway_port, collector_port, records_port = free_ports(3)
        own: dict[str, dict[str, Any]] = {
            "gateway": {"port": gateway_port},
            "collector": {"port": collector_port, "endpoint": f"tcp://127.0.0.1:{records_port}"},
            "logging": {"db_path": str(self.database)},
        }
        merged = {**document, **{name: {**document.get(name, {}), **own[name]} for name in own}}
        config.write_text(yaml.safe_dump(merged))
        environment = {**inherited(), **environment}
        self.gateway = Service("gateway", gateway_port, config, cores.get("gateway"), environment)
        self.collector = Service("collector", collector_port, config, cores.get("collector"), environment)

    def flush(self, timeout_s: float) -> None:
        """Returns when every call so far is a row. Raises RuntimeError."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            answer = httpx.post(
                f"{self.gateway.url}/flush", params={"timeout_s": 5}, trust_env=False, timeout=STOP_S
            ).json()
            if answer["flushed"]:
                return
            if time.monotonic() > deadline_s:
                raise RuntimeError(
                    f"after {timeout_s:g} s {answer['pending']} records wait for the collector"
                )

    def wait_for_no_connection(self) -> None:
        """Returns when the gateway has closed what it kept. No call must be under way."""
        while self.gateway.metric("lessllm_gateway_connections"):
            time.sleep(0.1)

    def query(self, sql: str, *params: object) -> list[list[Any]]:
        """The rows of an answer."""
        response = httpx.post(
            f"{self.collector.url}/query",
            json={"sql": sql, "params": params},
            trust_env=False,
            timeout=STOP_S,
        )
        response.raise_for_status()
        answer = response.json()
        if answer["truncated"]:
            raise RuntimeError(f"more rows than a query may have: {sql}")
        rows: list[list[Any]] = answer["rows"]
        return rows

    def request_ids(self) -> Iterator[str]:
        """Of all rows, as often as they are there."""
        last = ""
        while rows := self.query(_IDS, last):
            for request_id, times in rows:
                yield from [request_id] * times
            last = rows[-1][0]


@contextmanager
def running(
    folder: Path,
    document: Mapping[str, Any],
    *,
    cores: Mapping[str, set[int]] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Services]:
    """Both, in a folder that is there and empty, while the block runs."""
    services = Services(folder, document, cores or {}, environment or {})
    try:
        services.collector.start()
        services.gateway.start()
        yield services
        services.gateway.stop()
        services.collector.stop()
    finally:
        services.gateway.kill()
        services.collector.kill()


def free_ports(count: int) -> list[int]:
    """So many. Below those of outgoing connections: a service that was away finds its own still free."""
    ports: set[int] = set()
    while len(ports) < count:
        port = random.randrange(20_000, 32_000)  # noqa: S311 - no secret
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.add(port)
    return list(ports)


def inherited() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith(("_api_key", "_proxy")) and not name.startswith("LESSLLM_")
    }


_IDS = (
    "SELECT request_id, count(*) FROM api_calls WHERE request_id > ?"
    " GROUP BY request_id ORDER BY request_id LIMIT 50000"
)
