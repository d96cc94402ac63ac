"""Prompts that change early: what is found, and the dollars by hand.

Texts have 4 bytes a token, the JSON around them included; a line more in front of one is within the 1 % by
which figures may differ.
"""

import pytest

from .workload import Calls, chat, openai, text


def about(usd):
    return pytest.approx(usd, rel=0.01)


def test_a_time_of_day_in_front_of_instructions_costs_all_that_is_behind_it():
    calls = Calls()
    for n in range(10):
        system = f"It is 2026-11-25 10:{n:02}:07.\n{text('rules', 8000)}"
        calls.add(n * 60, chat(system, text(f"q{n}", 40)), openai(8060))
    found = calls.findings()
    # gpt-4.1: p = $2 per million, r = 0.25. Nine calls have the same 8,000 tokens behind the time as the one
    # before, within the cache's time: 9 · 8,000 · 2e-6 · 0.75 = $0.108.
    assert found.keys() == {"volatile_early_content"}
    finding = found["volatile_early_content"]
    assert finding.usd == about(0.108)
    assert len(finding.losses) == 9
    assert finding.losses[0].path == "messages[0].content"
    assert finding.losses[0].what == "date"
    assert finding.tokens == about(72_000)


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("6f1c9f6e-58a1-4a5d-9f0e-0a4d3a1b2c3d", "0e9d8c7b-1234-4bcd-8aaa-0123456789ab", "UUID"),
        ("1790000000", "1790000061", "timestamp"),
        ("request 17", "request 18", "number"),
        ("10:59:59", "11:00:00", "time"),
        ("id 9f86d081884c7d65", "id 9f86e13b0a4c7aa1", "hexadecimal id"),
    ],
)
def test_what_changes_is_named(first, second, kind):
    calls = Calls()
    for n in range(8):
        system = f"{(first, second)[n % 2]}\n{text(n // 2, 8000)}"
        calls.add(n * 60, chat(system, "q"), openai(8020))
    finding = calls.findings()["volatile_early_content"]
    assert {one.what for one in finding.losses} == {kind}
    assert len(finding.losses) == 4


def test_calls_too_far_apart_lose_nothing_by_a_time_of_day():
    calls = Calls()
    for n in range(10):
        calls.add(n * 1200, chat(f"It is {n + 10}:07\n{text('rules', 8000)}", "q"), openai(8020))
    assert calls.findings() == {}


def test_a_time_of_day_at_the_end_costs_nothing():
    calls = Calls()
    for n in range(10):
        cached = 7936 if n else 0
        calls.add(
            n * 60,
            chat(text("rules", 8000), f"{text(f'q{n}', 40)} It is 10:{n:02}."),
            openai(8060, cached),
        )
    assert calls.findings() == {}


def test_a_time_of_day_in_front_of_little_costs_nothing():
    calls = Calls()
    for n in range(10):
        calls.add(n * 60, chat(f"It is 10:{n:02}.\n{text('rules', 500)}", text(f"q{n}", 40)), openai(560))
    assert calls.findings() == {}
