"""Places that are not marked, or marked where it is of no use: what is found, and the dollars by hand."""

import pytest

from .workload import CACHED, Calls, anthropic, chat, claude, openai, said, text


def about(usd):
    return pytest.approx(usd, rel=0.01)


def marked(seed, tokens, **mark):
    return {"type": "text", "text": text(seed, tokens), "cache_control": {"type": "ephemeral", **mark}}


def test_a_system_prompt_that_claude_could_have_cached():
    calls = Calls("anthropic", "claude-sonnet-5")
    for n in range(10):
        calls.add(n * 60, claude(text("rules", 5000), text(f"q{n}", 50)), anthropic(5060))
    found = calls.findings()
    # p = $2 per million, r = 0.1, w = 1.25: 5,000 · 2e-6 · (9 · 0.9 - 0.25) = $0.0785.
    assert found.keys() == {"missing_cache_control"}
    assert found["missing_cache_control"].usd == about(0.0785)
    assert len(found["missing_cache_control"].losses) == 9


def test_each_time_it_expires_it_would_have_been_written_again():
    calls = Calls("anthropic", "claude-sonnet-5")
    for n in range(10):
        at_s = n * 60 + (1000 if n >= 5 else 0)
        calls.add(at_s, claude(text("rules", 5000), text(f"q{n}", 50)), anthropic(5060))
    # Two warm times of 5 calls: 2 · 5,000 · 2e-6 · (4 · 0.9 - 0.25) = $0.067.
    assert calls.findings()["missing_cache_control"].usd == about(0.067)


def test_a_conversation_with_claude_that_could_have_been_cached():
    calls = Calls("anthropic", "claude-sonnet-5")
    turns = [text("t0", 1000)]
    for n in range(5):
        calls.add(n * 60, claude(text("rules", 3000), *turns), anthropic(3000 + 1000 * len(turns)))
        turns += [text(f"a{n}", 1000), text(f"t{n + 1}", 1000)]
    # Prompts of 4, 6, 8, 10, 12 thousand tokens. Read: 4 + 6 + 8 + 10 = 28. Written, as far as it is read
    # later: 4 + 2 + 2 + 2 = 10. (28,000 · 0.9 - 10,000 · 0.25) · 2e-6 = $0.0454.
    assert calls.findings()["missing_cache_control"].usd == about(0.0454)


@pytest.mark.parametrize("gap_s", [60, 400])
def test_marked_prompts_short_prompts_and_lonely_ones_miss_no_mark(gap_s):
    calls = Calls("anthropic", "claude-sonnet-5")
    for n in range(10):
        read, write = (5000, 0) if n and gap_s < 300 else (0, 5000)
        calls.add(n * gap_s, claude([marked("rules", 5000)], text(f"q{n}", 50)), anthropic(5060, read, write))
        calls.add(n * gap_s, claude(text("short", 150), text(f"q{n}", 50)), anthropic(210))
        calls.add(n * gap_s, claude(text(f"other {n}", 5000), text(f"q{n}", 50)), anthropic(5060))
    assert "missing_cache_control" not in calls.findings()


def test_a_shared_prefix_that_gpt_writes_again_in_each_call():
    calls = Calls("openai", "gpt-5.6-sol")
    for n in range(10):
        calls.add(n * 60, chat(text("rules", 5000), text(f"q{n}", 500)), openai(5500, 0, 5500))
    found = calls.findings()
    # p = $4 per million, w = 1.25, r = 0.1: 9 · 5,000 · 4e-6 · 1.15 = $0.207.
    assert found["no_explicit_breakpoint"].usd == about(0.207)
    assert found["no_explicit_breakpoint"].losses[0].path == "messages[0].content"
    # The first call's write is that of a prompt that was not shared yet.
    assert found.keys() == {"no_explicit_breakpoint"}


