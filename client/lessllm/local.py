"""The server on this machine that belongs to a database: found if it runs, else started, and shared.

A Plan enters, a LocalServer leaves: a lease on a server that is ready. Processes that use one database
share one server; it ends with the last of them (see `state`). This module opens no database.
"""

import dataclasses
import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import httpx

from lessllm import state
from lessllm.errors import ServerError
from lessllm.plan import Plan

_START_S = 150.0  # two services, and perhaps one before them that stops
_STOP_S = 90.0
_READY_S = 30.0


@dataclass(frozen=True)
class LocalServer:
    """A server that this process uses."""

    folder: state.ServerState
    running: state.Running
    lease: state.Lock

    def release(self) -> None:
        """Ends the use of the server. Returns when it has stopped, if this was its last user."""
        self.lease.close()
        if not self.running.stays and not self.folder.in_use_by_others():
            state.wait_for(lambda: not self.folder.is_taken(), _STOP_S, "the local server has not stopped")


def find(database: Path) -> LocalServer | None:
    """The server of this database, whatever its configuration, if one is up."""
    folder = state.ServerState(database)
    running = folder.running()
    return _join(folder, running) if running is not None else None


def find_or_start(plan: Plan) -> LocalServer:
    """A server with this plan's configuration. Raises ServerError if one with another is in use."""
    folder = state.ServerState(plan.database)
    with folder.starting(_START_S):
        running = folder.running()
        if running is not None and running.has_configuration(plan.identity):
            return _join(folder, running) or _start(folder, plan)
        if running is not None and (running.stays or folder.in_use_by_others()):
            raise ServerError(
                f"a LessLLM server with another configuration is in use for {running.database}"
                f" (process {running.pid}, {running.url}): stop it, use another logging.db_path,"
                ' or attach to it with {"server": {"url": …, "collector_url": …}}'
            )
        return _start(folder, plan)


def _join(folder: state.ServerState, running: state.Running) -> LocalServer | None:
    """None: it has just begun to stop."""
    lease = folder.lease()
    try:
        state.wait_for(
            lambda: lease.try_shared() or folder.running() is None, _STOP_S, "the local server hangs"
        )
        if folder.running() == running:
            state.wait_for(
                lambda: _is_ready(running), _READY_S, f"the local server at {running.url} is not ready"
            )
            return LocalServer(folder, running, lease)
    except ServerError:
        lease.close()
        raise
    lease.close()
    return None


def _start(folder: state.ServerState, plan: Plan) -> LocalServer:
    lease = folder.lease()
    try:
        state.wait_for(
            lambda: not folder.is_taken() and lease.try_shared(), _STOP_S, "the server before this one hangs"
        )
        return LocalServer(folder, _launch(plan, folder, lease), lease)
    except BaseException:  # Ctrl-C too: a server without users stops by itself, and we see it go
        lease.close()
        state.wait_for(
            lambda: not folder.is_taken() or folder.in_use_by_others(), _STOP_S, "the local server hangs"
        )
        raise


def _launch(plan: Plan, folder: state.ServerState, lease: state.Lock) -> state.Running:
    order = {"document": dict(plan.document), "overrides": dataclasses.asdict(plan.overrides)}
    with subprocess.Popen(  # our own module; its output ends when the server is ready, or gone
        [sys.executable, "-P", "-m", "lessllm.background"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as launched:
        stdin, stdout = cast("IO[str]", launched.stdin), cast("IO[str]", launched.stdout)
        try:
            with suppress(BrokenPipeError), stdin:  # it died: its output tells, or its log
                stdin.write(json.dumps(order, default=str))
            answer = json.loads(stdout.read() or "{}")
        except BaseException:
            lease.close()
            stdout.read()
            raise
    if "running" in answer:
        return state.Running(**answer["running"])
    raise ServerError(answer.get("error") or f"the local server ended before it was ready, see {folder.log}")


def _is_ready(running: state.Running) -> bool:
    urls = [url for url in (running.collector_url, running.url) if url is not None]
    try:
        return all(httpx.get(f"{url}/healthz", trust_env=False).status_code == 200 for url in urls)
    except httpx.RequestError:
        return False
