"""Limits and budgets by a clock that a test sets, and what the collector says when a test says it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lessllm_gateway.errors import Rejection
from lessllm_gateway.keys.account import ASSUMED_USD, end_of
from lessllm_gateway.keys.bucket import Bucket
from lessllm_gateway.keys.gate import Gate
from lessllm_gateway.keys.ring import KeyRing
from lessllm_gateway.keys.unacknowledged import EXACT, Unacknowledged
from lessllm_shared.config.sections import Key
from lessllm_shared.record import ApiFormat, CallRecord, EndReason
from lessllm_shared.wire import Spent

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()  # the last day of a month
DAY, MONTH = "2026-11-30", "2026-11"


class Desk:
    """A gate with one key, and the calls that go through it."""

    def __init__(self, **limits):
        self.key = Key(name="team-a", key="lk-a", **limits)
        self.unix_s, self.s, self.number = NOON, 0.0, 0
        self.gate = Gate(KeyRing([self.key]), lambda: self.number, lambda: self.unix_s, lambda: self.s)

    def begin(self):
        return self.gate.admit(self.key)

    def end(self, ticket, end_reason=EndReason.COMPLETE, api_format=ApiFormat.CHAT, provider="openai"):
        self.number += 1
        record = CallRecord(
            request_id="r", t0_unix_ns=0, end_reason=end_reason, api_format=api_format, provider=provider
        )
        self.gate.finish(ticket, record)

    def call(self, **how):
        self.end(self.begin(), **how)

    def hear(self, calls=0, usd=0.0, tokens=0, unpriced_calls=0, *, day=DAY, committed=None):
        """The same of the day and the month."""
        spent = [Spent("team-a", period, calls, usd, tokens, unpriced_calls) for period in (day, day[:7])]
        self.gate.heard(self.number if committed is None else committed, spent)

    def pass_time(self, seconds):
        self.s += seconds
        self.unix_s += seconds

    def refusal(self):
        with pytest.raises(Rejection) as caught:
            self.begin()
        error = caught.value
        return error.status, error.code, int(dict(error.headers).get(b"retry-after", 0))


@settings(deadline=None)
@given(
    st.integers(1, 100_000),
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 200)), max_size=10),
)
def test_a_bucket_gives_its_minutes_worth_and_what_time_fills_and_no_more(per_minute, steps):
    bucket, now, taken = Bucket(per_minute, 0.0), 0.0, 0
    for pause, wanted in steps:
        now += pause
        for _ in range(wanted):
            if bucket.wait_s(now) > 0:
                break
            bucket.take(1, now)
            taken += 1
    assert taken <= per_minute + now * per_minute / 60 + 1e-3


@given(st.integers(1, 100_000), st.floats(0, 1e9), st.floats(0, 1e6))
def test_after_the_wait_that_it_names_a_bucket_gives_again_within_two_minutes(per_minute, amount, at):
    bucket = Bucket(per_minute, at)
    bucket.take(amount, at)
    wait_s = bucket.wait_s(at)
    assert wait_s <= 60 + 60 / per_minute + 1e-6
    assert bucket.wait_s(at + wait_s + 1e-3) == 0


@pytest.mark.parametrize(
    ("per", "at", "end"),
    [
        ("day", "2026-11-30T12:00:00", "2026-12-01T00:00:00"),
        ("day", "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
        ("month", "2026-01-31T00:00:00", "2026-02-01T00:00:00"),
        ("month", "2028-02-29T23:59:59", "2028-03-01T00:00:00"),
        ("month", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_days_and_months_end_at_midnight_utc(per, at, end):
    at, end = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (at, end))
    assert end_of(per, at.timestamp()) == end


def test_requests_a_minute_are_a_burst_and_then_as_many_as_time_brings():
    desk = Desk(requests_per_minute=30)
    for _ in range(30):
        desk.call()
    assert desk.refusal() == (429, "rate_limited", 2)
    desk.pass_time(2)
    desk.call()
    assert desk.refusal() == (429, "rate_limited", 2)


def test_as_many_calls_at_once_as_the_key_may_have():
    desk = Desk(concurrent_calls=2)
    first = desk.begin()
    desk.begin()
    assert desk.refusal() == (429, "rate_limited", 1)
    desk.end(first)
    desk.begin()


def test_tokens_a_minute_are_those_that_the_collector_counts():
    desk = Desk(tokens_per_minute=6000)
    desk.call()
    desk.hear()
    desk.call()
    desk.hear(calls=2, tokens=12_000)  # no more than a minute's worth of debt
    assert desk.refusal() == (429, "rate_limited", 61)
    desk.pass_time(61)
    desk.call()


def test_calls_that_never_reached_a_provider_take_no_tokens():
    desk = Desk(tokens_per_minute=1000)
    for _ in range(20):
        desk.call(end_reason=EndReason.REJECTED, provider=None)
        desk.call(api_format=ApiFormat.OTHER)


def test_a_budget_that_is_used_up_says_until_when():
    desk = Desk(budgets=[{"usd": 1, "per": "month"}])
    desk.hear(calls=10, usd=1.0)
    assert desk.refusal() == (429, "budget_exceeded", 12 * 3600)
    desk.pass_time(12 * 3600)
    desk.call()


def test_the_tightest_of_several_budgets_holds():
    desk = Desk(budgets=[{"usd": 100, "per": "month"}, {"tokens": 500, "per": "day"}])
    desk.hear(calls=10, usd=1.0, tokens=500)
    assert desk.refusal() == (429, "budget_exceeded", 12 * 3600)


def test_calls_that_nobody_has_counted_yet_are_assumed_to_cost_the_mean():
    desk = Desk(budgets=[{"usd": 1, "per": "day"}])
    desk.hear(calls=10, usd=0.7)  # 0.07 each, so five more reach 1.05
    under_way = [desk.begin() for _ in range(5)]
    assert desk.refusal() == (429, "budget_exceeded", 1)
    for ticket in under_way:
        desk.end(ticket)
    assert desk.refusal() == (429, "budget_exceeded", 1)  # not acknowledged
    desk.hear(calls=10, usd=0.7, committed=3)
    desk.hear(calls=15, usd=0.75)  # they were cheap
    desk.begin()


def test_while_nothing_is_heard_a_budget_goes_on_counting():
    desk = Desk(budgets=[{"usd": 5 * ASSUMED_USD, "per": "day"}])
    for _ in range(5):
        desk.call()
        desk.pass_time(60)
    assert desk.refusal() == (429, "budget_exceeded", 1)
    desk.pass_time(12 * 3600)
    for _ in range(5):  # and yesterday's are no part of it
        desk.call()
    assert desk.refusal() == (429, "budget_exceeded", 1)


def test_calls_without_a_price_count_as_the_mean_of_the_others():
    desk = Desk(budgets=[{"usd": 1, "per": "month"}])
    desk.hear(calls=10, usd=0.5, unpriced_calls=5)  # 0.1 each
    assert desk.refusal()[:2] == (429, "budget_exceeded")
    desk.hear(calls=9, usd=0.5, unpriced_calls=4)
    desk.begin()


def test_what_an_answer_repeats_or_takes_back_is_the_last_word():
    desk = Desk(budgets=[{"usd": 1, "per": "month"}])
    for usd, is_let_in in ((0.9, True), (0.9, True), (1.1, False), (0.2, True)):
        desk.hear(calls=10, usd=usd)
        if is_let_in:
            desk.call(end_reason=EndReason.REJECTED)
        else:
            assert desk.refusal()[1] == "budget_exceeded"


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"enabled": False}, "client_key_disabled"), ({"expires": "2026-11-30T12:00:00"}, "client_key_expired")],
)
def test_a_key_that_is_off_or_expired_lets_nobody_in(fields, code):
    assert Desk(**fields).refusal() == (401, code, 0)
    assert Desk(expires="2026-12-01").begin() is None  # without limits there is nothing to keep


def test_other_limits_hold_from_the_next_call_on_and_what_was_spent_stays():
    desk = Desk(budgets=[{"usd": 1, "per": "month"}], requests_per_minute=1000)
    desk.hear(calls=10, usd=0.5)
    desk.call()
    desk.key = Key(name="team-a", key="another", budgets=[{"usd": 0.4, "per": "month"}])
    desk.gate.ring.replace([desk.key])
    assert desk.refusal()[1] == "budget_exceeded"
    desk.key = Key(name="team-a", key="another", requests_per_minute=1)
    desk.gate.ring.replace([desk.key])
    desk.call()
    assert desk.refusal()[1] == "rate_limited"


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 3 * EXACT), min_size=1, max_size=5))
def test_of_however_many_unacknowledged_calls_none_is_forgotten(acknowledged):
    desk, waiting = Desk(budgets=[{"tokens": 1, "per": "day"}]), Unacknowledged()
    account = desk.gate._holder(desk.key).account
    for number in range(1, 2 * EXACT + 1):
        waiting.add(number, account, DAY, 1.0)
    released = 0.0
    for committed in sorted(acknowledged):
        released += waiting.acknowledge(committed).get(account, 0.0)
        left = account.use(desk.key.budgets[0], DAY).likely / account.mean_tokens
        assert left + released == pytest.approx(2 * EXACT)
        assert left >= max(0, 2 * EXACT - committed)
    assert waiting.acknowledge(2 * EXACT).get(account, 0.0) + released == pytest.approx(2 * EXACT)
    assert account.is_settled
