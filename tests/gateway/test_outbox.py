"""The outbox: every number once, in order, until committed; what does not fit is declared lost."""

from hypothesis import given
from hypothesis import strategies as st
from lessllm_gateway.outbox import Outbox
from lessllm_shared.wire import Lost, Records


def test_records_are_sent_once_and_again_after_a_rewind():
    outbox = Outbox("g", 100)
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
    outbox = Outbox("g", 3)
    assert outbox.add(b"abc")
    assert not outbox.add(b"d")
    assert not outbox.add(b"e")
    assert outbox.next_frame() == Records("g", 1, [b"abc"])
    assert outbox.next_frame() == Lost("g", 2, 3)
    outbox.acknowledge(3)
    assert (outbox.pending, outbox.pending_bytes, outbox.lost) == (0, 0, 2)


STEPS = st.one_of(
    st.tuples(st.just("add"), st.binary(max_size=8)),
    st.tuples(st.sampled_from(["deliver", "drop", "rewind"]), st.just(b"")),
)


@given(st.lists(STEPS, max_size=60))
def test_whatever_is_dropped_or_sent_twice_each_record_arrives_once_in_order(steps):
    outbox = Outbox("g", 24)
    offered, arrived, committed = {}, {}, 0

    def collect(frame) -> None:
        nonlocal committed
        if frame.first_seq != committed + 1:
            outbox.expect(committed + 1)
            return
        if isinstance(frame, Records):
            arrived.update(enumerate(frame.records, frame.first_seq))
            committed += len(frame.records)
        else:
            arrived.update(dict.fromkeys(range(frame.first_seq, frame.last_seq + 1)))
            committed = frame.last_seq
        outbox.acknowledge(committed)

    for step, data in [*steps, ("rewind", b"")]:
        if step == "add":
            seq = outbox.next_seq
            offered[seq] = data if outbox.add(data) else None
        elif step == "rewind":
            outbox.rewind()
        elif (frame := outbox.next_frame()) is not None and step == "deliver":
            collect(frame)
    while (frame := outbox.next_frame()) is not None:
        collect(frame)
    assert arrived == offered
    assert list(arrived) == sorted(arrived)
    assert outbox.pending == outbox.pending_bytes == 0
