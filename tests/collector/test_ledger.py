"""What is taken, what is asked for again, what is acknowledged."""

from hypothesis import given
from hypothesis import strategies as st
from lessllm_collector.ledger import Ledger
from lessllm_shared.wire import Ack, Expect


def test_a_frame_that_continues_is_taken_whole():
    assert Ledger({"g": 4}).repeated("g", 5, 9) == 0


def test_a_frame_that_repeats_is_cut_at_its_beginning():
    ledger = Ledger({"g": 4})
    ledger.take("g", 7)
    assert ledger.repeated("g", 5, 9) == 3
    assert ledger.repeated("g", 2, 4) == 3


def test_a_gap_is_answered_with_the_first_number_that_is_not_committed():
    ledger = Ledger({"g": 4})
    ledger.take("g", 7)
    assert ledger.repeated("g", 9, 12) == Expect("g", 5)


def test_only_commits_are_acknowledged():
    ledger = Ledger({})
    ledger.take("g", 7)
    assert ledger.state("g") == Ack("g", 0)
    assert ledger.commit("g", 5) == Ack("g", 5)


def test_an_acknowledgement_never_goes_back():
    ledger = Ledger({"g": 9})
    assert ledger.commit("g", 5) == Ack("g", 9)


def test_gateways_do_not_mix():
    ledger = Ledger({"a": 4})
    assert ledger.repeated("a", 5, 5) == 0
    assert isinstance(ledger.repeated("b", 5, 5), Expect)


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 12)), max_size=60))
def test_whatever_frames_come_in_whatever_order_each_number_is_taken_once_and_in_order(frames):
    ledger, taken = Ledger({}), []
    for first, more in frames:
        repeated = ledger.repeated("g", first, first + more)
        if isinstance(repeated, Expect):
            continue
        rest = range(first + repeated, first + more + 1)
        if rest:
            ledger.take("g", rest[-1])
            taken += rest
    assert taken == list(range(1, len(taken) + 1))
