"""Keeps the services of a local server running, as child processes.

Services enter in the order in which they are needed. All are started, waited for until they say that they
are ready, and started again with a growing pause when they die later; one that fails at its start ends
everything, with its own words. They stop one by one, the last first: the gateway drains before its
collector goes.
A configuration reaches a child by its stdin only, never by arguments, environment or disk.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import cast

import httpx

from lessllm import child
from lessllm.errors import ServerError
from lessllm.plan import Service

Say = Callable[[str], None]

_START_S = 60.0  # a collector may have migrations to do
_STOP_STARTING_S = 3.0  # a service that is not ready yet has nothing to drain
_POLL_S = 0.05
_STEADY_S = 60.0  # a service that ran this long is started again with the shortest pause
_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_LAST_LINES = 20
_LINE_BYTES = 64 * 1024


class StartFailed(ServerError):  # noqa: N818 - it says what happened
    """A service did not start. `exit_code` is its own: 2 for a wrong configuration."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Supervisor:
    """The services of one server, from the first one's start to the last one's end."""

    def __init__(self, services: Sequence[Service], say: Say) -> None:
        self._children: list[_Child] = []
        for service in services:
            outlive = [earlier.lifeline for earlier in self._children]
            self._children.append(_Child(service, say, outlive))

    async def start(self) -> None:
        """All at once, since none needs another to start. Returns when all are ready. Raises StartFailed."""
        starting = [asyncio.create_task(service.start()) for service in self._children]
        try:
            await asyncio.gather(*starting)
        finally:
            for task in starting:
                task.cancel()
            await asyncio.gather(*starting, return_exceptions=True)

    async def keep_running(self) -> None:
        """Starts again what dies. Never returns: cancel it."""
        await asyncio.gather(*(service.keep_running() for service in self._children))

    async def stop(self) -> None:
        """The last one first. Afterwards nothing can be started again."""
        for service in reversed(self._children):
            await service.stop()
        for service in self._children:
            service.lifeline.close()

    def kill(self) -> None:
        """For the impatient: what still drains ends now, and `stop` returns."""
        for service in self._children:
            service.kill()


class _Lifeline:
    """A pipe nobody writes to. Its reader sees it end when all who hold the other end are gone."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()

    def close(self) -> None:
        os.close(self.read_end)
        os.close(self.write_end)


class _Child:
    """One service and its process, which changes when the service is started again."""

    def __init__(self, service: Service, say: Say, outlived_by: Iterable[_Lifeline]) -> None:
        """`outlived_by`: lifelines of services that must outlast this one even when we are gone."""
        self.lifeline = _Lifeline()
        self._service = service
        self._say = say
        self._outlived_by = tuple(outlived_by)
        self._process: asyncio.subprocess.Process | None = None
        self._output: asyncio.Task[None] | None = None
        self._last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._is_ready = False

    async def start(self) -> None:
        self._is_ready = False
        process = await self._spawn()
        exited = asyncio.create_task(process.wait())
        ready = asyncio.create_task(_ready(self._service.url))
        try:
            await asyncio.wait({exited, ready}, timeout=_START_S, return_when=asyncio.FIRST_COMPLETED)
            if ready.done() and not exited.done():
                self._is_ready = True
                return
        finally:
            exited.cancel()
            ready.cancel()
        name = self._service.name
        if process.returncode is None:
            await self.stop()
            raise StartFailed(f"the {name} was not ready within {_START_S:g} s{self._words()}", 1)
        await self._end_of_output()
        raise StartFailed(f"the {name} did not start{self._words()}", max(process.returncode, 1))

    async def keep_running(self) -> None:
        name = self._service.name
        clock = asyncio.get_running_loop().time
        failures = 0
        while True:
            since = clock()
            ending = await self._ending()
            failures = 1 if clock() - since > _STEADY_S else failures + 1
            pause = _PAUSES_S[min(failures, len(_PAUSES_S)) - 1]
            self._say(f"the {name} {ending}; starting it again in {pause:g} s")
            await asyncio.sleep(pause)
            try:
                await self.start()
                self._say(f"the {name} is ready again")
            except StartFailed as error:
                self._say(str(error))

    async def stop(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            patience_s = self._service.stop_s if self._is_ready else _STOP_STARTING_S
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), patience_s)
            except TimeoutError:
                self._say(f"the {self._service.name} did not stop within {patience_s:g} s: killed")
                process.kill()
                await process.wait()
        await self._end_of_output()

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _spawn(self) -> asyncio.subprocess.Process:
        service = self._service
        self._last_lines.clear()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # a file in the user's working directory must not pass for a module
            str(Path(child.__file__)),
            str(self.lifeline.read_end),
            *(service.module, "--config", "-"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **service.environment},
            pass_fds=(self.lifeline.read_end, *(line.write_end for line in self._outlived_by)),
            start_new_session=True,  # Ctrl-C is for us: we stop them in order
            limit=_LINE_BYTES,
        )
        self._process = process
        self._output = asyncio.create_task(self._pass_on(cast("asyncio.StreamReader", process.stdout)))
        stdin = cast("asyncio.StreamWriter", process.stdin)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died: its exit code tells
            stdin.write(service.document)
            await stdin.drain()
        stdin.close()
        return process

    async def _pass_on(self, output: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await output.readline()
            except ValueError:  # longer than the limit
                continue
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip()
            self._last_lines.append(text)
            if self._is_ready:  # what it says before is part of StartFailed
                self._say(f"{self._service.name}: {text}")

    async def _end_of_output(self) -> None:
        """What a dead process said last may still be on its way."""
        if self._output is not None:
            await asyncio.wait({self._output}, timeout=1.0)
            self._output.cancel()

    async def _ending(self) -> str:
        code = 0 if self._process is None else await self._process.wait()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def _words(self) -> str:
        return "".join(f"\n{line}" for line in self._last_lines)


async def _ready(url: str) -> None:
    # Proxies from the environment are for the way out, not for this machine.
    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
        while True:
            with contextlib.suppress(httpx.RequestError):
                if (await client.get(f"{url}/healthz")).status_code == 200:
                    return
            await asyncio.sleep(_POLL_S)
