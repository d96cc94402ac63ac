"""Thinking, limits, sampling and who asks: as each model takes it; what none takes is refused by name."""

import pytest
from gateway.translate.asking_claude import (
    HELLO,
    WEATHER,
    calling,
    left_out,
    refusal,
    result,
    sent,
    text,
    turns,
)

OPUS_5_5, OPUS_5, OPUS_4_8, SONNET_5_5 = (
    "claude-opus-5-5",
    "claude-opus-5",
    "claude-opus-4-8",
    "claude-sonnet-5-5",
)
SONNET_4_5, OPUS_4_1, HAIKU_3 = "claude-sonnet-4-5", "claude-opus-4-1", "claude-3-haiku-20240307"
CACHED = {"type": "ephemeral", "ttl": "1h"}
PNG = "iVBORw0KGgo="
THOUGHT = {"type": "thinking", "thinking": "Let me see.", "signature": "sig"}


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "level"),
    [
        ("claude-sonnet-4-6", "high", {"type": "adaptive", "display": "summarized"}, "high"),
        ("claude-sonnet-4-6", "xhigh", {"type": "adaptive", "display": "summarized"}, "high"),
        ("claude-sonnet-4-6", "max", {"type": "adaptive", "display": "summarized"}, "max"),
        (OPUS_5_5, "minimal", {"type": "adaptive", "display": "summarized"}, "low"),
        (OPUS_5_5, "xhigh", {"type": "adaptive", "display": "summarized"}, "xhigh"),
        (SONNET_4_5, "minimal", {"type": "enabled", "budget_tokens": 1024}, None),
        (SONNET_4_5, "medium", {"type": "enabled", "budget_tokens": 8192}, None),
        ("claude-opus-4-5-20251101", "max", {"type": "enabled", "budget_tokens": 32_000}, "high"),
        ("claude-sonnet-4-6", "none", None, None),
        ("claude-haiku-5-5", "none", {"type": "disabled"}, None),
        (SONNET_5_5, "none", {"type": "between_tools"}, None),
    ],
)
def test_reasoning_effort_is_what_each_model_has_for_it(model, effort, thinking, level):
    request = sent(model=model, reasoning_effort=effort)
    assert request.get("thinking") == thinking
    assert request.get("output_config", {}).get("effort") == level
    if thinking and thinking["type"] == "enabled":
        assert thinking["budget_tokens"] < request["max_tokens"]


def test_an_effort_that_can_not_be_made_is_refused_by_name():
    assert refusal(model=OPUS_5_5, reasoning_effort="none").startswith(
        "reasoning_effort: claude-opus-5-5 always"
    )
    assert refusal(model=HAIKU_3, reasoning_effort="low").startswith("reasoning_effort: claude-3-haiku")
    assert "at least 1024" in refusal(model=SONNET_4_5, reasoning_effort="low", max_completion_tokens=2047)
    forced = {"tools": [WEATHER], "tool_choice": "required", "reasoning_effort": "low"}
    assert "must call a tool" in refusal(model=SONNET_4_5, **forced)
    assert sent(model=OPUS_5, **forced)["thinking"]["type"] == "adaptive"
    assert refusal(reasoning_effort="hard").startswith("reasoning_effort: must be none or one of")
    assert left_out(model=OPUS_5_5, reasoning_effort="none") == (sent(model=OPUS_5_5), "reasoning_effort")
    assert left_out(model=HAIKU_3, reasoning_effort="low") == (sent(model=HAIKU_3), "reasoning_effort")


def test_anthropics_own_thinking_goes_on_as_it_is():
    given = {"type": "enabled", "budget_tokens": 2000}
    assert sent(model=SONNET_4_5, thinking=given)["thinking"] == given
    request = sent(thinking={"type": "adaptive"}, reasoning_effort="low")
    assert (request["thinking"], request["output_config"]) == ({"type": "adaptive"}, {"effort": "low"})


