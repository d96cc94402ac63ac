"""The other workers at this port: whoever is asked for metrics, or to flush, answers for all of them.

Each worker listens at a socket of its own, too, in a folder that is this user's alone. One that does not
answer is left out: it has died, and is started again.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx
from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

ANSWER_S = 65.0  # a flush takes up to 60


class Colleagues:
    """As one worker sees them."""

    def __init__(self, folder: Path, worker: int, count: int) -> None:
        self.worker = worker
        self._folder = folder
        self._others = [other for other in range(count) if other != worker]

    def listen(self) -> socket.socket:
        """Where they ask this one."""
        path = self._path(self.worker)
        path.unlink(missing_ok=True)  # of the one before, which died
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen()
        return listener

    async def ask(self, method: str, target: str) -> dict[int, httpx.Response]:
        """What each of the others says, by its number."""
        answers = await asyncio.gather(*(self._ask(other, method, target) for other in self._others))
        return {
            other: answer for other, answer in zip(self._others, answers, strict=True) if answer is not None
        }

    async def _ask(self, other: int, method: str, target: str) -> httpx.Response | None:
        transport = httpx.AsyncHTTPTransport(uds=str(self._path(other)))
        with contextlib.suppress(httpx.HTTPError):
            async with httpx.AsyncClient(transport=transport, timeout=ANSWER_S) as client:
                return await client.request(method, f"http://localhost{target}")
        return None

    def _path(self, worker: int) -> Path:
        return self._folder / f"{worker}.sock"


def merged(texts: Mapping[int, str]) -> bytes:
    """Metrics of several workers as one text: each series says of which it is."""
    families: dict[str, Metric] = {}
    for worker, text in sorted(texts.items()):
        for family in text_string_to_metric_families(text):
            merging = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                merging.add_sample(sample.name, {**sample.labels, "worker": str(worker)}, sample.value)
    return generate_latest(_Collected(families.values()))


class _Collected:
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
