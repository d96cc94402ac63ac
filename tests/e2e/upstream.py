"""Our simulated provider as an upstream that counts who reaches it, and can hang up; with or without TLS.

It runs in a thread. What enters are calls, by whichever way; it never says which way they came.
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
import uvicorn
from e2e.processes import STOP_S, free_port, wait_for
from lessllm.simulator.app import create_app
from lessllm.simulator.running import configuration, listener
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

KEEPALIVE_S = 600  # it never closes a connection by itself


@dataclass(frozen=True, slots=True)
class Certificate:
    """For a server on this machine, and whom one has to trust to trust it."""

    ca_file: Path
    pem_file: Path  # the key, then the certificate


def certificate(folder: Path) -> Certificate:
    """A new one, of a new authority."""
    made = Certificate(folder / "ca.pem", folder / "server.pem")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(made.ca_file)
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(made.pem_file)
    return made


@dataclass
class Upstream:
    """Counts from its start."""

    url: str
    port: int
    server: uvicorn.Server
    connections: int = 0
    open: set[Any] = field(default_factory=set)

    @property
    def counts(self) -> tuple[int, int]:
        """Connections and requests so far."""
        return self.connections, self.server.server_state.total_requests

    def hang_up(self) -> None:
        """End every connection, at once."""
        for protocol in tuple(self.open):
            protocol.loop.call_soon_threadsafe(protocol.transport.abort)


@contextlib.contextmanager
def running_upstream(shown: Certificate | None = None, *, time_scale: float = 0.0) -> Iterator[Upstream]:
    """An upstream while the block runs. OpenAI's base_url is its URL + "/v1"."""

    class Counted(HttpToolsProtocol):
        def connection_made(self, transport: Any) -> None:
            upstream.connections += 1
            upstream.open.add(self)
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            upstream.open.discard(self)
            super().connection_lost(exc)

    config = configuration(create_app(time_scale=time_scale))
    config.http, config.timeout_keep_alive = Counted, KEEPALIVE_S
    config.ssl_certfile = shown and str(shown.pem_file)
    port = free_port()
    upstream = Upstream(f"http{'s' if shown else ''}://127.0.0.1:{port}", port, uvicorn.Server(config))
    with listener(port) as listening:
        thread = threading.Thread(target=upstream.server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            wait_for(lambda: upstream.server.started, "the upstream to start")
            yield upstream
        finally:
            upstream.server.should_exit = True
            thread.join(STOP_S)
