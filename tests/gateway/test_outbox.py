"""The outbox: every number once, in order, until committed; what does not fit is declared lost."""

from lessllm_gateway.memory import Budget
from lessllm_gateway.outbox import ITEM_BYTES, Outbox
from lessllm_shared.wire import Lost, Records


def test_records_are_sent_once_and_again_after_a_rewind():
    outbox = Outbox("g", Budget(1000))
    outbox.add(b"a")
    outbox.add(b"b")
    assert outbox.next_frame() == Records("g", 1, [b"a", b"b"])
    assert outbox.next_frame() is None
    outbox.rewind()
    assert outbox.next_frame() == Records("g", 1, [b"a", b"b"])
    outbox.acknowledge(1)
    outbox.rewind()
    assert outbox.next_frame() == Records("g", 2, [b"b"])


def test_a_record_that_does_not_fit_is_lost_and_said_to_be():
    budget = Budget(ITEM_BYTES + 3)
    outbox = Outbox("g", budget)
    assert outbox.add(b"abc")
    assert not outbox.add(b"d")
    assert not outbox.add(b"e")
    assert outbox.next_frame() == Records("g", 1, [b"abc"])
    assert outbox.next_frame() == Lost("g", 2, 3)
    outbox.acknowledge(3)
    assert (outbox.pending, budget.used_bytes) == (0, 0)


def test_what_would_be_lost_with_the_process_is_known():
    outbox = Outbox("g", Budget(2 * ITEM_BYTES + 2))
    for on_disk in (True, False, False, False):
        outbox.add(b"a", is_on_disk=on_disk)
    assert (outbox.pending, outbox.only_in_memory) == (4, 1)  # two are lost already
    outbox.spilled(2)
    assert outbox.only_in_memory == 0


def test_losses_while_a_loss_is_under_way_make_it_longer_instead_of_more():
    outbox = Outbox("g", Budget(0))
    for seq in range(1, 1000):
        outbox.add(b"x")
        assert outbox.next_frame() == Lost("g", 1, seq)
    assert len(outbox._runs) == 1


def test_a_collector_that_lost_its_database_is_told_what_is_gone_and_gets_the_rest():
    outbox = Outbox("g", Budget(1000))
    for data in (b"a", b"b", b"c"):
        outbox.add(data)
    outbox.next_frame()
    outbox.acknowledge(2)
    assert outbox.expect(1) == 2
    assert outbox.pending == 3
    assert outbox.next_frame() == Lost("g", 1, 2)
    assert outbox.next_frame() == Records("g", 3, [b"c"])
    assert outbox.expect(1) == 0  # asked again before that came there: nothing more is lost


def test_an_older_database_gets_only_what_it_lacks_declared_lost():
    outbox = Outbox("g", Budget(1000))
    for data in (b"a", b"b", b"c"):
        outbox.add(data)
    outbox.next_frame()
    outbox.acknowledge(3)
    assert outbox.expect(2) == 2
    assert outbox.next_frame() == Lost("g", 2, 3)
    assert outbox.next_frame() is None


def test_numbers_that_were_never_sent_can_be_neither_acknowledged_nor_expected():
    outbox = Outbox("g", Budget(1000))
    outbox.add(b"a")
    outbox.acknowledge(99)
    assert outbox.committed == 1
    assert outbox.expect(99) == 0
    assert outbox.expect(-5) == 1
    outbox.add(b"b")
    assert outbox.next_frame() == Lost("g", 1, 1)
    assert outbox.next_frame() == Records("g", 2, [b"b"])


def test_what_is_added_after_an_acknowledgement_is_the_next_to_be_sent():
    outbox = Outbox("g", Budget(1000))
    outbox.add(b"a")
    outbox.next_frame()
    outbox.acknowledge(1)
    outbox.add(b"b")
    assert outbox.next_frame() == Records("g", 2, [b"b"])
