"""The reference against examples worked out by hand from the providers' documents.

Every word below is one token, the space before it included; a message adds one for its role, one for its end.
"""

import ast
from pathlib import Path

import pytest
from cache_reference.anthropic import Anthropic
from cache_reference.calls import Call
from cache_reference.deepseek import DeepSeek
from cache_reference.openai_breakpoints import OpenAIBreakpoints
from cache_reference.openai_prefix import OpenAIPrefix
from cache_reference.tokens import count, tokens_of
from cache_reference.vllm import VLLM

MINUTE_S = 60.0
EXPLICIT = {"prompt_cache_breakpoint": {"mode": "explicit"}}
CACHE = {"cache_control": {"type": "ephemeral"}}
CACHE_1H = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
ANSWER = {"role": "assistant", "content": "fine"}


def words(number, word="word"):
    said = " ".join([word] * number)
    assert count(tokens_of(said)) == number
    return said


def message(number, word="word", role="user", mark=None):
    if mark is None:
        return {"role": role, "content": words(number - 2, word)}
    return {"role": role, "content": [{"type": "text", "text": words(number - 2, word), **mark}]}


def call(messages, at_s=0.0, *, first_s=1.0, takes_s=1.0, key="a", answer=ANSWER, **body):
    body = {"model": "m", "messages": messages, **body}
    return Call(body, answer, at_s, at_s + first_s, at_s + first_s + takes_s, key)


def test_the_reference_shares_no_code_with_what_it_judges():
    rules = (
        "tokens",
        "calls",
        "prompt",
        "openai_prefix",
        "openai_breakpoints",
        "anthropic",
        "deepseek",
        "vllm",
    )
    for rule in rules:
        tree = ast.parse((Path(__file__).parent / f"{rule}.py").read_text("utf-8"))
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not [name for name in imported if name.startswith("lessllm")]


# OpenAI up to 5.5


def cached(provider, *args, **kwargs):
    usage = provider.usage(call(*args, **kwargs))
    return usage.get("prompt_tokens_details", {}).get("cached_tokens")


def test_prompts_below_1024_tokens_are_not_cached():
    openai = OpenAIPrefix()
    assert [cached(openai, [message(1023)], at) for at in (0, 60)] == [0, 0]
    assert [cached(openai, [message(1024)], at) for at in (0, 60)] == [0, 1024]


def test_the_longest_prefix_counts_in_steps_of_128():
    openai = OpenAIPrefix()
    system = message(1200, role="system")
    assert cached(openai, [system, message(100)], 0) == 0
    assert cached(openai, [system, message(100, "other")], 60) == 1152  # of 1,201 common ones
    assert cached(openai, [system, message(100), message(50)], 120) == 1280  # of 1,300


def test_an_entry_of_openai_goes_when_it_was_idle_for_ten_minutes():
    openai = OpenAIPrefix()
    hits = [cached(openai, [message(1100)], at * MINUTE_S) for at in (0, 9, 18, 30)]
    assert hits == [0, 1024, 1024, 0]
    kept = [cached(openai, [message(1100)], at * MINUTE_S, prompt_cache_retention="24h") for at in (50, 500)]
    assert kept == [0, 1024]


def test_an_entry_of_openai_is_readable_when_its_writer_has_ended():
    openai = OpenAIPrefix()
    assert cached(openai, [message(1100)], 0, takes_s=60) == 0
    assert cached(openai, [message(1100)], 30, takes_s=60) == 0
    assert cached(openai, [message(1100)], 62) == 1024


@pytest.mark.parametrize(
    "other",
    [
        {"parallel_tool_calls": False},
        {"reasoning_effort": "low"},
        {"key": "b"},
        {"model": "n"},
        {"prompt_cache_key": "x"},
    ],
    ids=str,
)
@pytest.mark.parametrize("provider", [OpenAIPrefix, OpenAIBreakpoints])
def test_organisations_models_and_settings_have_caches_of_their_own(provider, other):
    openai = provider()
    assert [cached(openai, [message(1152)], at) for at in (0, 10)] == [0, 1152]
    assert cached(openai, [message(1152)], 20, **other) == 0