def test_thinking_comes_back_before_what_it_led_to():
    redacted = {"type": "redacted_thinking", "data": "gAAA"}
    asked = [
        *HELLO,
        calling(
            ("c1", "f", "{}"),
            content="So:",
            reasoning_content="Let me see.",
            thinking_blocks=[THOUGHT, redacted],
        ),
        result("c1"),
    ]
    said = turns(*asked, tools=[WEATHER])
    assert said[1]["content"][:3] == [THOUGHT, redacted, text("So:")]


def test_thinking_comes_back_where_it_stood():  # litellm 23047, 13834
    second = {**THOUGHT, "signature": "sig2", "index": 1, "text_before": 4}
    third = {**THOUGHT, "signature": "sig3", "index": 2, "text_before": 7, "calls_before": 1}
    message = calling(
        ("c1", "f", "{}"), ("c2", "f", "{}"), content="One.Two", thinking_blocks=[THOUGHT, second, third]
    )
    blocks = turns(*HELLO, message, result("c1"), result("c2"), tools=[WEATHER])[1]["content"]
    shown = [block.get("signature") or block.get("text") or block.get("id") for block in blocks]
    assert shown == ["sig", "One.", "sig2", "Two", "c1", "sig3", "c2"]
    assert blocks[2] == {"type": "thinking", "thinking": "Let me see.", "signature": "sig2"}


def test_thinking_among_the_content_is_not_sent_twice():  # litellm 23137
    said = [THOUGHT, text("One."), {**THOUGHT, "signature": "sig2"}, text("Two.")]
    message = {"role": "assistant", "content": said, "thinking_blocks": [THOUGHT]}
    assert turns(*HELLO, message, *HELLO)[1]["content"] == said


@pytest.mark.parametrize(
    "unsigned", [{"type": "thinking", "thinking": "Hm."}, {"type": "other"}, "x", {"signature": "s"}]
)
def test_thinking_that_anthropic_did_not_sign_is_left_out(unsigned):
    message = {
        "role": "assistant",
        "content": "Yes.",
        "thinking_blocks": [unsigned],
        "reasoning_content": "Hm.",
    }
    assert turns(*HELLO, message, *HELLO)[1]["content"] == [text("Yes.")]


def test_a_budget_is_left_out_where_the_unfinished_turn_lacks_its_thinking():
    # "a final `assistant` message must start with a thinking block": opencode 3077, kilocode 5219
    asked = [*HELLO, calling(("c1", "f", "{}")), result("c1"), calling(("c2", "f", "{}")), result("c2")]
    request, names = left_out(asked, drops=False, model=SONNET_4_5, tools=[WEATHER], reasoning_effort="low")
    assert ("thinking" in request, names) == (False, "reasoning_effort")
    enabled = {"type": "enabled", "budget_tokens": 2000}
    assert "thinking" not in sent(asked, model=SONNET_4_5, tools=[WEATHER], thinking=enabled)


def test_a_budget_stays_where_nothing_lacks():
    options = {"model": SONNET_4_5, "tools": [WEATHER], "reasoning_effort": "low"}
    begun = [*HELLO, calling(("c1", "f", "{}"), thinking_blocks=[THOUGHT]), result("c1")]
    asked = [*begun, calling(("c2", "f", "{}")), result("c2")]
    assert "thinking" in sent(asked, **options)
    over = [
        *HELLO,
        calling(("c1", "f", "{}")),
        result("c1"),
        {"role": "assistant", "content": "Warm."},
        *HELLO,
    ]
    assert "thinking" in sent(over, **options)
    adaptive = [*HELLO, calling(("c1", "f", "{}")), result("c1")]
    assert "thinking" in sent(adaptive, tools=[WEATHER], reasoning_effort="low")


# --- Limits, sampling and the rest ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("claude-opus-4-8", 128_000),
        ("claude-opus-9", 128_000),
        ("claude-haiku-4-5-20251001", 64_000),
        ("claude-opus-4-20250514", 32_000),
        ("claude-3-5-sonnet-latest", 8192),
        ("claude-3-opus-20240229", 4096),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", 32_000),
        ("claude-opus-4-5@20251101", 64_000),
        ("anthropic/claude-opus-4.5", 64_000),
        ("deepseek-chat", 8192),
    ],
)
def test_without_a_limit_the_models_own_holds(model, limit):
    assert sent(model=model)["max_tokens"] == limit


