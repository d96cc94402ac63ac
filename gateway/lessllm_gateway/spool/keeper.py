"""Keeps records that wait where they outlive this process, and goes on with what killed ones left behind.

`overflow`: what is not committed within a moment goes to disk, oldest first, in a thread. `always`: each
record goes there at once, and each call before it goes upstream. As long as there is no folder that can be
written to, records wait in memory alone.
"""

import asyncio
import logging
import time
from pathlib import Path
from typing import Literal

from lessllm_gateway.metrics import SPOOL_BYTES, SPOOL_FAILURES, SPOOL_LIMIT_BYTES
from lessllm_gateway.outbox import Outbox
from lessllm_gateway.spool.home import Home
from lessllm_gateway.spool.segments import SpoolFull

Mode = Literal["overflow", "always"]

TICK_S = 0.05
RETRY_S = 5.0  # when there was no room

log = logging.getLogger(__name__)


class Keeper:
    """Of this process's outbox."""

    def __init__(self, outbox: Outbox, root: Path, limit_bytes: int, mode: Mode) -> None:
        self._outbox = outbox
        self._root = root
        self._limit_bytes = limit_bytes
        self._is_always = mode == "always"
        self._slots: dict[str, int] = {}  # of calls under way, by request id
        self._retry_at_s = 0.0
        self._is_full = False
        self._home: Home | None = None
        self._move_in()
        SPOOL_BYTES.set_function(lambda: self._home.segments.size_bytes if self._home else 0)
        SPOOL_LIMIT_BYTES.set(limit_bytes)

    @property
    def wants_opened(self) -> bool:
        """Whether a call's record is wanted before the call goes upstream."""
        return self._is_always

    def begin(self, request_id: str, t0_unix_ns: int) -> None:
        """A call begins."""
        slot = self._home.calls.begin(request_id, t0_unix_ns) if self._home else None
        if slot is not None:
            self._slots[request_id] = slot

    def opened(self, request_id: str, data: bytes) -> None:
        """What is known of a call that goes upstream now."""
        try:
            if self._home:
                self._home.opened.add(request_id, data)
        except OSError as error:
            self._fails(error)

    def end(self, request_id: str, data: bytes) -> bool:
        """A call's record, which takes the outbox's next number. True: it is on disk."""
        if self._home is None:
            return False
        seq = self._outbox.next_seq
        slot = self._slots.pop(request_id, None)
        if slot is not None:
            self._home.calls.end(slot, seq)
        if not self._is_always:
            return False
        is_on_disk = self._append(seq, [data])
        self._home.opened.done(request_id)
        return is_on_disk

    def committed(self, seq: int) -> None:
        """The database has everything up to this number."""
        if self._home:
            self._home.segments.forget(seq)
            self._home.calls.settle(seq)

    async def run(self) -> None:
        """Until cancelled: put on disk what waits for longer than a tick or two."""
        earlier = last = 0
        while True:
            await asyncio.sleep(TICK_S)
            if self._home is None and time.monotonic() >= self._retry_at_s:
                self._move_in()
            await self._spill(earlier)
            earlier, last = last, self._outbox.next_seq - 1

    async def close(self) -> None:
        """Put the rest on disk, and let go of the folder."""
        self._retry_at_s = 0.0
        await self._spill(self._outbox.next_seq - 1)
        if self._home:
            self._home.close(is_empty=not self._outbox.pending)

    async def _spill(self, last_seq: int) -> None:
        while self._outbox.committed < last_seq:
            batch = self._outbox.to_spill()
            if batch is None or batch[0] > last_seq:
                break
            first_seq, records = batch
            if not await asyncio.to_thread(self._append, first_seq, records):
                break
            self._outbox.spilled(first_seq + len(records) - 1)
            self.committed(self._outbox.committed)  # meanwhile

    def read(self, first_seq: int, last_seq: int) -> list[bytes]:
        """Records from disk, as many as a frame may hold. Blocks."""
        return self._home.segments.read(first_seq, last_seq) if self._home else []

    def _move_in(self) -> None:
        try:
            self._home = Home(self._root, self._outbox.gateway_id, self._limit_bytes)
        except OSError as error:
            self._fails(f"{self._root} can't be used: {error.strerror or type(error).__name__}")

    def _append(self, first_seq: int, records: list[bytes]) -> bool:
        if self._home is None or time.monotonic() < self._retry_at_s:
            return False
        try:
            self._home.segments.append(first_seq, records)
        except SpoolFull as error:
            self._fails(error)
            return False
        if self._is_full:
            log.warning("records are spooled again")
            self._is_full = False
        return True

    def _fails(self, error: Exception | str) -> None:
        SPOOL_FAILURES.inc()
        self._retry_at_s = time.monotonic() + RETRY_S
        if not self._is_full:
            log.error("records wait in memory, the spool can't take them: %s", error)
            self._is_full = True
