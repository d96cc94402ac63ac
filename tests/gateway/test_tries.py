"""What follows a failed try, and that it all ends."""

import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_gateway.tries import (
    BROKEN,
    BUDGET,
    UNSENT,
    Action,
    Outcome,
    Policy,
    RetryBudget,
    Step,
    Tries,
    answered,
    retry_after_s,
)
from lessllm_shared.config.sections import Retries

NEXT_WAY, NEXT_TARGET = Step(Action.NEXT_WAY), Step(Action.NEXT_TARGET)
NOW = 1_800_000_000.0
PASSING = [408, 409, 429, 500, 502, 503, 529, 599]
OF_THE_PROVIDER = [401, 402, 403, 404]
OF_THE_REQUEST = [400, 405, 413, 415, 422, 499]


def policy(**fields):
    retries = Retries(**{"budget": 1, **fields})
    return Policy(retries, RetryBudget(retries.budget))


def call(its_policy=None, *, has_fallback=False):
    """Of a call whose waits have no jitter."""
    return Tries(its_policy or policy(), has_fallback=has_fallback, draw=lambda: 0.0)


def after(tries, outcome, *, way_left=False, time_left_s=900.0):
    if isinstance(outcome, int):
        outcome = Outcome(status=outcome)
    return tries.after(outcome, way_left=way_left, time_left_s=time_left_s)


def again(wait_s):
    return Step(Action.AGAIN, wait_s)


def test_without_retries_and_fallbacks_every_failure_is_the_clients():
    for outcome in (UNSENT, BROKEN, *PASSING, *OF_THE_PROVIDER, *OF_THE_REQUEST):
        assert after(call(), outcome) is None


def test_what_was_not_sent_goes_another_way_at_once_and_costs_nothing():
    tries = call(policy(attempts=1), has_fallback=True)
    assert [after(tries, UNSENT, way_left=True) for _ in range(50)] == [NEXT_WAY] * 50
    assert after(tries, UNSENT) == again(0.5)
    assert after(tries, UNSENT, way_left=True) == NEXT_WAY
    assert after(tries, UNSENT) == NEXT_TARGET


@pytest.mark.parametrize("outcome", [BROKEN, *PASSING, *OF_THE_PROVIDER, *OF_THE_REQUEST])
def test_what_was_sent_never_goes_another_way(outcome):
    assert after(call(), outcome, way_left=True) is None
    assert after(call(policy(attempts=1)), outcome, way_left=True) != NEXT_WAY


@pytest.mark.parametrize("outcome", [UNSENT, *PASSING])
def test_what_may_pass_is_tried_again_as_often_as_configured_and_then_elsewhere(outcome):
    steps = [again(0.5), again(1.0), again(2.0)]
    for attempts in range(4):
        for has_fallback, last in ((True, NEXT_TARGET), (False, None)):
            tries = call(policy(attempts=attempts), has_fallback=has_fallback)
            assert [after(tries, outcome) for _ in range(attempts + 1)] == [*steps[:attempts], last]


@pytest.mark.parametrize("status", OF_THE_PROVIDER)
def test_what_another_provider_may_not_have_falls_back_at_once(status):
    assert after(call(policy(attempts=2), has_fallback=True), status) == NEXT_TARGET


@pytest.mark.parametrize("status", OF_THE_REQUEST)
def test_a_wrong_request_is_the_clients(status):
    assert after(call(policy(attempts=2), has_fallback=True), status) is None


def test_what_may_have_been_processed_is_sent_again_only_if_told_so():
    assert after(call(policy(attempts=2), has_fallback=True), BROKEN) is None
    tries = call(policy(attempts=1, resend=True), has_fallback=True)
    assert [after(tries, BROKEN) for _ in range(2)] == [again(0.5), NEXT_TARGET]


def test_waits_double_up_to_a_limit_and_vary():
    tries = call(policy(attempts=8))
    assert [after(tries, 500).wait_s for _ in range(7)] == [0.5, 1, 2, 4, 8, 8, 8]
    assert after(call(policy(attempts=1, max_wait_s=0.1)), 500) == again(0.1)
    assert after(
        Tries(policy(attempts=1), has_fallback=False, draw=lambda: 0.999), 500
    ).wait_s == pytest.approx(0.375, rel=0.01)


def test_the_provider_says_how_long_to_wait_and_what_is_too_long_is_not_waited_for():
    asked = [Outcome(status=429, retry_after_s=wait_s) for wait_s in (20.0, 20.1, float("inf"))]
    assert [after(call(policy(attempts=1)), outcome) for outcome in asked] == [again(20.0), None, None]
    assert after(call(policy(attempts=1), has_fallback=True), asked[1]) == NEXT_TARGET
    assert after(call(policy(attempts=1)), asked[0], time_left_s=19) is None
    assert after(call(policy(attempts=1)), 500, time_left_s=0.5) is None