def test_the_clients_limit_comes_first():
    assert sent(max_tokens=5)["max_tokens"] == 5
    assert sent(max_tokens=5, max_completion_tokens=6)["max_tokens"] == 6


@pytest.mark.parametrize(
    ("stop", "there"), [("END", ["END"]), (["a", "b"], ["a", "b"]), (None, None), ("", None), ([], None)]
)
def test_stop_sequences(stop, there):
    assert sent(stop=stop).get("stop_sequences") == there


def test_a_stop_sequence_of_white_space_is_refused_by_name():
    assert refusal(stop=["\n", "END"]).startswith("stop: ")
    assert left_out(stop=["\n", "END"])[0]["stop_sequences"] == ["END"]
    assert refusal(stop=5).startswith("stop: must be")


@pytest.mark.parametrize(
    ("model", "asked", "there", "names"),
    [
        (
            HAIKU_3,
            {"temperature": 0.2, "top_p": 0.9, "top_k": 5},
            {"temperature": 0.2, "top_p": 0.9, "top_k": 5},
            "",
        ),
        (HAIKU_3, {"temperature": 1, "top_p": 1.0}, {}, ""),
        (HAIKU_3, {"temperature": 1.7}, {}, "temperature"),
        (SONNET_4_5, {"temperature": 0, "top_p": 0.9}, {"temperature": 0}, "top_p"),
        (SONNET_4_5, {"temperature": 1.0, "top_p": 0.9}, {"top_p": 0.9}, ""),
        (OPUS_4_8, {"temperature": 1, "top_p": 1}, {}, ""),
        (OPUS_4_8, {"temperature": 0, "top_p": 0.9}, {}, "temperature, top_p"),
        (SONNET_4_5, {"temperature": 0, "reasoning_effort": "low"}, {}, "temperature"),
        (SONNET_4_5, {"top_p": 0.96, "reasoning_effort": "low"}, {"top_p": 0.96}, ""),
    ],
)
def test_sampling_is_what_each_model_takes(model, asked, there, names):
    request, dropped = left_out(model=model, **asked)
    assert (
        {name: request[name] for name in ("temperature", "top_p", "top_k") if name in request},
        dropped,
    ) == (there, names)
    if names:
        assert refusal(model=model, **asked).startswith(names.partition(",")[0])


def test_what_says_how_it_is_anyway_is_no_field():
    anyway = {"n": 1, "logprobs": False, "presence_penalty": 0.0, "frequency_penalty": 0, "logit_bias": {}}
    more = {"store": False, "modalities": ["text"], "verbosity": "medium", "seed": None, "functions": None}
    assert left_out(**anyway, **more, drops=False) == (sent(), "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("seed", 7),
        ("presence_penalty", 0.5),
        ("frequency_penalty", -1),
        ("logit_bias", {"5": 1}),
        ("store", True),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy"}),
        ("web_search_options", {}),
        ("verbosity", "low"),
        ("functions", [{"name": "f"}]),
        ("function_call", "auto"),
        ("moderation", {"model": "x"}),
        ("service_tier", "flex"),
        ("something_new", [1]),
    ],
)
def test_what_has_no_counterpart_is_refused_or_left_out_by_name(name, value):
    assert refusal(**{name: value}).startswith(f"{name}: ")
    assert left_out(**{name: value}) == (sent(), name)


def test_hints_for_openais_own_machinery_are_left_out_and_never_refused():
    hints = {
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "prediction": {"type": "content", "content": "x"},
    }
    assert left_out(**hints, metadata={"job": "7"}, drops=False) == (
        sent(),
        "prompt_cache_key, prompt_cache_retention, prediction, metadata",
    )


def test_who_asks_is_told():
    assert sent(user="ann")["metadata"] == {"user_id": "ann"}
    assert sent(user="ann", safety_identifier="hash")["metadata"] == {"user_id": "hash"}
    assert sent(metadata={"user_id": "ann"})["metadata"] == {"user_id": "ann"}


def test_service_tiers():
    assert sent(service_tier="auto")["service_tier"] == "auto"
    assert sent(service_tier="default")["service_tier"] == "standard_only"
