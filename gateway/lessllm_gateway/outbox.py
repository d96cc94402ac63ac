"""Records that wait for their acknowledgement: numbered, bounded, sent again until committed. Sans I/O.

Memory is bounded by bytes. Where there is a spool, what waits goes to disk, oldest first (`to_spill`), and is
sent from there. When neither has room the newest record is dropped and its number declared lost, so that the
collector knows exactly which are missing: the oldest are kept.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import islice

from lessllm_shared.wire import Lost, Records

from lessllm_gateway.memory import Budget

MAX_BATCH_BYTES = 4 * 1024 * 1024
MAX_BATCH_RECORDS = 500
ITEM_BYTES = 200  # what a record costs beside its bytes


class Where(Enum):
    """Where records are."""

    MEMORY = auto()
    BOTH = auto()  # in memory, and on disk
    DISK = auto()
    NOWHERE = auto()  # lost


@dataclass(slots=True)
class _Run:
    """Records first, first + 1, …, last, all in one kind of place."""

    where: Where
    first: int
    last: int
    records: deque[bytes] = field(default_factory=deque)  # those in memory


@dataclass(frozen=True, slots=True)
class OnDisk:
    """What is to be sent next is on disk, from first_seq up to last_seq at most."""

    first_seq: int
    last_seq: int


class Outbox:
    """Everything of one gateway process that was recorded and is not known to be committed."""

    def __init__(self, gateway_id: str, budget: Budget, committed: int = 0) -> None:
        self.gateway_id = gateway_id
        self.committed = committed  # the highest number that the collector said it has
        self.next_seq = committed + 1
        self._budget = budget
        self._runs: deque[_Run] = deque()  # of all numbers from committed + 1 up to next_seq - 1
        self._to_send = committed + 1  # what is before it is under way

    @property
    def pending(self) -> int:
        """How many numbers are not committed yet."""
        return self.next_seq - 1 - self.committed

    @property
    def only_in_memory(self) -> int:
        """How many of them would be lost with this process."""
        return sum(run.last - run.first + 1 for run in self._runs if run.where is Where.MEMORY)

    @property
    def unsent(self) -> bool:
        """Whether `next_frame` has something to give."""
        return self._to_send < self.next_seq

    @property
    def under_way(self) -> bool:
        """Whether frames were sent that are not answered yet."""
        return self._to_send > self.committed + 1

    def add(self, data: bytes, *, is_on_disk: bool = False) -> bool:
        """Number a record and keep it. False: there was no room, and its number is lost."""
        if self._budget.take(len(data) + ITEM_BYTES):
            run = self._extend(Where.BOTH if is_on_disk else Where.MEMORY)
            run.records.append(data)
            return True
        if is_on_disk:
            self._extend(Where.DISK)
            return True
        self._extend(Where.NOWHERE)
        return False

    def add_on_disk(self, count: int) -> None:
        """These many more are on disk, left by a process that is no more."""
        self._extend(Where.DISK, count)

    def add_lost(self, count: int) -> None:
        """These many more are gone."""
        self._extend(Where.NOWHERE, count)

    def next_frame(self) -> Records | Lost | OnDisk | None:
        """The next frame to send, in order; None when all that waits is under way.

        OnDisk: read them, and say how many were sent (`sent`) or that they are gone (`lose`).
        """
        run = next((run for run in self._runs if run.last >= self._to_send), None)
        if run is None:
            return None
        first = self._to_send
        if run.where is Where.NOWHERE:
            self._to_send = run.last + 1
            return Lost(self.gateway_id, first, run.last)
        if run.where is Where.DISK:
            return OnDisk(first, run.last)
        batch = _batch(islice(run.records, first - run.first, None))
        self._to_send += len(batch)
        return Records(self.gateway_id, first, batch)

    def sent(self, first_seq: int, records: list[bytes]) -> Records | None:
        """The frame for records that were read from disk; None: there was an answer meanwhile, begin anew."""
        if first_seq != self._to_send:
            return None
        self._to_send += len(records)
        return Records(self.gateway_id, first_seq, records)

    def acknowledge(self, committed: int) -> None:
        """Everything up to `committed` is in the database: let go of it."""
        committed = min(committed, self.next_seq - 1)
        while self._runs and self._runs[0].first <= committed:
            run = self._runs[0]
            if run.last <= committed:
                self._forget(run, len(run.records))
                self._runs.popleft()
            else:
                if run.records:
                    self._forget(run, committed + 1 - run.first)
                run.first = committed + 1
        self.committed = max(self.committed, committed)
        self._to_send = max(self._to_send, self.committed + 1)

    def expect(self, next_seq: int) -> int:
        """The collector has everything before `next_seq` and no more: go on from there.

        It may ask for numbers that it had committed, and that are gone here: its database was replaced by
        an empty or an older one. Those are declared lost, or it would ask for ever. Gives how many.
        """
        next_seq = max(1, min(next_seq, self.next_seq))
        self.acknowledge(next_seq - 1)
        oldest = self._runs[0].first if self._runs else self.next_seq
        if next_seq < oldest:
            self._runs.appendleft(_Run(Where.NOWHERE, next_seq, oldest - 1))
        self.committed = next_seq - 1
        self.rewind()
        return max(0, oldest - next_seq)

    def rewind(self) -> None:
        """Send everything again that is not acknowledged: the link was cut, or answers stay out."""
        self._to_send = self.committed + 1

    def to_spill(self) -> tuple[int, list[bytes]] | None:
        """The oldest records that are in memory alone, one batch of them, and the first one's number."""
        run = next((run for run in self._runs if run.where is Where.MEMORY), None)
        return None if run is None else (run.first, _batch(run.records))

    def spilled(self, last_seq: int) -> None:
        """Everything up to this number is on disk: memory needs it no longer."""
        runs: deque[_Run] = deque()
        for run in self._runs:
            count = min(run.last, last_seq) - run.first + 1
            if count <= 0 or run.where in {Where.DISK, Where.NOWHERE}:
                runs.append(run)
                continue
            self._forget(run, count)
            runs.append(_Run(Where.DISK, run.first, run.first + count - 1))
            if run.records:
                run.first += count
                runs.append(run)
        self._runs = _joined(runs)

    def lose(self, first_seq: int, last_seq: int) -> None:
        """These were on disk, and can't be read."""
        runs: deque[_Run] = deque()
        for run in self._runs:
            if run.where is not Where.DISK or run.last < first_seq or run.first > last_seq:
                runs.append(run)
                continue
            parts = (
                (Where.DISK, run.first, first_seq - 1),
                (Where.NOWHERE, max(run.first, first_seq), min(run.last, last_seq)),
                (Where.DISK, last_seq + 1, run.last),
            )
            runs.extend(_Run(*part) for part in parts if part[1] <= part[2])
        self._runs = _joined(runs)

    def _extend(self, where: Where, count: int = 1) -> _Run:
        first = self.next_seq
        self.next_seq += count
        last = self._runs[-1] if self._runs else None
        if last is None or last.where is not where:
            last = _Run(where, first, first - 1)
            self._runs.append(last)
        elif where is Where.NOWHERE:
            self._to_send = min(self._to_send, last.first)  # if it is under way, it goes again, longer
        last.last += count
        return last

    def _forget(self, run: _Run, count: int) -> None:
        for _ in range(min(count, len(run.records))):
            self._budget.give_back(len(run.records.popleft()) + ITEM_BYTES)


def _batch(records: Iterable[bytes]) -> list[bytes]:
    """As many as a frame may hold, and at least one."""
    batch: list[bytes] = []
    size = 0
    for data in records:
        size += len(data)
        if batch and (size > MAX_BATCH_BYTES or len(batch) == MAX_BATCH_RECORDS):
            break
        batch.append(data)
    return batch


def _joined(runs: Iterable[_Run]) -> deque[_Run]:
    """With neighbours that hold no records joined where they are of one kind."""
    joined: deque[_Run] = deque()
    for run in runs:
        last = joined[-1] if joined else None
        if last is not None and last.where is run.where and run.where in {Where.DISK, Where.NOWHERE}:
            last.last = run.last
        else:
            joined.append(run)
    return joined
