"""An answer that is sent in pieces: made as the client takes them, and ended however the sending ends.

A client that takes nothing for STALL_S, or leaves, ends it; so does one that left before it began.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

STALL_S = 60.0


class PiecesResponse(StreamingResponse):
    """`end` is called once, when nothing more is sent."""

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        media_type: str,
        headers: Mapping[str, str],
        end: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def patiently(message: Message) -> None:
            async with asyncio.timeout(STALL_S):
                await send(message)

        try:
            await super().__call__(scope, receive, patiently)
        except asyncio.CancelledError:
            pass  # the server's time to stop in has run out: the client sees that the end is missing
        finally:
            await self._end()
