"""The simulated provider on a port of its own: in a thread for tests, in this thread for the command."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn

from lessllm.simulator.app import App, create_app

_START_S = 10.0
_STOP_S = 10.0


@contextlib.contextmanager
def running_simulator(
    *, port: int = 0, seed: int = 0, time_scale: float = 0.0, requests_per_minute: int = 10_000
) -> Iterator[str]:
    """Runs in a thread while the block does. Gives the URL: OpenAI's base_url is this + "/v1"."""
    app = create_app(seed=seed, time_scale=time_scale, requests_per_minute=requests_per_minute)
    with listener(port) as listening:
        server = uvicorn.Server(configuration(app))
        thread = threading.Thread(target=server.run, args=([listening],), name="simulator", daemon=True)
        thread.start()
        try:
            _wait_until_started(server, thread)
            yield url_of(listening)
        finally:
            server.should_exit = True
            thread.join(_STOP_S)


def listener(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A listening socket. Raises OSError."""
    return socket.create_server((host, port), backlog=2048)


def url_of(listening: socket.socket) -> str:
    """Where it is reached."""
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def configuration(app: App) -> uvicorn.Config:
    """Quiet, since broken connections are broken on purpose."""
    return uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=1,
    )


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline_s = time.monotonic() + _START_S
    while not server.started:  # uvicorn has no event for it
        if not thread.is_alive() or time.monotonic() > deadline_s:
            raise RuntimeError("the simulated provider did not start")
        time.sleep(0.005)
