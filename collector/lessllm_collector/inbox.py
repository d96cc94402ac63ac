"""What waits for the writer: batches of records, and jobs of other kinds, in order of arrival.

The receiver puts batches in on the event loop, the writer's thread takes them out. Batches are bounded
by bytes, counted until they are committed: while there is no room `put` waits, so the receiver receives
nothing and records wait in the gateways. A job is as small as its reference; those who submit one wait.
"""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from lessllm_collector.metrics import INBOX_BYTES

MAX_BYTES = 256 * 1024 * 1024
COMMIT_BYTES = 8 * 1024 * 1024  # what is taken at once, unless a single frame is larger: half a second's work
PAUSE_S = 0.05  # between commits of few records: each costs 10 to 25 ms of CPU, however few they are


@dataclass(frozen=True)
class Batch:
    """The records first_seq … last_seq of one gateway process, or the news that these are lost (None)."""

    gateway_id: str
    first_seq: int
    last_seq: int
    records: list[bytes] | None

    @property
    def size_bytes(self) -> int:
        """What it holds in memory."""
        return sum(map(len, self.records or ()))

    def without(self, count: int) -> "Batch | None":
        """The same but for its first `count` numbers; None if there are no more."""
        first = self.first_seq + count
        if first > self.last_seq:
            return None
        records = None if self.records is None else self.records[count:]
        return Batch(self.gateway_id, first, self.last_seq, records)


Job = Callable[[], None]


class Inbox:
    """Between the event loop and the writer's thread."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._changed = threading.Condition()
        self._waiting: deque[Batch | Job] = deque()
        self._bytes = 0
        self._end_s: float | None = None  # by time.monotonic
        self._next_s = 0.0  # not sooner are batches taken, unless there are enough of them
        INBOX_BYTES.set_function(lambda: self.waiting_bytes)

    @property
    def waiting_bytes(self) -> int:
        """Of batches that are not committed yet."""
        return self._bytes

    async def put(self, batch: Batch) -> None:
        """Takes the batch over; waits while there is no room. A batch larger than all room goes alone."""
        while not self._admit(batch):
            await self._room.wait()

    def submit(self, job: Job) -> None:
        """A job takes its turn between commits."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()

    def take(self) -> list[Batch] | Job | None:
        """Blocks until there is something: batches for one commit, or one job. None: the end.

        Few batches that follow others closely wait for more; those after a pause are taken at once.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._end_s is not None)
            self._changed.wait_for(self._is_due, max(0.0, self._next_s - time.monotonic()))
            if not self._waiting or (self._end_s is not None and time.monotonic() > self._end_s):
                return None
            first = self._waiting.popleft()
            if not isinstance(first, Batch):
                return first
            batches, size = [first], first.size_bytes
            while self._waiting and isinstance(following := self._waiting[0], Batch):
                size += following.size_bytes
                if size > COMMIT_BYTES:
                    break
                batches.append(following)
                self._waiting.popleft()
            return batches

    def take_job(self, timeout_s: float) -> Job | None:
        """The first job, while batches can't be committed. None: no job came in time, or it is the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._end_s is not None or self._first_job(), timeout_s)
            job = self._first_job() if self._end_s is None else None
            if job is not None:
                self._waiting.remove(job)
            return job

    def _is_due(self) -> bool:
        """Whether what waits is not to wait any longer."""
        return self._end_s is not None or self._bytes >= COMMIT_BYTES or self._first_job() is not None

    def _first_job(self) -> Job | None:
        return next((work for work in self._waiting if not isinstance(work, Batch)), None)

    def done(self, batches: list[Batch]) -> None:
        """These are committed: there is room again."""
        with self._changed:
            self._bytes -= sum(batch.size_bytes for batch in batches)
            self._next_s = time.monotonic() + PAUSE_S
        self._loop.call_soon_threadsafe(self._room.set)

    def close(self, within_s: float = math.inf) -> None:
        """Nothing more comes: `take` gives what is here, for so long, then None."""
        with self._changed:
            self._end_s = time.monotonic() + within_s
            self._changed.notify()

    def _admit(self, batch: Batch) -> bool:
        self._room.clear()  # before looking: room made after this sets it again
        size = batch.size_bytes
        with self._changed:
            if self._bytes and self._bytes + size > self._max_bytes:
                return False
            self._bytes += size
            self._waiting.append(batch)
            self._changed.notify()
            return True