def test_a_prefix_with_a_breakpoint_and_growing_conversations_need_none():
    calls = Calls("openai", "gpt-5.6-sol")
    part = {
        "type": "text",
        "text": text("rules", 5000),
        "prompt_cache_breakpoint": {"mode": "explicit"},
    }
    for n in range(10):
        read = 5000 if n else 0
        calls.add(n * 60, chat([part], text(f"q{n}", 100)), openai(5100, read, 5100 - read))
    turns = [text("t0", 1000)]
    for n in range(6):
        size = 3000 + 1000 * len(turns)
        read = size - 2000 if n else 0
        calls.add(1000 + n * 60, chat(text("talk", 3000), *turns), openai(size, read, size - read))
        turns += [text(f"a{n}", 1000), text(f"t{n + 1}", 1000)]
    assert calls.findings() == {}


@pytest.mark.parametrize("cached", [0, 2500])
def test_prompts_whose_end_was_written_and_prefixes_that_are_half_read_need_no_breakpoint(cached):
    calls = Calls("openai", "gpt-5.6-sol")
    for n in range(10):
        question = text(f"q{n}" if cached else "q", 500)
        calls.add(n * 60, chat(text("rules", 5000), question), openai(5500, cached, 5500 - cached))
    assert "no_explicit_breakpoint" not in calls.findings()


def test_a_prefix_just_too_short_to_be_cached():
    calls = Calls("openai", "gpt-4.1")
    for n in range(50):
        calls.add(n * 60, chat(text("rules", 800), text(f"q{n}", 50)), openai(850))
    found = calls.findings()
    # p = $2 per million, r = 0.25, no write fee; M = 1,024:
    # 50 · 800 · 2e-6 - 1,024 · 2e-6 · (1 + 49 · 0.25) = 0.08 - 0.02714 = $0.05286.
    assert found.keys() == {"below_minimum"}
    assert found["below_minimum"].usd == about(0.05286)


@pytest.mark.parametrize("tokens", [150, 1500])
def test_prefixes_much_too_short_or_long_enough_are_not_made_longer(tokens):
    calls = Calls("openai", "gpt-4.1")
    for n in range(50):
        cached = 1408 if n and tokens > 1024 else 0
        calls.add(n * 60, chat(text("rules", tokens), text(f"q{n}", 50)), openai(tokens + 50, cached))
    assert calls.findings() == {}


def test_more_blocks_than_are_looked_back_over():
    calls = Calls("anthropic", "claude-sonnet-5")
    turns = [[{"type": "text", "text": text("t0", 4000), **CACHED}]]
    sizes = [4000]
    for n in range(4):
        total = sum(sizes)
        calls.add(n * 60, {"max_tokens": 9, "messages": said(*turns)}, anthropic(total, 0, total))
        turns[-1] = [{**block} for block in turns[-1]]
        turns[-1][-1].pop("cache_control")
        blocks = [{"type": "text", "text": text(f"b{n} {each}", 40, around=26)} for each in range(25)]
        turns += ["ok", [*blocks[:-1], {**blocks[-1], **CACHED}]]
        sizes.append(1000)
    found = calls.findings()
    # Three calls find nothing of 4, 5 and 6 thousand tokens: 15,000 · 2e-6 · (1.25 - 0.1) = $0.0345.
    assert found["too_many_blocks"].usd == about(0.0345)
    assert found.keys() == {"too_many_blocks"}


@pytest.mark.parametrize("is_read", [True, False])
def test_few_blocks_between_marks_are_found(is_read):
    calls = Calls("anthropic", "claude-sonnet-5")
    turns = [[{"type": "text", "text": text("t0", 4000), **CACHED}]]
    sizes = [4000]
    for n in range(4):
        total = sum(sizes)
        read = total - sizes[-1] if n and is_read else 0
        calls.add(n * 60, {"max_tokens": 9, "messages": said(*turns)}, anthropic(total, read, total - read))
        turns[-1] = [{**block} for block in turns[-1]]
        turns[-1][-1].pop("cache_control")
        blocks = [{"type": "text", "text": text(f"b{n} {each}", 100, around=26)} for each in range(10)]
        turns += ["ok", [*blocks[:-1], {**blocks[-1], **CACHED}]]
        sizes.append(1000)
    assert calls.findings() == {}  # what was not read, though it could have been, is the provider's
