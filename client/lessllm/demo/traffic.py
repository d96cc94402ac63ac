"""Sends the workload through a gateway, as applications would: lanes side by side, streams read to their end.

What comes back is not looked at: the records will tell. A call that fails is part of the show.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import httpx

from lessllm.demo.workload import Call

_TOGETHER = 8  # calls at a time
_TIMEOUT_S = 60.0


async def send_all(gateway_url: str, lanes: Sequence[Sequence[Call]], on_done: Callable[[], None]) -> None:
    """`on_done` is called after each call. Raises nothing for calls that fail."""
    turn = asyncio.Semaphore(_TOGETHER)
    async with httpx.AsyncClient(base_url=gateway_url, timeout=_TIMEOUT_S, trust_env=False) as client:

        async def send_lane(lane: Sequence[Call]) -> None:
            for call in lane:
                async with turn:
                    await _send(client, call)
                on_done()

        await asyncio.gather(*(send_lane(lane) for lane in lanes))


async def _send(client: httpx.AsyncClient, call: Call) -> None:
    with contextlib.suppress(httpx.HTTPError):  # some are cut off on purpose
        async with client.stream("POST", call.path, json=call.body, headers=call.headers) as response:
            async for _ in response.aiter_raw():
                pass
