"""What a translation leaves out: refused by name, or named in a header that no client breaks out of."""

import pytest
from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.translation import MAX_HEADER_CHARS, Wanted


def wanted(*, drops: bool) -> Wanted:
    return Wanted("a-model", streaming=False, includes_usage=False, drops=drops)


def test_what_can_not_be_kept_is_refused_by_name():
    with pytest.raises(Rejection) as caught:
        wanted(drops=False).drop("seed", "has no counterpart")
    assert (caught.value.status, caught.value.code) == (400, "unsupported_parameter")
    assert caught.value.message.startswith("seed: has no counterpart")


def test_what_is_left_out_is_named_once_and_in_order():
    it = wanted(drops=True)
    it.drop("seed", "has no counterpart")
    it.leave_out("prompt_cache_key")
    it.drop("seed", "has no counterpart")
    assert it.dropped_header() == b"seed, prompt_cache_key"


def test_what_changes_nothing_of_the_answer_is_never_refused():
    it = wanted(drops=False)
    it.leave_out("prompt_cache_key")
    assert it.dropped_header() == b"prompt_cache_key"


def test_a_clients_field_can_not_break_out_of_the_header():
    it = wanted(drops=True)
    it.drop("x\r\nset-cookie: a=b, \u20ac", "has no counterpart")
    assert it.dropped_header() == b"x??set-cookie??a?b???"


def test_header_and_message_have_bounds():
    it = wanted(drops=True)
    for number in range(1000):
        it.drop(f"{number}{'x' * 1000}", "has no counterpart")
    assert len(it.dropped_header()) == MAX_HEADER_CHARS
    with pytest.raises(Rejection) as caught:
        wanted(drops=False).drop("x" * 100_000, "has no counterpart")
    assert len(caught.value.message) < 300
