"""Looks for what killed gateways left in the spool, and delivers it: at the start, and now and then after."""

import asyncio
import logging
from pathlib import Path

from lessllm_gateway.delivery import Delivery, Stream
from lessllm_gateway.memory import Budget
from lessllm_gateway.metrics import RECORDS_ADOPTED
from lessllm_gateway.spool.home import Leftover, adopt
from lessllm_gateway.spool.revive import revive

LOOK_EVERY_S = 10.0
SETTLE_S = 1.0  # for what the killed process sent last, and the collector reads now

log = logging.getLogger(__name__)


async def adopt_all(root: Path, delivery: Delivery, budget: Budget) -> None:
    """Until cancelled. What is not delivered by then stays for the next one."""
    async with asyncio.TaskGroup() as tasks:
        while True:
            for leftover in await asyncio.to_thread(adopt, root):
                tasks.create_task(_deliver(leftover, delivery, budget))
            await asyncio.sleep(LOOK_EVERY_S)


async def _deliver(leftover: Leftover, delivery: Delivery, budget: Budget) -> None:
    try:
        await asyncio.sleep(SETTLE_S)
        outbox = revive(leftover, await delivery.ask(leftover.gateway_id), budget)
        if outbox.pending:
            log.warning("delivers %d records that gateway %s left", outbox.pending, leftover.gateway_id)
            RECORDS_ADOPTED.inc(outbox.pending)
        stream = Stream(outbox, leftover.segments.read, leftover.segments.forget)
        delivery.add(stream)
        await delivery.until(lambda: not outbox.pending)
        delivery.remove(stream)
        await asyncio.to_thread(leftover.remove)
    finally:
        leftover.close()
