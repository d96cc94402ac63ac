"""Every source of SEMANTICS section 2 becomes one normal form."""

import pytest
from lessllm_collector.interpret.usage import Usage, usage_of

_CHAT = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
_CASES = {
    "openai chat": (
        {
            "usage": {
                **_CHAT,
                "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 8},
                "completion_tokens_details": {"reasoning_tokens": 5},
            }
        },
        Usage(prompt=100, completion=20, total=120, cached=64, cache_write=8, reasoning=5),
    ),
    "openai responses": (
        {
            "usage": {
                "input_tokens": 100,
                "input_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 8},
                "output_tokens": 20,
                "output_tokens_details": {"reasoning_tokens": 5},
                "total_tokens": 120,
            }
        },
        Usage(prompt=100, completion=20, total=120, cached=64, cache_write=8, reasoning=5),
    ),
    "openai completions": ({"usage": _CHAT}, Usage(prompt=100, completion=20, total=120)),
    "embeddings": ({"usage": {"prompt_tokens": 9, "total_tokens": 9}}, Usage(prompt=9, total=9)),
    "anthropic": (
        {
            "usage": {
                "input_tokens": 10,
                "cache_read_input_tokens": 60,
                "cache_creation_input_tokens": 30,
                "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
                "output_tokens": 20,
                "output_tokens_details": {"thinking_tokens": 5},
            }
        },
        Usage(
            prompt=100,
            completion=20,
            total=120,
            cached=60,
            cache_write=30,
            cache_write_5m=20,
            cache_write_1h=10,
            reasoning=5,
        ),
    ),
    "gemini": (
        {
            "usageMetadata": {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 64,
                "candidatesTokenCount": 15,
                "thoughtsTokenCount": 5,
                "toolUsePromptTokenCount": 3,
                "totalTokenCount": 123,
            }
        },
        Usage(prompt=100, completion=20, total=123, cached=64, reasoning=5),
    ),
    "deepseek": (
        {"usage": {**_CHAT, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}},
        Usage(prompt=100, completion=20, total=120, cached=64),
    ),
    "kimi": (
        {"choices": [{"usage": {**_CHAT, "cached_tokens": 64}}]},
        Usage(prompt=100, completion=20, total=120, cached=64),
    ),
    "mistral": (
        {"usage": {**_CHAT, "num_cached_tokens": 64}},
        Usage(prompt=100, completion=20, total=120, cached=64),
    ),
    "groq": (
        {"x_groq": {"usage": {**_CHAT, "queue_time": 0.1}}},
        Usage(prompt=100, completion=20, total=120),
    ),
    "llama.cpp": (
        {"usage": _CHAT, "timings": {"cache_n": 64}},
        Usage(prompt=100, completion=20, total=120, cached=64),
    ),
    "xai, reasoning beside completion": (
        {
            "usage": {
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "total_tokens": 125,
                "completion_tokens_details": {"reasoning_tokens": 5},
            }
        },
        Usage(prompt=100, completion=25, total=125, reasoning=5),
    ),
}


@pytest.mark.parametrize("case", _CASES)
def test_each_source_becomes_the_normal_form(case):
    answer, expected = _CASES[case]
    usage = usage_of(answer)
    assert usage.raw is not None
    assert {**vars(usage), "raw": None} == vars(expected)


def test_what_is_no_count_is_unknown():
    usage = usage_of({"usage": {"prompt_tokens": -1, "completion_tokens": "7", "total_tokens": 2**70}})
    assert (usage.prompt, usage.completion, usage.total) == (None, None, None)


@pytest.mark.parametrize("answer", [None, [], "text", 3, {}, {"usage": None}, {"choices": [None]}])
def test_an_answer_without_usage_has_none(answer):
    assert usage_of(answer) == Usage()
