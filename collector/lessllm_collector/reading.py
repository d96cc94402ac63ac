"""Who reads the database: users' SQL, and beside it reports and pages: neither waits for the other."""

import asyncio
from collections.abc import Callable

from lessllm_shared.config.sections import Cache
from lessllm_shared.config.sections import Query as Limits

from lessllm_collector.query import Readers, bounds
from lessllm_collector.store import Store
from lessllm_collector.suggestions import Analyst
from lessllm_collector.watchdog import Watchdog, end_process


class Reading:
    """Owns the readers, and the analyst who reads with them."""

    def __init__(
        self,
        store: Store,
        limits: Limits,
        cache: Cache,
        end_process: Callable[[str], object] = end_process,
    ) -> None:
        watchdog = Watchdog(bounds(limits), end_process, store.give_way, store.closing)
        self.max_rows = limits.max_rows
        self.users = Readers(store, watchdog)
        self.reports = Readers(store, watchdog, at_once=2)
        self.analyst = Analyst(store, self.reports, cache)

    async def close(self) -> None:
        """Waits for what runs; nothing new begins."""
        await asyncio.to_thread(self.users.close)
        await asyncio.to_thread(self.reports.close)
