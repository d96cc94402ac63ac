"""A collector for as long as a question takes: for a database that is there while no server runs.

A configuration enters, the collector's URL leaves. Whoever wants a server for this database meanwhile
waits until the question is answered.
"""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lessllm import state
from lessllm.plan import Document, lone_collector
from lessllm.server_log import server_log
from lessllm.supervisor import Supervisor

_WAIT_S = 60.0


@contextmanager
def collector_alone(document: Document, folder: state.ServerState) -> Iterator[str]:
    """Its URL, while the block lasts. Raises ServerError if it can't start, or another one is in the way."""
    with (
        folder.starting(_WAIT_S),
        folder.claim(),
        server_log(folder) as log,
        tempfile.TemporaryDirectory(prefix="lessllm-") as ipc_folder,
        asyncio.Runner() as runner,
    ):
        service = lone_collector(document, Path(ipc_folder))
        supervisor = Supervisor([service], log.info)
        try:
            runner.run(supervisor.start())
            yield service.url
        finally:
            runner.run(supervisor.stop())
