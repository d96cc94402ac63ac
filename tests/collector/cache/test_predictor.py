"""What is predicted of calls, by each provider's rules (SEMANTICS section 3)."""

import json

import pytest
from lessllm_collector.cache import Predictor
from lessllm_collector.cache.rules import Rules
from lessllm_collector.interpret import interpret
from lessllm_shared.record import ApiFormat, EndReason

from .conversation import PRICES, Caller, anthropic, messages, openai, text

SYSTEM = {"role": "system", "content": text("sys", 3000)}
MARK = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def reason(row):
    return None if row["cache_miss_reason"] is None else row["cache_miss_reason"].partition(":")[0]


def said(row):
    return row["cache_outcome"], reason(row)


def chat(*user):
    return {"messages": [SYSTEM, *({"role": "user", "content": one} for one in user)]}


def claude(*texts, marks=(), ttl=MARK):
    blocks = [[{"type": "text", "text": one}] for one in texts]
    for place in marks:
        blocks[place][0].update(ttl)
    return {"messages": messages(*blocks)}


@pytest.fixture
def gpt():
    return Caller("openai", "gpt-4o")


@pytest.fixture
def newer():
    return Caller("openai", "gpt-5.6")


@pytest.fixture
def opus():
    return Caller("anthropic", "claude-opus-4-8", ApiFormat.MESSAGES)


def test_what_is_reported_of_a_prefix_is_surer_than_what_its_bytes_tell():
    deepseek = Caller("deepseek", "deepseek-chat")
    hit = lambda prompt, hits: {  # noqa: E731
        "prompt_cache_hit_tokens": hits,
        "prompt_cache_miss_tokens": prompt - hits,
        "completion_tokens": 10,
    }
    # The system prompt has two tokens a word, the questions half of one.
    for at, question in enumerate("ab"):
        deepseek.ask(chat(text(question, 2000)), at * 60, usage=hit(7000, 0))
    third = deepseek.ask(chat(text("c", 2000)), 120, usage=hit(7000, 6000))
    assert said(third) == ("unexpected_hit", None)
    fourth = deepseek.ask(chat(text("d", 2000)), 180, usage=hit(7000, 6000))
    assert said(fourth) == ("as_predicted", "diverged")
    assert fourth["estimated_cached_tokens"] == 6000


def test_a_prompt_that_is_longer_than_estimated_owes_it_to_its_larger_part(newer):
    mark = {"prompt_cache_breakpoint": {"mode": "explicit"}}
    system = {"role": "system", "content": [{"type": "text", "text": text("sys", 3000), **mark}]}
    ask = lambda said: {"messages": [system, {"role": "user", "content": said}]}  # noqa: E731
    # Two tokens a word in the system prompt, half of one in the question: together about one each.
    newer.ask(ask(text("one", 2000)), usage=openai(7000, 0, 7000))
    row = newer.ask(ask("two"), 60, usage=openai(6020, 6000, 20))
    assert row["estimated_cached_tokens"] < 4500
    assert row["recalibrated_cached_tokens"] == pytest.approx(6000, rel=0.01)
    assert said(row) == ("as_predicted", "diverged")


def test_a_prefix_hits_in_steps_of_128_tokens(gpt):
    first = gpt.ask(chat("one"), usage=openai(3010))
    assert said(first) == ("as_predicted", "first_in_scope")
    assert first["estimated_cached_tokens"] == 0
    row = gpt.ask(chat("two"), 60, usage=openai(3010, 2944))
    assert said(row) == ("as_predicted", "diverged")
    assert row["cache_miss_reason"] == "diverged: messages[1].content"
    assert row["estimated_cached_tokens"] == 2944
    assert row["recalibrated_cache_hit_rate"] == pytest.approx(2944 / 3010)
    assert first["cache_scope"] == row["cache_scope"]


def test_a_conversation_that_goes_on_has_no_miss(gpt):
    gpt.ask(chat("one"), usage=openai(3010))
    row = gpt.ask(chat("one", "two"), 60, usage=openai(3020, 2944))
    assert said(row) == ("as_predicted", None)


def test_a_short_prompt_is_below_the_minimum(gpt):
    request = {"messages": messages(text("a", 500))}
    gpt.ask(request, usage=openai(510))
    assert said(gpt.ask(request, 5, usage=openai(510))) == ("as_predicted", "below_minimum")


def test_what_was_not_used_for_long_is_expired(gpt):
    gpt.ask(chat("one"), usage=openai(3010))
    row = gpt.ask(chat("one"), 4000, usage=openai(3010))
    assert said(row) == ("as_predicted", "expired")
    assert row["estimated_cache_hit_rate"] == 0


