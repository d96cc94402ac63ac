"""Prompts that change early: what is found, and the dollars by hand.

Texts have 4 bytes a token, the JSON around them included; a line more in front of one is within the 1 % by
which figures may differ.
"""

import random

import pytest

from .workload import CACHED, Calls, anthropic, chat, claude, openai, text


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


def test_what_was_read_from_cache_all_the_same_is_not_lost():
    calls = Calls()
    for n in range(10):
        system = f"It is 2026-11-25 10:{n:02}:07.\n{text('rules', 8000)}"
        calls.add(n * 60, chat(system, text(f"q{n}", 40)), openai(8060, 6000 if n else 0))
    # 9 · (8,000 - 6,000) · 2e-6 · 0.75 = $0.027.
    assert calls.findings()["volatile_early_content"].usd == pytest.approx(0.027, rel=0.02)


def test_a_time_of_day_in_front_of_little_costs_nothing():
    calls = Calls()
    for n in range(10):
        calls.add(n * 60, chat(f"It is 10:{n:02}.\n{text('rules', 500)}", text(f"q{n}", 40)), openai(560))
    assert calls.findings() == {}


def test_numbers_that_have_nothing_in_common_are_no_volatile_text():
    calls = Calls()
    for n in range(10):
        numbers = " ".join(str(random.Random(f"{n} {each}").randint(1000, 9999)) for each in range(4000))
        calls.add(n * 60, chat("Add these up.", numbers), openai(5050))
    assert calls.findings() == {}


def tool(name, tokens=800, *, shuffled=False):
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "number"}}}
    if shuffled:
        schema = {"properties": {"b": {"type": "number"}, "a": {"type": "string"}}, "type": "object"}
    function = {"name": name, "description": text(name, tokens, around=200), "parameters": schema}
    return {"type": "function", "function": function}


def with_tools(n, tools):
    return {"tools": tools, **chat(text("rules", 2000), text(f"q{n}", 50))}


def test_tools_in_another_order():
    tools = [tool("search"), tool("fetch"), tool("order")]
    calls = Calls()
    orders = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    for n, order in enumerate(orders):
        calls.add(n * 60, with_tools(f"x{n}", [tools[place] for place in order]), openai(4450))
    found = calls.findings()
    # 2,400 tokens of tools and 2,000 of rules. Of these an earlier call with the same first tool had 800:
    # the second, fourth and sixth call lose 3,600, the third and the fifth 4,400.
    # (3 · 3,600 + 2 · 4,400) · 2e-6 · (1 - 0.25) = $0.0294.
    assert found.keys() == {"tools_reordered"}
    assert found["tools_reordered"].usd == about(0.0294)
    assert {one.what for one in found["tools_reordered"].losses} == {"come in another order"}


def test_keys_of_schemas_in_another_order():
    calls = Calls()
    for n in range(6):
        tools = [tool("search", 150, shuffled=n % 2 == 1), tool(f"of its own {n // 2}")]
        calls.add(n * 60, with_tools(f"x{n}", tools), openai(3000))
    found = calls.findings()
    # Each pair of calls has its own second tool. The second of a pair loses both tools and the rules, 2,950
    # tokens, but for the first tool, which calls before had with these keys, from the second pair on.
    # (2,950 + 2 · 2,800) · 2e-6 · 0.75 = $0.012825.
    assert found.keys() == {"tools_reordered"}
    assert found["tools_reordered"].usd == about(0.012825)
    assert {one.what for one in found["tools_reordered"].losses} == {"have their keys shuffled"}


def test_tools_in_one_order_lose_nothing():
    calls = Calls()
    for n in range(6):
        cached = 4352 if n else 0
        calls.add(
            n * 60, with_tools(f"x{n}", [tool("search"), tool("fetch"), tool("order")]), openai(4450, cached)
        )
    assert calls.findings() == {}


def histories(turns):
    """What is said until each call of a conversation: messages of 1,000 tokens."""
    said = [text("t0", 1000)]
    for n in range(turns):
        yield n, list(said)
        said += [text(f"a{n}", 1000), text(f"t{n + 1}", 1000)]


def test_a_history_whose_first_message_is_another_one_each_time():
    calls = Calls()
    letters = "ghijkl"
    for n, history in histories(6):
        summary = f"So far: {text(letters[n], 500)}"
        calls.add(
            n * 60, chat(text("rules", 2000), summary, "ok", *history), openai(2500 + 1000 * len(history))
        )
    found = calls.findings()
    # The summary changes; behind it are 1, 3, 5, 7, 9 thousand tokens that the call before had as well.
    # 25,000 · 2e-6 · 0.75 = $0.0375.
    assert found.keys() == {"history_rewritten"}
    assert found["history_rewritten"].usd == about(0.0375)


def test_a_window_that_slides_over_the_history():
    calls = Calls()
    for n, history in histories(8):
        window = history[-5:]
        calls.add(n * 60, chat(text("rules", 2000), *window), openai(2000 + 1000 * len(window), 2000))
    found = calls.findings()
    # Calls of 1, 3, 5, 5, 5, … turns: from the fourth on, 3 of them were in the call before, behind those
    # that have left. 5 · 3,000 · 2e-6 · 0.75 = $0.0225.
    assert found["history_rewritten"].usd == about(0.0225)