def test_tools_come_first():
    openai = OpenAIPrefix()
    one, two = ({"type": "function", "function": {"name": name}} for name in ("one", "two"))
    assert cached(openai, [message(1300)], 0, tools=[one, two]) == 0
    assert cached(openai, [message(1300)], 10, tools=[two, one]) == 0
    assert cached(openai, [message(1300)], 20, tools=[one, two]) == 1280


# OpenAI from 5.6 on


def read_and_written(provider, *args, **kwargs):
    details = provider.usage(call(*args, **kwargs))["prompt_tokens_details"]
    return details["cached_tokens"], details["cache_write_tokens"]


def test_a_conversation_hits_at_the_end_of_its_last_user_message_exactly():
    openai = OpenAIBreakpoints()
    first = [message(1000, role="developer"), message(103)]
    assert read_and_written(openai, first, 0) == (0, 1103)
    then = [*first, message(30, role="assistant"), message(41)]
    assert read_and_written(openai, then, 10) == (1103, 71)
    assert read_and_written(openai, then, 20) == (1174, 0)


def test_a_shared_developer_message_with_other_questions_does_not_hit_without_a_breakpoint():
    openai = OpenAIBreakpoints()
    developer = message(2000, role="developer")
    assert read_and_written(openai, [developer, message(50)], 0) == (0, 2050)
    assert read_and_written(openai, [developer, message(50, "other")], 10) == (0, 2050)
    marked = message(2000, role="developer", mark=EXPLICIT)
    assert read_and_written(openai, [marked, message(50, "third")], 20) == (0, 2050)
    assert read_and_written(openai, [marked, message(50, "fourth")], 30) == (2000, 50)


def test_in_explicit_mode_nothing_else_is_written_or_read():
    openai, explicit = OpenAIBreakpoints(), {"prompt_cache_options": {"mode": "explicit"}}
    assert read_and_written(openai, [message(2000)], 0, **explicit) == (0, 0)
    parts = [message(1500, mark=EXPLICIT), message(50)]
    assert read_and_written(openai, parts, 10, **explicit) == (0, 1500)
    assert read_and_written(openai, parts, 20, **explicit) == (1500, 0)


def test_of_tool_responses_the_last_of_a_group_is_a_breakpoint():
    openai = OpenAIBreakpoints()
    uses = {"role": "assistant", "content": words(8)}
    group = [message(1500), uses, message(100, role="tool"), message(100, role="tool")]
    assert read_and_written(openai, group, 0) == (0, 1710)
    assert read_and_written(openai, group[:3], 10) == (0, 1610)  # the group ended later then
    assert read_and_written(openai, [*group, message(20)], 20) == (1710, 20)


def test_reads_of_an_entry_make_it_last_another_half_hour():
    openai = OpenAIBreakpoints()
    hits = [read_and_written(openai, [message(1100)], at * MINUTE_S) for at in (0, 29, 57, 90)]
    assert hits == [(0, 1100), (1100, 0), (1100, 0), (0, 1100)]


# Anthropic


def parts(provider, messages, at_s=0.0, **kwargs):
    body = {"model": "claude-sonnet-4-5", **kwargs}
    usage = provider.usage(call(messages, at_s, **body))
    split = usage["cache_creation"]
    assert usage["cache_creation_input_tokens"] == sum(split.values())
    return (
        usage["cache_read_input_tokens"],
        split["ephemeral_5m_input_tokens"],
        split["ephemeral_1h_input_tokens"],
        usage["input_tokens"],
    )


def test_what_is_before_a_breakpoint_is_written_then_read():
    claude = Anthropic()
    system = [{"type": "text", "text": words(1998), **CACHE}]
    assert parts(claude, [message(50)], 0, system=system) == (0, 2000, 0, 50)
    assert parts(claude, [message(60)], 10, system=system) == (2000, 0, 0, 60)


def test_without_a_breakpoint_nothing_is_cached():
    claude = Anthropic()
    assert parts(claude, [message(5000)], 0) == (0, 0, 0, 5000)
    assert parts(claude, [message(5000)], 10) == (0, 0, 0, 5000)


def test_the_automatic_breakpoint_moves_with_the_conversation():
    claude = Anthropic()
    first = [message(1500)]
    assert parts(claude, first, 0, **CACHE) == (0, 1500, 0, 0)
    then = [*first, message(20, role="assistant"), message(30)]
    assert parts(claude, then, 10, **CACHE) == (1500, 50, 0, 0)