def test_the_provider_says_whether_to_try_again():
    no, yes = Outcome(status=429, should_retry=False), Outcome(status=400, should_retry=True)
    assert after(call(policy(attempts=1)), no) is None
    assert after(call(policy(attempts=1), has_fallback=True), no) == NEXT_TARGET  # it speaks for itself only
    tries = call(policy(attempts=1), has_fallback=True)
    assert [after(tries, yes), after(tries, yes)] == [again(0.5), None]


def test_a_budget_that_all_share_bounds_further_tries():
    shared = RetryBudget(0.5)
    steps = [after(call(Policy(Retries(attempts=1), shared)), 500) for _ in range(1000)]
    assert sum(step is not None for step in steps) == pytest.approx(BUDGET + 1000 * 0.5, abs=1)


def test_without_a_budget_there_are_other_ways_and_other_models_only():
    tries = call(policy(attempts=3, budget=0), has_fallback=True)
    assert [after(tries, UNSENT, way_left=True), after(tries, UNSENT)] == [NEXT_WAY, NEXT_TARGET]


outcomes = st.just(UNSENT) | st.builds(
    Outcome,
    status=st.none() | st.integers(400, 599),
    retry_after_s=st.none() | st.floats(0.001, 100),
    should_retry=st.sampled_from([None, None, True, False]),
)
retries = st.builds(
    Retries,
    attempts=st.integers(0, 10),
    budget=st.floats(0, 1),
    resend=st.booleans(),
    max_wait_s=st.floats(0.01, 60),
)


@given(retries, st.booleans(), st.floats(0, 1, exclude_max=True), st.data())
def test_it_always_ends_within_the_limits(configured, has_fallback, jitter, data):
    tries = Tries(policy(**dict(configured)), has_fallback=has_fallback, draw=lambda: jitter)
    further, ways_left = 0, 2
    for _ in range((configured.attempts + 1) * 3):
        outcome, time_left_s = data.draw(outcomes), data.draw(st.floats(0, 900))
        step = tries.after(outcome, way_left=ways_left > 0, time_left_s=time_left_s)
        if step is None or step.action is Action.NEXT_TARGET:
            assert has_fallback or step is None
            return
        assert configured.resend or not outcome.is_broken
        if step.action is Action.NEXT_WAY:
            assert outcome.is_unsent
            ways_left -= 1
            continue
        further, ways_left = further + 1, 2
        assert further <= configured.attempts
        assert 0 < step.wait_s <= configured.max_wait_s
        assert step.wait_s < time_left_s
        assert configured.budget > 0
    pytest.fail("it never ends")


@given(st.floats(0, 1), st.lists(st.booleans()))
def test_a_budget_never_gives_more_than_it_holds(ratio, calls):
    budget, given_out, deposits = RetryBudget(ratio), 0, 0
    for withdraws in calls:
        if withdraws:
            given_out += budget.withdraw()
        else:
            budget.deposit()
            deposits += 1
        assert 0 <= budget._left <= BUDGET
        assert given_out <= (BUDGET if ratio else 0) + ratio * deposits + 1e-6


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7),
        ({"retry-after": email.utils.formatdate(NOW + 30, usegmt=True)}, 30),
        ({"retry-after": "Friday, 15-Jan-27 08:00:30 GMT"}, 30),
        ({"retry-after": email.utils.formatdate(NOW - 30, usegmt=True)}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 400}, float("inf")),
        ({"retry-after": "Fri, 15 Jan 99999999999 08:00:30 GMT"}, None),
    ],
)
def test_how_long_to_wait_is_read_as_the_sdks_read_it(headers, wait_s):
    assert retry_after_s(headers, NOW) == wait_s


@given(st.text() | st.from_regex(r"\w{3}, \d+ (Jan|Dec) \d+ \d+:\d+:\d+ [-+\w]*"))
def test_whatever_a_header_says_is_a_wait_or_none(value):
    for name in ("retry-after", "retry-after-ms"):
        wait_s = retry_after_s({name: value}, NOW)
        assert wait_s is None or wait_s > 0


def test_an_answer_is_read_for_what_the_provider_wants():
    assert answered(429, {"retry-after": "3", "x-should-retry": "true"}, NOW) == Outcome(
        status=429, retry_after_s=3, should_retry=True
    )
    assert answered(500, {"x-should-retry": "false"}, NOW) == Outcome(status=500, should_retry=False)
    assert answered(500, {"x-should-retry": "perhaps"}, NOW) == Outcome(status=500)