def test_a_day_is_kept_if_asked_for(gpt):
    request = {**chat("one"), "prompt_cache_retention": "24h"}
    gpt.ask(request, usage=openai(3010))
    assert gpt.ask(request, 80_000, usage=openai(3010, 2944))["cache_outcome"] == "as_predicted"


def test_how_long_is_learnt_where_it_is_not_documented(gpt):
    for place in range(6):
        gpt.ask(chat(f"{place}"), place * 1500, usage=openai(3010, 2944 if place else 0))
    assert gpt.ask(chat("z"), 9000, usage=openai(3010, 2944))["cache_outcome"] == "as_predicted"


def test_other_settings_have_caches_of_their_own(gpt):
    gpt.ask(chat("one"), usage=openai(3010))
    row = gpt.ask({**chat("one"), "reasoning_effort": "low"}, 60, usage=openai(3010))
    assert said(row) == ("as_predicted", "settings_changed")
    assert row["cache_miss_reason"] == "settings_changed: reasoning_effort"


def test_keys_have_caches_of_their_own_unless_they_are_of_one_workspace():
    for workspaces, cached in (({}, 0), ({"k1": "team", "k2": "team"}, 2944)):
        caller = Caller("openai", "gpt-4o", predictor=Predictor(workspaces=workspaces))
        caller.ask(chat("one"), usage=openai(3010))
        row = caller.ask(chat("one"), 60, usage=openai(3010, cached), key_fingerprint="k2")
        assert (row["cache_outcome"], row["estimated_cached_tokens"]) == ("as_predicted", cached)


def test_a_failed_call_leaves_nothing_and_is_not_predicted(gpt):
    row = gpt.ask(chat("one"), status_code=500, end_reason=EndReason.UPSTREAM_ERROR)
    assert (row["cache_outcome"], row["cache_scope"]) == (None, None)
    assert reason(gpt.ask(chat("one"), 60, usage=openai(3010))) == "first_in_scope"


def test_what_is_still_being_written_is_not_read(gpt):
    gpt.ask(chat("one"), 0, lasts_s=5, usage=openai(3010))
    row = gpt.ask(chat("one"), 2, lasts_s=9, usage=openai(3010))
    assert said(row) == ("as_predicted", "still_being_written")


def test_surprises_are_told(gpt):
    assert said(gpt.ask(chat("one"), usage=openai(3010, 2944))) == ("unexpected_hit", None)
    assert said(gpt.ask(chat("one"), 60, usage=openai(3010))) == ("unexpected_miss", "evicted")
    assert gpt.ask(chat("one"), 120, usage={"prompt_tokens": 3010})["cache_outcome"] == "unreported"


def test_newer_models_hit_only_where_a_request_wrote(newer):
    newer.ask(chat("one"), usage=openai(3010, 0, 3010))
    row = newer.ask(chat("two"), 60, usage=openai(3010, 0, 3010))
    assert said(row) == ("as_predicted", "diverged")
    assert row["estimated_cached_tokens"] == 0
    row = newer.ask(chat("one", "three"), 120, usage=openai(3020, 3010, 10))
    assert (row["cache_outcome"], row["estimated_cached_tokens"]) == ("as_predicted", 3010)


def test_newer_models_hit_at_an_explicit_breakpoint(newer):
    part = {"type": "text", "text": text("sys", 3000), "prompt_cache_breakpoint": {"mode": "explicit"}}
    request = lambda user: {"messages": [{"role": "system", "content": [part]}, *messages(user)]}  # noqa: E731
    newer.ask(request("one"), usage=openai(3010, 0, 3010))
    row = newer.ask(request(text("b", 500)), 60, usage=openai(3500, 3000, 500))
    assert row["cache_outcome"] == "as_predicted"
    only = {**request("one"), "prompt_cache_options": {"mode": "explicit"}}
    other = Caller("openai", "gpt-5.6")
    other.ask(only, usage=openai(3500, 0, 3000))
    row = other.ask(
        {**only, "messages": [*only["messages"], *messages("two")]}, 60, usage=openai(3600, 3000, 0)
    )
    assert (row["cache_outcome"], row["estimated_cached_tokens"]) == ("as_predicted", 3000)


def test_half_an_hour_by_chat_and_half_a_day_by_responses():
    chatting = Caller("openai", "gpt-5.6")
    chatting.ask(chat("one"), usage=openai(3010, 0, 3010))
    assert reason(chatting.ask(chat("one", "b"), 3000, usage=openai(3020, 0, 3020))) == "expired"
    responding = Caller("openai", "gpt-5.6", ApiFormat.RESPONSES)
    usage = {"input_tokens": 3010, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 0}}
    request = {"input": messages(text("a", 3000))}
    responding.ask(request, usage=usage)
    assert responding.ask(request, 3000, usage=usage)["estimated_cached_tokens"] == 3010