def test_a_history_that_only_grows():
    calls = Calls()
    for n, history in histories(6):
        total = 2000 + 1000 * len(history)
        calls.add(n * 60, chat(text("rules", 2000), *history), openai(total, total - 2000 if n else 0))
    assert calls.findings() == {}


def test_a_history_that_changes_together_with_a_setting_is_not_told_as_rewritten():
    calls = Calls("anthropic", "claude-sonnet-5")
    letters = "ghijkl"
    for n, history in histories(6):
        turns = (f"So far: {text(letters[n], 500)}", "ok", *history)
        body = {**claude(text("rules", 3000), *turns), "tool_choice": {"type": ("auto", "any")[n % 2]}}
        calls.add(n * 60, body, anthropic(3500 + 1000 * len(history)))
    assert "history_rewritten" not in calls.findings()


def test_a_document_that_several_conversations_have_in_their_middle_is_no_rewritten_history():
    calls = Calls()
    for n in range(8):
        turns = (text(f"t{n}", 1000), text(f"a{n}", 1000), text("document", 2000))
        calls.add(n * 60, chat(text("rules", 2000), *turns), openai(6000, 1920 if n else 0))
    assert calls.findings() == {}


def test_an_effort_that_flips():
    calls = Calls("openai", "gpt-5")
    for n in range(9):
        effort = ("low", "medium", "high")[n % 3]
        body = {**chat(text(f"rules {n // 3}", 5000), text(f"q{n}", 50)), "reasoning_effort": effort}
        calls.add(n * 60, body, openai(5050))
    found = calls.findings()
    # gpt-5: p = $1.25 per million, r = 0.1. The second and third of each three: 6 · 5,000 · 1.25e-6 · 0.9.
    assert found.keys() == {"settings_flip"}
    assert found["settings_flip"].usd == about(0.03375)
    assert {one.what for one in found["settings_flip"].losses} == {"reasoning_effort"}


def test_a_tool_choice_that_flips_loses_the_messages_only():
    calls = Calls("anthropic", "claude-sonnet-5")
    system = [{"type": "text", "text": text("rules", 3000), **CACHED}]
    for n in range(8):
        question = [{"type": "text", "text": text(f"q{n // 2}", 4000), **CACHED}]
        choice = {"type": ("auto", "any")[n % 2]}
        usage = anthropic(7000, 3000 if n else 0, 4000 if n else 7000)
        calls.add(n * 60, {**claude(system, question), "tool_choice": choice}, usage)
    found = calls.findings()
    # p = $2 per million, r = 0.1: the second of each pair had its 4,000 tokens of messages with the other
    # choice: 4 · 4,000 · 2e-6 · 0.9 = $0.0288.
    assert found["settings_flip"].usd == about(0.0288)
    assert {one.what for one in found["settings_flip"].losses} == {"tool_choice"}


def test_a_tool_choice_that_flips_in_a_conversation_is_no_rewritten_history():
    calls = Calls("anthropic", "claude-sonnet-5")
    for n, history in histories(8):
        total = 3000 + 1000 * len(history)
        body = {**claude(text("rules", 3000), *history), "cache_control": {"type": "ephemeral"}}
        body["tool_choice"] = {"type": ("auto", "any")[n % 2]}
        # Each choice finds what was written with it, two calls ago: four messages less.
        read = total - 4000 if n > 1 else 0
        calls.add(n * 60, body, anthropic(total, read, total - read))
    found = calls.findings()
    # p = $2 per million, r = 0.1. The second call lost the 4,000 tokens of the first, each later one the
    # 2,000 that the call before added: (4,000 + 6 · 2,000) · 2e-6 · 0.9 = $0.0288.
    assert found.keys() == {"settings_flip"}
    assert found["settings_flip"].usd == about(0.0288)


def test_settings_of_their_own_for_prompts_of_their_own():
    calls = Calls("openai", "gpt-5")
    for n in range(9):
        body = chat(text(f"rules {n % 2}", 5000), text(f"q{n}", 50))
        body["reasoning_effort"] = ("low", "high")[n % 2]
        calls.add(n * 60, body, openai(5050, 4992 if n > 1 else 0))
    assert calls.findings() == {}


def test_prompts_under_several_keys():
    calls = Calls("anthropic", "claude-sonnet-5")
    system = [{"type": "text", "text": text("rules", 5000), **CACHED}]
    for n in range(12):
        read = 5000 if n >= 4 else 0
        usage = anthropic(5050, read, 5000 - read)
        calls.add(n * 30, claude(system, text(f"q{n}", 50)), usage, key_fingerprint=f"k{n % 4}")
    found = calls.findings()
    # s = 4 keys: 3 · 5,000 · 2e-6 · (1.25 - 0.1) = $0.0345.
    assert found.keys() == {"keys_split"}
    assert found["keys_split"].usd == about(0.0345)


def test_keys_of_one_workspace_share_a_cache():
    calls = Calls("anthropic", "claude-sonnet-5")
    calls.workspaces = {f"k{n}": "ours" for n in range(4)}
    system = [{"type": "text", "text": text("rules", 5000), **CACHED}]
    for n in range(12):
        usage = anthropic(5050, 5000 if n else 0, 0 if n else 5000)
        calls.add(n * 30, claude(system, text(f"q{n}", 50)), usage, key_fingerprint=f"k{n % 4}")
    assert calls.findings() == {}
