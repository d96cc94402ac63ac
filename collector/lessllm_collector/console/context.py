"""What pages are made with: the database and who reads it, the door."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import duckdb
from lessllm_shared.config import CollectorSettings
from starlette.requests import Request
from starlette.responses import HTMLResponse

from lessllm_collector.console import rendering
from lessllm_collector.console.door import Door
from lessllm_collector.reading import Reading
from lessllm_collector.store import Store
from lessllm_collector.writer import Writer

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Console:
    """One for all requests."""

    settings: CollectorSettings
    store: Store
    reading: Reading
    writer: Callable[[], Writer]
    door: Door

    async def read(self, job: Callable[[duckdb.DuckDBPyConnection], _Found]) -> _Found:
        """What `job` finds over a connection that can only read, on a reader's thread.

        Raises Refusal, StoreError, duckdb.Error.
        """
        return await self.reading.reports.read(job, _as_it_is)

    def page(self, request: Request, template: str, **values: Any) -> HTMLResponse:
        """The page that a template makes of these values."""
        return rendering.page(request, template, signed_in=self.door.has_key, **values)

    @staticmethod
    def now() -> datetime:
        """The end of periods that end now."""
        return datetime.now(UTC)


def _as_it_is(found: _Found) -> _Found:
    return found
