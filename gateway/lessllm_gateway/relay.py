"""An upstream's answer on its way to the client: each network read is marked, taped and passed on.

Takes an httpx.Response whose headers have arrived; leaves the client with the last byte. Never touches a
byte that no transform was asked for.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httpx
from lessllm_shared.record import CallRecord, EndReason

from lessllm_gateway.clock import Clock
from lessllm_gateway.credentials import RawHeaders
from lessllm_gateway.crossing import Convert
from lessllm_gateway.errors import Rejection
from lessllm_gateway.memory import Lease, Tape
from lessllm_gateway.transform import Transform

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_WHOLE_ANSWER_BYTES = 64 * 1024 * 1024  # of one that must be whole before it goes on
MAX_MARKS = 65_536  # network reads of one answer that are told apart
LAST_WORDS_S = 5.0  # for an error in a stream that the client may not be reading


class Relay:
    """Passes one answer on."""

    def __init__(
        self,
        record: CallRecord,
        clock: Clock,
        send: Send,
        idle_s: float,
        new_tape: Callable[[], Tape],
        lease: Lease,
    ) -> None:
        self._record = record
        self._clock = clock
        self._send = send
        self._idle_s = idle_s
        self._new_tape = new_tape
        self._tape: Tape | None = None  # what the upstream says, if it is asked
        self._client_tape: Tape | None = None  # what the client gets, if that is something else
        self._lease = lease  # for an answer that is held until it is whole
        self._is_event_stream = False
        self.started = False  # the client has been given a status
        self.finished = False  # … and the last byte
        self.is_sending = False  # waiting for the client, not for the upstream

    def await_answer(self, *, translated: bool) -> None:
        """The upstream is asked. What it said before, when it broke off, is no part of its answer.

        `translated`: what the client gets is not what the upstream says, and is recorded too.
        """
        if self._tape is not None:
            self._tape.finish()
        self._tape = self._new_tape()
        self._client_tape = self._new_tape() if translated else None
        self._record.read_ns, self._record.read_bytes = [], []

    async def answer(self, response: httpx.Response, raw: RawHeaders, transform: Transform | None) -> None:
        """The upstream's answer as it comes, under these headers.

        Raises httpx's exceptions, TimeoutError and Rejection.
        """
        if transform is not None:
            raw = [(name, value) for name, value in raw if name != b"content-length"]
        content_type = response.headers.get("content-type", "")
        self._is_event_stream = content_type.startswith("text/event-stream") and not any(
            name in {b"content-length", b"content-encoding"} for name, _ in raw
        )
        await self._head(response.status_code, raw)

        async def pass_on(chunk: bytes) -> None:
            if out := chunk if transform is None else transform.feed(chunk):
                await self._body(out)

        await self._read(response, pass_on)
        if transform is not None and (rest := transform.finish()):
            await self._body(rest)
        await self._body(b"", more=False)

    async def answer_whole(self, response: httpx.Response, raw: RawHeaders, convert: Convert) -> None:
        """The upstream's answer, converted when all of it is there. Raises as `answer`."""
        parts: list[bytes] = []
        size = 0

        async def keep(chunk: bytes) -> None:
            nonlocal size
            size += len(chunk)
            if size > MAX_WHOLE_ANSWER_BYTES or not self._lease.take(len(chunk)):
                raise Rejection(
                    502,
                    "upstream_answer_too_large",
                    "the upstream's answer is larger than the gateway can hold to convert it",
                    EndReason.UPSTREAM_ERROR,
                )
            parts.append(chunk)

        await self._read(response, keep)
        status, body = convert(b"".join(parts))
        raw = [
            (name, value)
            for name, value in raw
            if name not in {b"content-length", b"content-type", b"content-encoding"}
        ]
        await self._whole(status, raw, body)

    async def answer_ourselves(self, body: bytes, more: RawHeaders) -> None:
        """An answer that no upstream was asked for, as JSON; it is recorded as what the client got."""
        self._client_tape = self._new_tape()
        await self._own(200, body, more)

    async def fail(self, status: int, body: bytes, event_name: bytes, more: RawHeaders) -> None:
        """An error of ours: an answer, or what can still be said in one that has begun."""
        if not self.started:
            await self._own(status, body, more)
        elif self._is_event_stream and not self.finished:
            # A client that reads nothing gets nothing, and that is no error of ours.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await self._body(b"\n\n%bdata: %b\n\n" % (event_name, body), more=False)
        # Otherwise the connection is closed short of the promised length, and the client sees that.

    def finish(self) -> None:
        """Put what was taped into the record."""
        if self._tape is not None:
            self._record.response_body_bytes = self._tape.size_bytes
            self._record.response_body = self._tape.finish()
        if self._client_tape is not None:
            self._record.client_response_body = self._client_tape.finish()

    async def _read(self, response: httpx.Response, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Hand over the answer's bytes as they come off the network, within the idle limit."""
        tape = self._tape
        assert tape is not None  # noqa: S101 - the upstream was asked
        loop = asyncio.get_running_loop()
        chunks = aiter(response.stream)  # type: ignore[arg-type]  # httpx types it as sync or async
        try:
            async with asyncio.timeout(None) as limit:
                while True:
                    limit.reschedule(loop.time() + self._idle_s)
                    chunk = await anext(chunks, None)
                    if chunk is None:
                        break
                    limit.reschedule(None)
                    self._mark(len(chunk))
                    tape.add(chunk)
                    await take(chunk)
        finally:
            self._record.upstream_end_ns = self._clock.now()

    def _mark(self, size_bytes: int) -> None:
        record = self._record
        if len(record.read_ns) < MAX_MARKS:
            record.read_ns.append(self._clock.now())
            record.read_bytes.append(size_bytes)
        else:
            record.read_bytes[-1] += size_bytes

    async def _own(self, status: int, body: bytes, more: RawHeaders) -> None:
        request_id = (b"x-lessllm-request-id", self._record.request_id.encode())
        await self._whole(status, [request_id, *more], body)

    async def _whole(self, status: int, raw: RawHeaders, body: bytes) -> None:
        length = (b"content-length", b"%d" % len(body))
        await self._head(status, [(b"content-type", b"application/json"), length, *raw])
        await self._body(body, more=False)

    async def _head(self, status: int, raw: RawHeaders) -> None:
        self.started = True
        self._record.status_code = status
        await self._to_client({"type": "http.response.start", "status": status, "headers": raw})

    async def _body(self, data: bytes, *, more: bool = True) -> None:
        self.finished = not more
        if self._client_tape is not None:
            self._client_tape.add(data)
        await self._to_client({"type": "http.response.body", "body": data, "more_body": more})

    async def _to_client(self, message: MutableMapping[str, Any]) -> None:
        start = self._clock.now()
        self.is_sending = True
        try:
            await self._send(message)
        finally:
            self._record.client_blocked_ns += self._clock.now() - start
        self.is_sending = False  # stays set when this is where the call ends
