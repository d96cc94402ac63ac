"""When each byte of an answer leaves, and what of it: headers, body or events, faults included.

An Exchange enters, ASGI messages leave. The clock of a call runs by plan, not by sleeps: a late wake-up
delays one event, not all that follow.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from lessllm.simulator.exchange import Beat
from lessllm.simulator.faults import Faults, hang_up
from lessllm.simulator.models import Model

Send = Callable[[dict[str, Any]], Awaitable[None]]

_HTML = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)


class Pace:
    """How long a model takes. `factor` scales all its times: the time scale and the call's luck."""

    def __init__(self, model: Model, factor: float) -> None:
        self._entry = model.entry
        self._factor = factor
        self._loop = asyncio.get_running_loop()
        self._due_s = self._loop.time()
        self.spent_ms = 0.0

    async def prompt(self, uncached_tokens: int) -> None:
        """The prompt is read."""
        await self._spend(self._entry.prefill_ms + self._entry.prefill_ms_per_ktok * uncached_tokens / 1000)

    async def output(self, tokens: int) -> None:
        """Tokens are generated."""
        await self._spend(self._entry.tpot_ms * tokens)

    async def _spend(self, duration_ms: float) -> None:
        self.spent_ms += duration_ms * self._factor
        self._due_s += duration_ms * self._factor / 1000
        await asyncio.sleep(max(0.0, self._due_s - self._loop.time()))


async def send_whole(
    send: Send, status: int, headers: Mapping[str, str], body: bytes, faults: Faults | None = None
) -> None:
    """An answer in one piece."""
    faults = faults or Faults()
    if faults.invalid_json:
        body = body[: len(body) // 2]
    await _start(
        send, status, {"content-type": "application/json", **headers, "content-length": str(len(body))}
    )
    if faults.half_stream:
        await _body(send, body[: len(body) // 2], more=True)
        await hang_up(send, reset=False)
    await _body(send, body, more=False)


async def send_stream(
    send: Send,
    headers: Mapping[str, str],
    beats: Sequence[Beat],
    pace: Pace,
    faults: Faults,
    error_event: Callable[[int], bytes],
) -> None:
    """An event stream. `error_event` gives the provider's error after so many events."""
    await _start(send, 200, {"content-type": "text/event-stream; charset=utf-8", **headers})
    middle = len(beats) // 2
    for i, beat in enumerate(beats):
        if beat.after_tokens:
            await pace.output(beat.after_tokens)
        data = beat.data
        if i == middle and faults.half_stream:
            await hang_up(send, reset=False)
        if i == middle and faults.error_in_stream:
            await _body(send, error_event(i), more=True)
            break
        if i == middle and faults.invalid_json:
            data = data.rstrip()[: len(data) // 2] + b"\n\n"
        await _body(send, data, more=True)
    await _body(send, b"", more=False)


async def send_html(send: Send, status: int) -> None:
    """What a load balancer in front of the provider says when it fails."""
    await _start(send, status, {"content-type": "text/html", "content-length": str(len(_HTML))})
    await _body(send, _HTML, more=False)


async def _start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _body(send: Send, data: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})
