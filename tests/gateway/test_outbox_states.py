"""Outbox and ledger over a link that loses, repeats and breaks, with a collector that crashes and is reset.

Everything that was added is in the end either in the database, exactly once, or declared lost, and lost
only for a reason; and the end is always reached.
"""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from lessllm_collector.ledger import Ledger
from lessllm_gateway.memory import Budget
from lessllm_gateway.outbox import ITEM_BYTES, Outbox
from lessllm_shared import wire
from lessllm_shared.wire import Ack, Expect, Lost, Records

GATEWAY = "g1"
ROOM_RECORDS = 4
Database = dict[int, bytes | None]  # sequence number → the record, None: declared lost


class Collector:
    """What receiver and writer do with ledger and database; `crash` forgets all that is not committed."""

    def __init__(self) -> None:
        self.database: Database = {}
        self.restart(self.database)

    def restart(self, database: Database) -> None:
        self.database = database
        self._ledger = Ledger({GATEWAY: max(database)} if database else {})
        self._inbox: deque[tuple[int, list[bytes | None]]] = deque()

    def receive(self, frame: Records | Lost) -> Ack | Expect | None:
        rows = list(frame.records) if isinstance(frame, Records) else []
        last_seq = frame.last_seq if isinstance(frame, Lost) else frame.first_seq + len(rows) - 1
        repeated = self._ledger.repeated(GATEWAY, frame.first_seq, last_seq)
        if isinstance(repeated, Expect):
            return repeated
        first_seq = frame.first_seq + repeated
        if first_seq > last_seq:
            return self._ledger.state(GATEWAY)
        self._ledger.take(GATEWAY, last_seq)
        rest = rows[repeated:] if rows else [None] * (last_seq - first_seq + 1)
        self._inbox.append((first_seq, rest))
        return None

    def commit(self) -> Ack | None:
        if not self._inbox:
            return None
        first_seq, rows = self._inbox.popleft()
        for seq, row in enumerate(rows, first_seq):
            assert seq not in self.database, "a row came twice"
            self.database[seq] = row
        return self._ledger.commit(GATEWAY, first_seq + len(rows) - 1)


class Delivering(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.budget = Budget(ROOM_RECORDS * (ITEM_BYTES + 8))
        self.outbox = Outbox(GATEWAY, self.budget)
        self.collector = Collector()
        self.upward: deque[bytes] = deque()
        self.downward: deque[bytes] = deque()
        self.added: dict[int, bytes] = {}
        self.refused: set[int] = set()  # did not fit
        self.gone: set[int] = set()  # committed once, in a database that is no more
        self.backups: list[Database] = [{}]

    @rule(data=st.binary(min_size=8, max_size=8))
    def add(self, data: bytes) -> None:
        seq = self.outbox.next_seq
        self.added[seq] = data
        if not self.outbox.add(data):
            self.refused.add(seq)

    @rule()
    def send(self) -> None:
        if (frame := self.outbox.next_frame()) is not None:
            self.upward.append(wire.pack(frame))

    @rule(times=st.integers(1, 2))
    def deliver_upward(self, times: int) -> None:
        """Twice: a frame that the gateway sent again, though it had arrived."""
        if self.upward:
            frame = wire.unpack_to_collector(self.upward.popleft())
            for _ in range(times):
                self._answer(self.collector.receive(frame))

    @rule()
    def deliver_downward(self) -> None:
        if self.downward:
            answer = wire.unpack_to_gateway(self.downward.popleft())
            if isinstance(answer, Ack):
                self.outbox.acknowledge(answer.committed)
            else:
                self.outbox.expect(answer.next_seq)

    @rule()
    def commit(self) -> None:
        self._answer(self.collector.commit())

    @rule()
    def resend(self) -> None:
        self.outbox.rewind()

    @rule(lost_upward=st.integers(0, 3))
    def the_link_breaks(self, lost_upward: int) -> None:
        """What was under way is gone, or its beginning is: ZeroMQ gives what is left to the next one."""
        for _ in range(min(lost_upward, len(self.upward))):
            self.upward.popleft()
        self.downward.clear()

    @rule()
    def the_collector_crashes(self) -> None:
        self._restart(self.collector.database)

    @rule()
    def back_up(self) -> None:
        self.backups.append(dict(self.collector.database))

    @rule(data=st.data())
    def the_database_is_replaced_by_an_older_one(self, data: st.DataObject) -> None:
        backup = data.draw(st.sampled_from(self.backups))
        self.gone |= self.collector.database.keys() - backup.keys()
        self._restart(dict(backup))
        # A backup that is newer than the database in use is of another past.
        self.backups = [older for older in self.backups if len(older) <= len(backup)]

    @precondition(lambda self: self.outbox.pending)
    @rule()
    def all_is_well_for_a_while(self) -> None:
        self._drain()

    @invariant()
    def memory_is_bounded(self) -> None:
        assert 0 <= self.budget.used_bytes <= self.budget.limit_bytes
        assert len(self.outbox._items) <= 2 * ROOM_RECORDS + 2

    def teardown(self) -> None:
        self._drain()
        self.add(b"the last")  # with which a gateway notices that the collector was reset
        self._drain()
        assert self.collector.database.keys() == self.added.keys()
        for seq, row in self.collector.database.items():
            if row is None:
                assert seq in self.refused | self.gone
            else:
                assert row == self.added[seq]
        assert self.outbox.pending == self.budget.used_bytes == 0

    def _answer(self, answer: Ack | Expect | None) -> None:
        if answer is not None:
            self.downward.append(wire.pack(answer))

    def _restart(self, database: Database) -> None:
        self.collector.restart(database)
        self.downward.clear()

    def _drain(self) -> None:
        for _ in range(5 * len(self.added) + 20):
            if not self.outbox.pending:
                return
            if not (self.upward or self.downward or self.outbox.unsent or self.collector._inbox):
                self.outbox.rewind()  # no answer came for a while
            self.send()
            self.deliver_upward(times=1)
            self.commit()
            self.deliver_downward()
        raise AssertionError("the records never arrive")


Delivering.TestCase.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
TestDelivering = Delivering.TestCase
