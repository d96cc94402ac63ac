"""The wiring of what happens to records: outbox, spool and delivery, and the tasks that move them."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from lessllm_shared.config import GatewaySettings

from lessllm_gateway.delivery import Delivery, Stream
from lessllm_gateway.handover import Handover
from lessllm_gateway.link import Link
from lessllm_gateway.memory import Budget
from lessllm_gateway.metrics import DELIVERY_FAILURES
from lessllm_gateway.outbox import Outbox
from lessllm_gateway.spool.adoption import adopt_all
from lessllm_gateway.spool.keeper import Keeper

DRAIN_S = 5.0
RESTART_AFTER_S = 1.0

log = logging.getLogger(__name__)


class Recording:
    """Of one gateway process."""

    def __init__(self, settings: GatewaySettings, budget: Budget) -> None:
        """Raises ConfigError."""
        link = Link(settings.collector)
        self.outbox = Outbox(secrets.token_hex(8), budget)
        self._budget = budget
        self._root = settings.logging.spool_dir or Path(f"{settings.logging.db_path}.spool")
        self._keeper: Keeper | None = None
        if settings.logging.enabled and settings.logging.spool != "off":
            self._keeper = Keeper(
                self.outbox, self._root, settings.logging.spool_bytes, settings.logging.spool
            )
        own = Stream(self.outbox)
        if self._keeper is not None:
            own = Stream(self.outbox, self._keeper.read, self._keeper.committed)
        self.delivery = Delivery(own, link)
        self.sink = Handover(self.delivery, self._keeper) if settings.logging.enabled else None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Delivers meanwhile. At the end all records are committed or, if there is a spool, on disk."""
        works: list[Callable[[], Awaitable[None]]] = []
        if self.sink is not None:
            works.append(self.delivery.run)
        if self._keeper is not None:
            works += [self._keeper.run, lambda: adopt_all(self._root, self.delivery, self._budget)]
        tasks = [asyncio.create_task(forever(work)) for work in works]
        yield
        if self.sink is not None:
            await self.delivery.drain(DRAIN_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._keeper is not None:
            await self._keeper.close()
        if self.outbox.only_in_memory:
            log.error(
                "%d records are lost: neither the collector nor the spool took them",
                self.outbox.only_in_memory,
            )


async def forever(work: Callable[[], Awaitable[None]]) -> None:
    """Until cancelled, whatever happens."""
    while True:
        try:
            await work()
        except Exception:
            DELIVERY_FAILURES.inc()
            log.exception("delivering records failed, and begins anew")
        await asyncio.sleep(RESTART_AFTER_S)
