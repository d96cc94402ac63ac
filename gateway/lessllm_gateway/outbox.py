"""Records that wait for their acknowledgement: numbered, bounded, sent again until committed. Sans I/O.

Memory is bounded by bytes. When it is full the newest record is dropped and its number declared lost,
so that the collector knows exactly which are missing: the oldest are kept.
"""

from collections import deque
from dataclasses import dataclass

from lessllm_shared.wire import Lost, Records

from lessllm_gateway.memory import Budget

MAX_BATCH_BYTES = 4 * 1024 * 1024
MAX_BATCH_RECORDS = 500
ITEM_BYTES = 200  # what a record costs beside its bytes: an object, three numbers, a place in the queue


@dataclass(slots=True)
class _Item:
    first_seq: int
    last_seq: int
    data: bytes | None  # None: these numbers are lost


class Outbox:
    """Everything that was recorded and is not known to be committed."""

    def __init__(self, gateway_id: str, budget: Budget) -> None:
        self.gateway_id = gateway_id
        self.committed = 0  # the highest number that the collector said it has
        self.next_seq = 1
        self._budget = budget
        self._items: deque[_Item] = deque()
        self._sent = 0  # how many of the items, from the left, are under way

    @property
    def pending(self) -> int:
        """How many numbers are not committed yet."""
        return self.next_seq - 1 - self.committed

    @property
    def unsent(self) -> bool:
        """Whether `next_frame` has something to give."""
        return self._sent < len(self._items)

    @property
    def under_way(self) -> bool:
        """Whether frames were sent that are not answered yet."""
        return self._sent > 0

    def add(self, data: bytes) -> bool:
        """Number a record and keep it. False: there was no room, and its number is lost."""
        seq = self.next_seq
        self.next_seq += 1
        if self._budget.take(len(data) + ITEM_BYTES):
            self._items.append(_Item(seq, seq, data))
            return True
        last = self._items[-1] if self._items else None
        if last is not None and last.data is None:
            last.last_seq = seq
            self._sent = min(self._sent, len(self._items) - 1)  # if it was under way, it goes again, longer
        else:
            self._items.append(_Item(seq, seq, None))
        return False

    def next_frame(self) -> Records | Lost | None:
        """The next frame to send, in order; None when all that waits is under way."""
        if not self.unsent:
            return None
        first = self._items[self._sent]
        if first.data is None:
            self._sent += 1
            return Lost(self.gateway_id, first.first_seq, first.last_seq)
        batch: list[bytes] = []
        size = 0
        while self.unsent and len(batch) < MAX_BATCH_RECORDS:
            data = self._items[self._sent].data
            if data is None or (batch and size + len(data) > MAX_BATCH_BYTES):
                break
            batch.append(data)
            size += len(data)
            self._sent += 1
        return Records(self.gateway_id, first.first_seq, batch)

    def acknowledge(self, committed: int) -> None:
        """Everything up to `committed` is in the database: let go of it."""
        while self._items and self._items[0].last_seq <= committed:
            item = self._items.popleft()
            if item.data is not None:
                self._budget.give_back(len(item.data) + ITEM_BYTES)
            self._sent = max(0, self._sent - 1)
        self.committed = max(self.committed, min(committed, self.next_seq - 1))

    def expect(self, next_seq: int) -> int:
        """The collector has everything before `next_seq` and no more: go on from there.

        It may ask for numbers that it had committed, and that are gone here: its database was replaced by
        an empty or an older one. Those are declared lost, or it would ask for ever. Gives how many.
        """
        next_seq = max(1, min(next_seq, self.next_seq))
        self.acknowledge(next_seq - 1)
        self.committed = next_seq - 1
        oldest = self._items[0].first_seq if self._items else self.next_seq
        if next_seq < oldest:
            self._items.appendleft(_Item(next_seq, oldest - 1, None))
        self.rewind()
        return max(0, oldest - next_seq)

    def rewind(self) -> None:
        """Send everything again that is not acknowledged: the link was cut, or answers stay out."""
        self._sent = 0
