"""`docker compose up` with the repository's files: containers, ports and volumes of a project of their own.

Its provider is ours, in a thread; containers reach it at host.docker.internal, as they would reach a model
server of this machine. Grafana is left out: its image is large, and no call passes it.
"""

import asyncio
import contextlib
import functools
import ipaddress
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import yaml
from e2e.processes import clean_environment, wait_for
from lessllm.simulator.app import create_app
from lessllm.simulator.running import configuration, listener

ROOT = Path(__file__).parents[2]
FILES = (ROOT / "docker-compose.yml", Path(__file__).with_name("docker-compose.test.yml"))
STARTED = ("nginx", "prometheus")  # and what they depend on
# An event that takes more than one of nginx's buffers (4 or 8 KB): with `proxy_buffering` it would pass on
# what fills them, and hold the rest back until more comes.
LONG = 10_000
COMMAND_S = 600  # the first time, images are built


def why_not() -> str | None:
    """What there is no engine for, if there is none."""
    try:
        ended = subprocess.run(
            ["docker", "compose", "version"], capture_output=True, text=True, timeout=30, check=False
        )
        if ended.returncode == 0:
            ended = subprocess.run(
                ["docker", "info"], capture_output=True, text=True, timeout=30, check=False
            )
    except FileNotFoundError:
        return "docker is not installed"
    return ended.stderr.partition("\n")[0] if ended.returncode else None


class Compose:
    """One project. Everything is gone when it is closed."""

    def __init__(self, folder: Path, provider_url: str) -> None:
        self._name = f"lessllm-test-{os.getpid()}"
        document = yaml.safe_load((ROOT / "deploy/compose/lessllm.yaml").read_text())
        document["providers"] = {
            "openai": {"base_url": f"{provider_url}/v1"},
            "held": {"format": "openai", "base_url": f"{provider_url}/held/v1", "api_key": "sk-held"},
        }
        folder.mkdir(mode=0o755)  # another user reads it, in the container
        (folder / "lessllm.yaml").write_text(yaml.safe_dump(document))
        self._environment = clean_environment() | {
            "LESSLLM_CONFIG_FOLDER": str(folder),
            "LESSLLM_PUBLISH": "127.0.0.1:0",
            "LESSLLM_ALLOW_ANYBODY": "true",
            "LESSLLM_COLLECTOR_PUBLISH": "127.0.0.1:0",
            "PROMETHEUS_PUBLISH": "127.0.0.1:0",
        }

    def up(self, gateways: int) -> None:
        """Returns when everything is healthy."""
        self("up", "--detach", "--wait", "--no-recreate", "--scale", f"gateway={gateways}", *STARTED)

    @functools.cache  # noqa: B019 - one project, one answer: containers that publish a port are not started again
    def url(self, service: str, port: int) -> str:
        """Where it is published."""
        return f"http://{self('port', service, str(port)).strip()}"

    def kill_one_gateway(self) -> None:
        """kill -9."""
        self._docker("kill", self.containers("gateway")[0])

    def containers(self, *services: str) -> list[str]:
        """Their ids, of those that run."""
        return self("ps", "--quiet", *services).split()

    def exit_codes(self) -> dict[str, int]:
        """Of all containers, by name."""
        ids = self("ps", "--all", "--quiet").split()
        states = json.loads(self._docker("inspect", *ids))
        return {state["Name"]: state["State"]["ExitCode"] for state in states}

    def rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        """The answer of the collector."""
        answer = httpx.post(
            f"{self.url('collector', 8001)}/query",
            json={"sql": sql, "params": params},
            trust_env=False,
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return [tuple(row) for row in answer.json()["rows"]]

    def logs(self) -> str:
        """What all containers said."""
        return self("logs", "--no-color")

    def close(self) -> None:
        """Containers, networks and volumes go."""
        self("down", "--volumes", "--timeout", "0")

    def __call__(self, *arguments: str) -> str:
        files = (part for file in FILES for part in ("--file", str(file)))
        return self._docker("compose", "--project-name", self._name, *files, *arguments)

    def _docker(self, *arguments: str) -> str:
        ended = subprocess.run(
            ["docker", *arguments],
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
            env=self._environment,
        )
        assert ended.returncode == 0, f"docker {' '.join(arguments)}:\n{ended.stderr}"
        return ended.stdout


class Provider:
    """The simulated one, and at /held a stream whose second half waits."""

    def __init__(self) -> None:
        self.is_let_go = threading.Event()
        self._simulated = create_app(time_scale=0.1)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") != "/held/v1/chat/completions":
            await self._simulated(scope, receive, send)
            return
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        first = _chunk("first" + "." * LONG)
        await send({"type": "http.response.body", "body": first, "more_body": True})
        await asyncio.to_thread(self.is_let_go.wait)
        await send({"type": "http.response.body", "body": _chunk("second") + b"data: [DONE]\n\n"})


def _chunk(content: str) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "held", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


@contextlib.contextmanager
def running_provider() -> Iterator[tuple[Provider, str]]:
    """While the block runs, and where containers find it."""
    (bridge,) = json.loads(subprocess.check_output(["docker", "network", "inspect", "bridge"]))
    addresses = bridge["IPAM"]["Config"][0]
    host = addresses.get("Gateway") or str(
        ipaddress.ip_network(addresses["Subnet"])[1]
    )  # older ones don't say
    provider = Provider()
    with listener(0, host) as listening:
        server = uvicorn.Server(configuration(provider))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            wait_for(lambda: server.started, "the provider to start")
            yield provider, f"http://host.docker.internal:{listening.getsockname()[1]}"
        finally:
            provider.is_let_go.set()
            server.should_exit = True
            thread.join()
