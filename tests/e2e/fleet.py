"""Three gateways and a collector, a link between each of them, and clients that keep calling.

A link is a relay of TCP that can be cut (what is connected ends, nobody connects) or stalled (nothing moves).
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from e2e.processes import Process, free_port, launch_service, wait_until_ready

SPOOLS = ("overflow", "always", "overflow")  # of each gateway
GATEWAYS = tuple(f"gateway{number}" for number in range(len(SPOOLS)))
KEY = {"authorization": "Bearer sk-someone"}
WORKERS = 6  # a gateway
AGAIN_S = 0.02  # after a call that reached nobody


class Link:
    """From a port of its own to another one."""

    def __init__(self, to_port: int) -> None:
        self.port = free_port()
        self._to_port = to_port
        self._moves = asyncio.Event()
        self._moves.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def mend(self) -> None:
        """It works."""
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self._moves.set()

    def stall(self) -> None:
        """Nothing moves, nobody is told."""
        self._moves.clear()

    async def cut(self) -> None:
        """Whoever is connected is told so by the kernel, and nobody connects any more."""
        if self._server is not None:
            self._server.close()
        self._server = None
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.CancelledError), contextlib.closing(writer):
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
            with contextlib.closing(there_writer):
                ways = ((reader, there_writer), (there_reader, writer))
                copying = [asyncio.create_task(self._copy(*way)) for way in ways]
                try:
                    await asyncio.wait(copying, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for copy in copying:
                        copy.cancel()
                    await asyncio.gather(*copying, return_exceptions=True)
        self._tasks.discard(task)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._moves.wait()
            writer.write(data)
            await writer.drain()


class Fleet:
    """The processes. Made on a running loop; what is started ends with `kill`."""

    def __init__(self, folder: Path, upstream_url: str) -> None:
        self.folder = folder
        self.database = folder / "calls.duckdb"
        endpoint_port = free_port()
        self.links = {name: Link(endpoint_port) for name in GATEWAYS}
        self._ports = {name: free_port() for name in (*GATEWAYS, "collector")}
        self._processes: dict[str, Process] = {}
        self._write("collector", endpoint_port, {})
        for name, spool in zip(GATEWAYS, SPOOLS, strict=True):
            providers = {"openai": {"base_url": f"{upstream_url}/v1"}}
            self._write(name, self.links[name].port, {"spool": spool}, providers=providers)

    def _write(self, name: str, endpoint_port: int, logging: dict[str, Any], **sections: Any) -> None:
        port = self._ports[name]
        document = {
            "logging": {"db_path": str(self.database), **logging},
            "gateway": {"port": port},
            "collector": {"port": port, "endpoint": f"tcp://127.0.0.1:{endpoint_port}"},
            **sections,
        }
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(document))

    def __getitem__(self, name: str) -> Process:
        return self._processes[name]

    @property
    def spooled(self) -> Iterator[Path]:
        """The folders of gateways, of those that run and of those that left something."""
        return self.database.with_name("calls.duckdb.spool").glob("[!.]*")

    def start(self, name: str) -> None:
        """Returns when it is ready."""
        service, config = name.rstrip("0123456789"), self.folder / f"{name}.yaml"
        self._processes[name] = launch_service(name, service, config, self._ports[name], self.folder)
        wait_until_ready(self._processes[name], "/readyz")

    def stop(self) -> None:
        """In order, each within its time; the gateways first."""
        for name in (*GATEWAYS, "collector"):
            self[name].stop()

    def kill(self) -> None:
        """Whatever became of it."""
        for process in self._processes.values():
            process.kill()


@dataclass
class Call:
    """As its client saw it. Times are the clock's, to be compared with those of rows."""

    number: int
    gateway: str
    began_s: float
    ended_s: float = 0.0
    request_id: str | None = None  # of an answer that began
    is_whole: bool = False
    error: str | None = None

    @property
    def session(self) -> str:
        return f"call-{self.number}"


@dataclass
class Clients:
    """Each asks again and again, plain and streaming in turn."""

    fleet: Fleet
    calls: list[Call] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextlib.asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """While the block runs. At the end, what has begun is finished."""
        leaving = asyncio.Event()
        workers = [asyncio.create_task(self._call_on(name, leaving)) for name in GATEWAYS * WORKERS]
        try:
            yield
        finally:
            leaving.set()
            await asyncio.gather(*workers)

    async def _call_on(self, gateway: str, leaving: asyncio.Event) -> None:
        base_url = f"http://127.0.0.1:{self.fleet[gateway].port}/v1"
        async with httpx.AsyncClient(base_url=base_url, headers=KEY, timeout=60, trust_env=False) as client:
            while not leaving.is_set():
                call = Call(next(self._numbers), gateway, time.time())
                self.calls.append(call)
                try:
                    await _ask(client, call)
                except httpx.HTTPError as error:
                    call.error = repr(error)
                    await asyncio.sleep(AGAIN_S)
                call.ended_s = time.time()


async def _ask(client: httpx.AsyncClient, call: Call) -> None:
    content = f"call {call.number}: tell me something"
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": content}]}
    is_stream = call.number % 2 == 0
    request = client.stream(
        "POST",
        "/chat/completions",
        json={**body, "stream": is_stream},
        headers={"x-lessllm-session": call.session},
    )
    async with request as response:
        call.request_id = response.headers["x-lessllm-request-id"]
        text = (await response.aread()).decode()
        call.is_whole = text.endswith("data: [DONE]\n\n") if is_stream else '"usage"' in text
        if response.status_code != 200 or not call.is_whole:
            call.error = f"{response.status_code}: {text[-200:]}"
