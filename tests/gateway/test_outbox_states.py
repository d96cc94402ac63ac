"""Outbox and ledger over a link that loses, repeats and breaks; collectors crash, gateways are killed.

Everything that was added is in the end either in the database, exactly once, or declared lost, and lost
only for a reason; and the end is always reached.
"""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from lessllm_collector.ledger import Ledger
from lessllm_gateway.memory import Budget
from lessllm_gateway.outbox import ITEM_BYTES, OnDisk, Outbox
from lessllm_shared import wire
from lessllm_shared.wire import Ack, Expect, Lost, Records

GATEWAY = "g1"
ROOM_RECORDS = 4
DISK_RECORDS = 6
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
        self.killed: set[int] = set()  # in a gateway's memory alone when it was killed
        self.damaged: set[int] = set()  # on a disk that lost it
        self.disk: dict[int, bytes] = {}
        self.backups: list[Database] = [{}]

    @rule(data=st.binary(min_size=8, max_size=8), always=st.booleans())
    def add(self, data: bytes, always: bool = False) -> None:
        seq = self.outbox.next_seq
        self.added[seq] = data
        is_on_disk = always and self._has_room(1)
        if is_on_disk:
            self.disk[seq] = data
        if not self.outbox.add(data, is_on_disk=is_on_disk):
            self.refused.add(seq)

    @rule()
    def send(self) -> None:
        frame = self.outbox.next_frame()
        if isinstance(frame, OnDisk):
            records = self._read(frame)
            if not records:
                self.outbox.lose(frame.first_seq, frame.first_seq)
            frame = self.outbox.sent(frame.first_seq, records) if records else self.outbox.next_frame()
        if isinstance(frame, Records | Lost):
            self.upward.append(wire.pack(frame))

    @rule(acknowledged_meanwhile=st.integers(0, 4))
    def spill(self, acknowledged_meanwhile: int) -> None:
        """It is a thread that writes: answers come in between."""
        batch = self.outbox.to_spill()
        if batch is None or not self._has_room(len(batch[1])):
            return
        first_seq, records = batch
        for _ in range(acknowledged_meanwhile):
            self.deliver_downward()
        self.disk |= dict(enumerate(records, first_seq))
        self.outbox.spilled(first_seq + len(records) - 1)

    @rule(data=st.data())
    def the_disk_loses_a_record(self, data: st.DataObject) -> None:
        if self.disk:
            seq = data.draw(st.sampled_from(sorted(self.disk)))
            del self.disk[seq]
            self.damaged.add(seq)

    @rule()
    def the_gateway_is_killed_and_what_it_left_adopted(self) -> None:
        """The one that adopts asks how far the collector is, and goes on from there."""
        while self.collector._inbox:
            self.commit()
        committed = max(self.collector.database, default=0)
        self.budget = Budget(self.budget.limit_bytes)
        last = self.outbox.next_seq - 1
        self.outbox = Outbox(GATEWAY, self.budget, committed)
        for seq in range(committed + 1, last + 1):
            if seq in self.disk:
                self.outbox.add_on_disk(1)
            else:
                self.killed.add(seq)
                self.outbox.add_lost(1)
        self.upward.clear()
        self.downward.clear()

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
        held = [record for run in self.outbox._runs for record in run.records]
        assert len(held) <= ROOM_RECORDS

    @invariant()
    def every_number_has_its_place(self) -> None:
        expected = self.outbox.committed + 1
        for run in self.outbox._runs:
            assert run.first == expected <= run.last
            assert len(run.records) in {0, run.last - run.first + 1}
            expected = run.last + 1
        assert expected == self.outbox.next_seq
        assert self.outbox.committed < self.outbox._to_send <= self.outbox.next_seq

    def teardown(self) -> None:
        self._drain()
        self.add(b"the last")  # with which a gateway notices that the collector was reset
        self._drain()
        assert self.collector.database.keys() == self.added.keys()
        for seq, row in self.collector.database.items():
            if row is None:
                assert seq in self.refused | self.gone | self.killed | self.damaged
            else:
                assert row == self.added[seq]
        assert self.outbox.pending == self.budget.used_bytes == 0

    def _has_room(self, count: int) -> bool:
        self.disk = {seq: data for seq, data in self.disk.items() if seq > self.outbox.committed}
        return len(self.disk) + count <= DISK_RECORDS

    def _read(self, wanted: OnDisk) -> list[bytes]:
        records = []
        for seq in range(wanted.first_seq, wanted.last_seq + 1):
            if seq not in self.disk:
                break
            records.append(self.disk[seq])
        return records[:2]

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
