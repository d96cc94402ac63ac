"""Calls that come too early or too late for what others wrote: what is found, and the dollars by hand."""

import pytest

from .test_marked import about, marked
from .workload import Calls, anthropic, chat, claude, openai, text


def test_writes_that_nobody_reads():
    calls = Calls("anthropic", "claude-sonnet-5")
    for n in range(10):
        calls.add(n * 60, claude([marked(f"rules {n}", 5000)], text(f"q{n}", 50)), anthropic(5060, 0, 5000))
    found = calls.findings()
    # p = $2 per million, w = 1.25: 10 · 5,000 · 2e-6 · 0.25 = $0.025.
    assert found.keys() == {"write_never_read"}
    assert found["write_never_read"].usd == about(0.025)


def test_writes_for_an_hour_cost_twice():
    calls = Calls("anthropic", "claude-sonnet-5")
    for n in range(10):
        body = claude([marked(f"rules {n}", 5000, ttl="1h")], text(f"q{n}", 50))
        calls.add(n * 60, body, anthropic(5060, 0, 0, 5000))
    found = calls.findings()
    # For 5 minutes they would have cost less: 10 · 5,000 · 2e-6 · (2 - 1.25) = $0.075.
    assert found.keys() == {"ttl_gaps"}
    assert found["ttl_gaps"].usd == about(0.075)


def test_what_is_written_for_an_hour_and_never_read_costs_an_hours_fee():
    calls = Calls("anthropic", "claude-sonnet-5")
    for n in range(20):  # for these an hour is right
        body = claude([marked("rules", 5000, ttl="1h")], text(f"q{n}", 50))
        calls.add(n * 900, body, anthropic(5060, 5000 if n else 0, 0, 0 if n else 5000))
    for n in range(5):
        system = [{"type": "text", "text": text(f"own {n}", 100)}, marked(f"more {n}", 5000, ttl="1h")]
        calls.add(n * 900 + 60, claude(system, "q"), anthropic(5110, 0, 0, 5100))
    found = calls.findings()
    # 5 · 5,100 · 2e-6 · (2 - 1) = $0.051.
    assert found.keys() == {"write_never_read"}
    assert found["write_never_read"].usd == about(0.051)


def test_what_is_mostly_explained_by_something_else_is_not_told_again_for_the_rest():
    calls = Calls("anthropic", "claude-sonnet-5")
    for n in range(8):
        calls.add(n * 0.1, claude([marked("rules", 5000)], text(f"q{n}", 50)), anthropic(5060, 0, 5000))
    for n in range(3):
        body = claude([marked(f"rules {n}", 5000)], "q")
        calls.add(1000 + n * 60, body, anthropic(5010, 0, 5000))
    # Of 11 writes that nobody read, 7 were for a cold start.
    assert calls.findings().keys() == {"parallel_cold_start"}


def test_what_the_provider_counted_until_the_last_mark_is_surer_than_bytes():
    calls = Calls("anthropic", "claude-sonnet-5")
    for n in range(5):
        body = claude([marked("rules", 5000)], text(f"q{n}", 50))
        calls.add(n * 0.1, body, anthropic(9000, 0, 5000))  # 4,000 tokens in the 200 bytes behind it
    # 4 · 5,000 · 2e-6 · (1.25 - 0.1) = $0.046.
    assert calls.findings()["parallel_cold_start"].usd == about(0.046)


def test_what_may_still_be_read_is_not_wasted_yet():
    calls = Calls("anthropic", "claude-sonnet-5")
    for n in range(10):
        calls.add(n, claude([marked(f"rules {n}", 5000)], text(f"q{n}", 50)), anthropic(5060, 0, 5000))
    assert calls.findings(until_s=200) == {}
    assert "write_never_read" in calls.findings(until_s=400)


def test_the_end_of_a_conversation_is_no_waste():
    calls = Calls("anthropic", "claude-sonnet-5")
    for talk in range(5):
        turns = [text(f"t{talk}", 1000)]
        for n in range(5):
            size = 3000 + 1000 * len(turns)
            read = size - 2000 if n else 0
            body = {**claude(text(talk, 3000), *turns), "cache_control": {"type": "ephemeral"}}
            calls.add(talk * 1000 + n * 60, body, anthropic(size, read, size - read))
            turns += [text(f"a{talk} {n}", 1000), text(f"t{talk} {n + 1}", 1000)]
    assert calls.findings() == {}


def test_equal_prompts_before_the_first_is_there_to_be_read():
    calls = Calls("anthropic", "claude-sonnet-5")
    for n in range(5):
        body = claude([marked("rules", 5000)], text(f"q{n}", 50))
        calls.add(n * 0.1, body, anthropic(5060, 0, 5000))
    found = calls.findings()
    # 4 · 5,000 · 2e-6 · (1.25 - 0.1) = $0.046.
    assert found.keys() == {"parallel_cold_start"}
    assert found["parallel_cold_start"].usd == about(0.046)


def test_equal_prompts_at_once_without_a_fee_for_writing():
    calls = Calls("openai", "gpt-4.1")
    for n in range(5):
        calls.add(n * 0.1, chat(text("rules", 5000), text(f"q{n}", 50)), openai(5050))
    # 4 · 5,000 · 2e-6 · (1 - 0.25) = $0.03.
    assert calls.findings()["parallel_cold_start"].usd == about(0.03)


def test_prompts_one_after_the_other_start_warm():
    calls = Calls("anthropic", "claude-sonnet-5")
    for n in range(5):
        body = claude([marked("rules", 5000)], text(f"q{n}", 50))
        calls.add(n * 10, body, anthropic(5060, 5000 if n else 0, 0 if n else 5000))
    assert calls.findings() == {}


def test_gaps_between_five_minutes_and_an_hour():
    calls = Calls("anthropic", "claude-sonnet-5")
    for n in range(10):
        calls.add(n * 900, claude([marked("rules", 5000)], text(f"q{n}", 50)), anthropic(5060, 0, 5000))
    found = calls.findings()
    # For 5 minutes: 10 writes, 10 · 1.25. For an hour: one write and 9 reads, 2 + 9 · 0.1.
    # 5,000 · 2e-6 · (12.5 - 2.9) = $0.096.
    assert found.keys() == {"ttl_gaps"}
    assert found["ttl_gaps"].usd == about(0.096)
    assert {one.what for one in found["ttl_gaps"].losses} == {"1h"}


def test_an_hour_paid_for_minutes():
    calls = Calls("anthropic", "claude-sonnet-5")
    for n in range(40):
        at_s = n // 2 * 4000 + n % 2 * 60
        body = claude([marked("rules", 5000, ttl="1h")], text(f"q{n}", 50))
        calls.add(at_s, body, anthropic(5060, 5000, 0) if n % 2 else anthropic(5060, 0, 0, 5000))
    found = calls.findings()
    # 20 times one write and one read: 20 · 5,000 · 2e-6 · (2 - 1.25) = $0.15.
    assert found.keys() == {"ttl_gaps"}
    assert found["ttl_gaps"].usd == about(0.15)
    assert {one.what for one in found["ttl_gaps"].losses} == {"5m"}


@pytest.mark.parametrize("gap_s", [100, 4000])
def test_gaps_for_which_five_minutes_are_right(gap_s):
    calls = Calls("anthropic", "claude-sonnet-5")
    for n in range(10):
        is_read = n and gap_s < 300
        usage = anthropic(5060, 5000, 0) if is_read else anthropic(5060, 0, 5000)
        calls.add(n * gap_s, claude([marked("rules", 5000)], text(f"q{n}", 50)), usage)
    assert "ttl_gaps" not in calls.findings()
