"""The client's side of a call: its request's body within limits, and whether it is still there."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from lessllm_shared.config.sections import Timeouts
from lessllm_shared.record import EndReason

from lessllm_gateway.errors import Rejection
from lessllm_gateway.memory import Lease

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

KEPT_OF_TOO_LARGE_BYTES = 4096


class TooLarge(Rejection):
    """The body is over the limit. `beginning` and `size_bytes`, as far as known, are for the record."""

    def __init__(self, limit_bytes: int, beginning: bytes, size_bytes: int) -> None:
        super().__init__(
            413,
            "request_too_large",
            f"the request body is over gateway.max_request_bytes ({limit_bytes} bytes)",
        )
        self.beginning = beginning
        self.size_bytes = size_bytes


async def read_body(
    receive: Receive, announced_bytes: int, limit_bytes: int, limits: Timeouts, lease: Lease
) -> bytes:
    """The whole body. Raises Rejection: over the limit, no memory for it, too slow, client gone.

    A body that is announced as too large is refused before it is asked for (Expect: 100-continue).
    """
    if announced_bytes > limit_bytes:
        raise TooLarge(limit_bytes, b"", announced_bytes)
    parts: list[bytes] = []
    size = 0
    loop = asyncio.get_running_loop()
    end_s = loop.time() + limits.total_s
    try:
        async with asyncio.timeout(min(limits.idle_s, limits.total_s)) as limit:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Rejection(400, "client_disconnected", "the client left", EndReason.CLIENT_CANCELLED)
                part = message.get("body", b"")
                size += len(part)
                if size > limit_bytes:
                    beginning = b"".join((*parts[:1], part))[:KEPT_OF_TOO_LARGE_BYTES]
                    raise TooLarge(limit_bytes, beginning, max(announced_bytes, size))
                if not lease.take(len(part)):
                    raise _busy()
                parts.append(part)
                if not message.get("more_body"):
                    return b"".join(parts)
                limit.reschedule(min(loop.time() + limits.idle_s, end_s))
    except TimeoutError:
        raise Rejection(
            408,
            "request_timeout",
            f"the request's body did not go on within timeouts.idle_s ({limits.idle_s:g} s),"
            f" or did not end within timeouts.total_s ({limits.total_s:g} s)",
        ) from None


def _busy() -> Rejection:
    return Rejection(
        503, "gateway_busy", "the requests under way fill the gateway's memory: try again in a moment"
    )


class Presence:
    """Whether the client is still there: work for one that has left is cancelled."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._has_left = False

    async def during(self, work: Awaitable[None], is_answered: Callable[[], bool]) -> None:
        """Do the work. Raises Rejection when the client leaves before it is answered."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - we run in one
        watcher = asyncio.create_task(self._watch(task, is_answered))
        try:
            await work
        except asyncio.CancelledError:
            if not self._has_left:
                raise
            task.uncancel()
            raise Rejection(
                499, "client_disconnected", "the client left", EndReason.CLIENT_CANCELLED
            ) from None
        finally:
            watcher.cancel()

    async def _watch(self, task: "asyncio.Task[Any]", is_answered: Callable[[], bool]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not is_answered():  # after the last byte, leaving is what clients do
            self._has_left = True
            task.cancel()