def test_claude_reads_what_a_mark_wrote(opus):
    opus.ask(claude(text("a", 2000), marks=[0]), usage=anthropic(5, 0, 2000))
    row = opus.ask(claude(text("a", 2000), "b", text("c", 900), marks=[2]), 60, usage=anthropic(5, 2000, 905))
    assert (row["cache_outcome"], row["estimated_cached_tokens"]) == ("as_predicted", 2000)
    assert row["cache_miss_reason"] is None


def test_claude_caches_nothing_without_marks(opus):
    request = claude(text("a", 2000))
    opus.ask(request, usage=anthropic(2000))
    assert said(opus.ask(request, 5, usage=anthropic(2000))) == ("as_predicted", "no_breakpoint")


def test_claudes_minimum_is_the_models(opus):
    request = claude(text("a", 2000), marks=[0])
    small = Caller("anthropic", "claude-haiku-4-5-20251001", ApiFormat.MESSAGES)
    small.ask(request, usage=anthropic(2000))
    assert reason(small.ask(request, 5, usage=anthropic(2000))) == "below_minimum"
    opus.ask(request, usage=anthropic(0, 0, 2000))
    assert opus.ask(request, 5, usage=anthropic(0, 2000, 0))["estimated_cached_tokens"] == 2000


@pytest.mark.parametrize(("ttl", "reads", "expires"), [(MARK, 290, 600), (HOUR, 3500, 7200)])
def test_claude_counts_from_the_start_and_reads_refresh(opus, ttl, reads, expires):
    request = claude(text("a", 2000), marks=[0], ttl=ttl)
    opus.ask(request, 0, lasts_s=50, usage=anthropic(0, 0, 2000))
    assert opus.ask(request, reads, usage=anthropic(0, 2000))["cache_outcome"] == "as_predicted"
    row = opus.ask(request, reads + expires / 2 - 10, usage=anthropic(0, 2000))
    assert row["cache_outcome"] == "as_predicted"
    row = opus.ask(request, reads + expires * 2, usage=anthropic(0, 0, 2000))
    assert said(row) == ("as_predicted", "expired")


@pytest.mark.parametrize(("blocks", "hits"), [(18, True), (21, False)])
def test_claude_looks_back_over_20_blocks(opus, blocks, hits):
    opus.ask(claude(text("a", 2000), marks=[0]), usage=anthropic(0, 0, 2000))
    longer = claude(text("a", 2000), *(f"{block}" for block in range(blocks)), marks=[blocks])
    row = opus.ask(longer, 5, usage=anthropic(0, 2000 if hits else 0, 20))
    assert (row["cache_outcome"], row["estimated_cached_tokens"]) == ("as_predicted", 2000 if hits else 0)


def test_a_run_of_tool_results_is_one_block(opus):
    results = [{"type": "tool_result", "tool_use_id": f"{n}", "content": "x"} for n in range(30)]
    opus.ask(claude(text("a", 2000), marks=[0]), usage=anthropic(0, 0, 2000))
    request = claude(text("a", 2000), "b", "c")
    request["messages"][2]["content"] = [*results[:-1], {**results[-1], **MARK}]
    assert opus.ask(request, 5, usage=anthropic(0, 2000, 100))["cache_outcome"] == "as_predicted"


def test_another_tool_choice_keeps_claudes_system_and_drops_its_messages(opus):
    request = {
        **claude(text("a", 2000), marks=[0]),
        "system": [{"type": "text", "text": text("s", 2000), **MARK}],
    }
    opus.ask(request, usage=anthropic(0, 0, 4000))
    row = opus.ask({**request, "tool_choice": {"type": "any"}}, 5, usage=anthropic(0, 2000, 2000))
    assert row["cache_outcome"] == "as_predicted"
    assert row["cache_miss_reason"] == "settings_changed: tool_choice"


@pytest.mark.parametrize(
    ("native", "change", "ours"),
    [
        (
            "system_changed",
            {"system": [{"type": "text", "text": text("t", 2000), **MARK}]},
            "diverged: system[0]",
        ),
        ("tools_changed", {"tools": [{"name": "other"}]}, "diverged: tools[0]"),
        ("messages_changed", claude(text("b", 2000), marks=[0]), "diverged: messages[0].content[0]"),
        ("model_changed", {"model": "claude-opus-4-1"}, "settings_changed: model"),
    ],
)
def test_our_reasons_are_those_that_anthropic_gives(opus, native, change, ours):
    request = {
        "tools": [{"name": "tool"}],
        "system": [{"type": "text", "text": text("s", 2000), **MARK}],
        **claude(text("a", 2000), marks=[0]),
    }
    opus.ask(request, usage=anthropic(0, 0, 4000))
    opus.model = change.get("model", opus.model)
    read = 2000 if native == "messages_changed" else 0  # the system prompt is marked, too
    usage = anthropic(0, read, 4000 - read)
    answer = {"diagnostics": {"cache_miss_reason": {"type": native}}, "usage": usage}
    row = opus.ask({**request, **change}, 5, response_body=json.dumps(answer).encode())
    assert (row["actual_cache_miss_reason"], row["cache_miss_reason"]) == (native, ours)