@pytest.mark.parametrize(
    ("model", "minimum"),
    [
        ("claude-opus-5", 512),
        ("claude-sonnet-5-5", 512),
        ("claude-sonnet-4-5", 1024),
        ("claude-opus-4-8", 1024),
        ("claude-opus-4-7", 2048),
        ("claude-haiku-4-5-20251001", 4096),
    ],
)
def test_each_model_has_its_minimum(model, minimum):
    claude = Anthropic()
    short, enough = (message(size, mark=CACHE) for size in (minimum - 1, minimum))
    assert parts(claude, [short], 0, model=model) == (0, 0, 0, minimum - 1)
    assert parts(claude, [enough], 10, model=model) == (0, minimum, 0, 0)
    assert parts(claude, [enough], 20, model=model) == (minimum, 0, 0, 0)


def test_an_entry_lasts_five_minutes_from_its_last_start_or_an_hour():
    claude = Anthropic()
    messages = [message(1500, mark=CACHE)]
    reads = [parts(claude, messages, at * MINUTE_S)[0] for at in (0, 4, 8, 14)]
    assert reads == [0, 1500, 1500, 0]
    hours = [
        parts(claude, [message(1500, "hour", mark=CACHE_1H)], at * MINUTE_S)[0] for at in (0, 55, 110, 175)
    ]
    assert hours == [0, 1500, 1500, 0]


def test_a_long_answer_takes_from_the_five_minutes():
    claude = Anthropic()
    assert parts(claude, [message(1500, mark=CACHE)], 0, takes_s=240)[0] == 0
    assert parts(claude, [message(1500, mark=CACHE)], 302)[0] == 0


def test_an_entry_is_readable_when_its_writers_response_begins():
    claude = Anthropic()
    messages = [message(1500, mark=CACHE)]
    assert parts(claude, messages, 0, first_s=5, takes_s=60) == (0, 1500, 0, 0)
    assert parts(claude, messages, 4, first_s=5) == (0, 1500, 0, 0)
    assert parts(claude, messages, 6) == (1500, 0, 0, 0)


def test_an_hours_breakpoint_before_a_short_one_splits_what_is_written():
    claude = Anthropic()
    system = [{"type": "text", "text": words(1998), **CACHE_1H}]
    assert parts(claude, [message(100, mark=CACHE)], 0, system=system) == (0, 100, 2000, 0)
    assert parts(claude, [message(100, "other", mark=CACHE)], 10 * MINUTE_S, system=system) == (
        2000,
        100,
        0,
        0,
    )


@pytest.mark.parametrize(("more", "read"), [(19, 2000), (20, 0)])
def test_a_breakpoint_sees_twenty_positions(more, read):
    claude = Anthropic()
    before = message(2000, mark=CACHE)
    assert parts(claude, [before], 0)[0] == 0
    turns = [message(10, role=("assistant", "user")[at % 2]) for at in range(more - 1)]
    unmarked = {**before, "content": [{"type": "text", "text": words(1998)}]}
    assert parts(claude, [unmarked, *turns, message(10, mark=CACHE)], 10)[0] == read


def test_a_run_of_tool_results_is_one_position():
    claude = Anthropic()
    before = {"role": "user", "content": [{"type": "text", "text": words(1998)}]}
    assert parts(claude, [before], 0, **CACHE)[0] == 0
    uses = [{"type": "tool_use", "id": f"u{at}", "name": "look", "input": {}} for at in range(30)]
    results = [{"type": "tool_result", "tool_use_id": f"u{at}", "content": "seen"} for at in range(30)]
    turns = [{"role": "assistant", "content": uses}, {"role": "user", "content": results}]
    assert parts(claude, [before, *turns], 10, **CACHE)[0] == 2000


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ({}, 3000 + 2000),
        ({"messages": [message(2000, "other", mark=CACHE)]}, 3000),
        ({"tool_choice": {"type": "any"}}, 3000),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, 3000),
        ({"system": [{"type": "text", "text": words(1998, "other"), **CACHE}]}, 1000 + 27),
        ({"tools": [{"name": "look", "description": words(1099), **CACHE}]}, 0),
        ({"model": "claude-sonnet-4-6"}, 0),
        ({"key": "b"}, 0),
    ],
    ids=str,
)
def test_a_change_drops_what_is_behind_it(change, read):
    claude = Anthropic()
    tool = {"name": "look", "description": words(1010), **CACHE}
    size = count(tokens_of(f'{{"name":"look","description":"{words(1010)}"}}'))
    system = [{"type": "text", "text": words(2998 - size), **CACHE}]
    asked = {"tools": [tool], "system": system, "messages": [message(2000, mark=CACHE)]}
    parts(claude, at_s=0, **asked)
    assert size == 1027
    assert parts(claude, at_s=10, **{**asked, **change})[0] == read