def test_a_record_that_comes_late_corrects_those_that_began_meanwhile(opus):
    request = claude(text("a", 2000), marks=[0])
    quick = opus.ask(request, 10, lasts_s=2, usage=anthropic(0, 2000))
    cancelled = {"end_reason": EndReason.CLIENT_CANCELLED}
    before = opus.ask(request, 0.2, lasts_s=2, usage=anthropic(0, 0, 2000), **cancelled)
    assert quick["cache_outcome"] == "unexpected_hit"
    opus.ask(request, 0, lasts_s=60, usage=anthropic(0, 0, 2000))
    assert (quick["cache_outcome"], quick["estimated_cached_tokens"]) == ("as_predicted", 2000)
    assert before["estimated_cached_tokens"] == 0


def test_a_late_record_in_the_same_batch_corrects_its_row(opus):

    request = claude(text("a", 2000), marks=[0])
    records = [
        opus.record(request, 10, lasts_s=2, usage=anthropic(0, 2000), request_id="quick"),
        opus.record(request, 0, lasts_s=60, usage=anthropic(0, 0, 2000), request_id="slow"),
    ]
    rows = [interpret(one, gateway_id="g", sequence=n, prices=PRICES) for n, one in enumerate(records)]
    assert opus.predictor.score(rows) == []
    assert [row["cache_outcome"] for row in rows] == ["as_predicted", "as_predicted"]


def test_deepseek_reads_whole_units_and_finds_common_prefixes():
    def usage(hit):
        return {
            "prompt_cache_hit_tokens": hit,
            "prompt_cache_miss_tokens": 3010 - hit,
            "completion_tokens": 9,
        }

    caller = Caller("deepseek", "deepseek-chat")
    caller.ask(chat("bbbb"), 0, usage=usage(0))
    row = caller.ask(chat("cccc"), 60, usage=usage(0))
    assert said(row) == ("as_predicted", "diverged")
    row = caller.ask(chat("dddd"), 120, usage=usage(3000))
    assert row["cache_outcome"] == "as_predicted"


def test_deepseek_and_vllm_keep_their_answers():
    for provider, model in (("deepseek", "deepseek-chat"), ("vllm", "llama")):
        caller = Caller(provider, model)
        answer = text("ans", 1000)
        caller.ask(
            {"messages": messages(text("a", 1000))}, usage=openai(1000, 0, completion=1000), answer=answer
        )
        further = {"messages": messages(text("a", 1000), answer, text("b", 1000))}
        row = caller.ask(further, 60, usage=openai(3000, 2000))
        assert row["cache_outcome"] == "as_predicted"
        assert row["estimated_cached_tokens"] == pytest.approx(2000, abs=16)


def test_vllm_computes_the_last_token_anew():
    caller = Caller("vllm", "llama")
    for at_s, cached in ((0, 0), (10, 3184)):
        row = caller.ask(chat(text("u", 200)), at_s, usage=openai(3200, cached))
        assert row["recalibrated_cached_tokens"] == cached


def test_a_server_of_ones_own_follows_the_rule_that_is_configured():

    request = chat("one")
    unknown = Caller("mine", "llama")
    assert unknown.ask(request, usage=openai(3000))["cache_outcome"] is None
    named = Caller("mine", "llama", predictor=Predictor(Rules({"mine": "vllm"})))
    assert named.ask(request, usage=openai(3000))["cache_outcome"] == "as_predicted"


def test_a_body_that_is_no_prompt_is_not_predicted(gpt):
    assert gpt.ask({}, request_body=b"{nonsense")["cache_outcome"] is None
    assert gpt.ask({"messages": []})["cache_outcome"] is None


def test_what_goes_wrong_is_told_in_the_row_alone(gpt, monkeypatch):
    monkeypatch.setattr(gpt.predictor.index, "put", None)
    row = gpt.ask(chat("one"), usage=openai(3010))
    assert (row["cache_outcome"], row["cache_scope"]) == (None, None)
    assert row["interpreter_error"].startswith("cache prediction: TypeError")