# DeepSeek


def hit(provider, *args, **kwargs):
    usage = provider.usage(call(*args, **kwargs))
    assert usage["prompt_cache_hit_tokens"] + usage["prompt_cache_miss_tokens"] == usage["prompt_tokens"]
    return usage["prompt_cache_hit_tokens"]


def test_a_next_turn_hits_the_prompt_and_the_answer():
    deepseek = DeepSeek()
    first = [message(100, role="system"), message(100)]
    assert hit(deepseek, first, 0) == 0
    assert hit(deepseek, [*first, message(9, "edited", "assistant"), message(10)], 10) == 200
    assert hit(deepseek, [*first, ANSWER, message(10)], 20) == 203


def test_a_common_prefix_is_hit_from_the_third_on():
    deepseek = DeepSeek()
    system = message(500, role="system")
    hits = [
        hit(deepseek, [system, message(50, word)], at * 10) for at, word in enumerate(("b", "c", "d", "e"))
    ]
    assert hits == [0, 0, 501, 501]  # with the token of the user's role


def test_a_prompt_asked_again_makes_no_unit_of_its_beginning():
    deepseek = DeepSeek()
    system = message(500, role="system")
    words = ("b", "b", "c", "c", "d")
    hits = [hit(deepseek, [system, message(50, word)], at * 10) for at, word in enumerate(words)]
    assert hits == [0, 550, 0, 550, 501]


def test_users_and_accounts_are_apart():
    deepseek = DeepSeek()
    hits = [hit(deepseek, [message(500)], at, user_id=user) for at, user in ((0, "x"), (10, "y"), (20, "x"))]
    assert hits == [0, 0, 500]
    assert hit(deepseek, [message(500)], 30, user_id="x", key="b") == 0


def test_a_unit_is_readable_when_its_writer_has_ended_and_has_64_tokens():
    deepseek = DeepSeek()
    assert [hit(deepseek, [message(500)], at, takes_s=60) for at in (0, 30, 62)] == [0, 0, 500]
    assert [hit(deepseek, [message(63, "short")], at) for at in (200, 300)] == [0, 0]


# vLLM


def test_the_last_token_is_always_computed():
    vllm = VLLM()
    assert [cached(vllm, [message(160)], at) for at in (0, 10)] == [None, 144]  # (160 - 1) // 16 * 16
    assert [cached(vllm, [message(161, "other")], at) for at in (20, 30)] == [None, 160]


def test_blocks_of_prompts_and_answers_are_reused():
    vllm = VLLM()
    first, answer = [message(100)], message(102, role="assistant")
    assert cached(vllm, first, 0, answer=answer) is None
    assert cached(vllm, [*first, answer, message(10)], 10) == 192  # of 203 common ones


def test_a_prompt_is_readable_from_its_first_token_on():
    vllm = VLLM()
    assert cached(vllm, [message(320)], 0, first_s=5, takes_s=60) is None
    assert cached(vllm, [message(320)], 4, first_s=5) is None
    assert cached(vllm, [message(320)], 6) == 304


def test_the_least_recently_used_block_leaves_a_full_pool():
    vllm = VLLM(pool_blocks=25)
    assert cached(vllm, [message(159)], 0) is None  # 10 blocks with the answer
    assert cached(vllm, [message(159, "other")], 10) is None
    assert cached(vllm, [message(159)], 20) == 144
    assert cached(vllm, [message(159, "third")], 30) is None
    assert cached(vllm, [message(159, "other")], 40) == 80  # five of its ten are left
