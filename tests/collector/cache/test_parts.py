"""The predictor's parts: rules, hashes, the index and its bound, tokens, what is likely at an age."""

import random
from itertools import islice
from typing import get_args

import pytest
from lessllm_collector.cache.ages import Ages
from lessllm_collector.cache.hashing import Chain, samples
from lessllm_collector.cache.index import NEVER, Index, Use
from lessllm_collector.cache.prompt import Prompt, Segment
from lessllm_collector.cache.rules import RULES, Rules
from lessllm_collector.cache.tokens import FIRST_RATIO, Ratios, ascending, interpolate
from lessllm_shared.config.sections import Caches
from lessllm_shared.providers import PRESETS

NO_MARKS = Prompt((), {})


def rule(provider, model, api_format="openai-chat"):
    found = Rules().find(provider, model, api_format, NO_MARKS)
    return None if found is None else found.name


@pytest.mark.parametrize(
    ("provider", "model", "name"),
    [
        ("openai", "gpt-4o-mini", "openai"),
        ("openai", "gpt-5", "openai"),
        ("openai", "gpt-5-mini", "openai"),
        ("openai", "gpt-5.1", "openai"),
        ("azure", "gpt-5.5-2026-04-23", "openai-5.5"),
        ("openai", "gpt-5.6", "openai-5.6"),
        ("openai", "gpt-6.1", "openai-5.6"),
        ("openai", "o4-mini", "openai"),
        ("anthropic", "claude-opus-4-5-20251101", "anthropic-4096"),
        ("anthropic", "claude-opus-4-20250514", "anthropic-1024"),
        ("anthropic", "claude-opus-4-8", "anthropic-1024"),
        ("anthropic", "claude-opus-4-7", "anthropic-2048"),
        ("anthropic", "claude-opus-5", "anthropic-512"),
        ("anthropic", "claude-sonnet-5", "anthropic-1024"),
        ("anthropic", "claude-sonnet-5-5", "anthropic-512"),
        ("anthropic", "claude-3-5-haiku-20241022", "anthropic-2048"),
        ("openrouter", "anthropic/claude-opus-4.5", "anthropic-4096"),
        ("gemini", "gemini-2.5-flash", "gemini-2.5"),
        ("gemini", "gemini-3-pro", "gemini"),
        ("dashscope", "qwen3-max", "qwen"),
        ("ollama", "llama3", None),
    ],
)
def test_a_model_has_its_rule(provider, model, name):
    assert rule(provider, model) == name


def test_what_can_be_configured_is_what_there_are_rules_for():
    ruled = {provider for one in RULES for provider in one.providers}
    assert set(get_args(Caches)) == ruled
    assert set(PRESETS) - ruled == {"ollama", "siliconflow", "zhipu"}


def segments(*texts):
    return [Segment("user", one.encode(), "p") for one in texts]


def chain(*texts, sampled=True):
    made = Chain(samples()) if sampled else Chain()
    made.extend(segments(*texts))
    return made


def test_prompts_have_the_same_hashes_up_to_where_they_differ():
    seed = random.randrange(2**32)
    source = random.Random(seed)
    for _ in range(300):
        sizes = [source.randrange(1, 1500) for _ in range(5)]
        texts = ["".join(source.choices("ab", k=size)) for size in sizes]
        whole, part = chain(*texts), source.randrange(5)
        changed = [*texts[:part], texts[part][:-1] + "c", *texts[part + 1 :]]
        other = chain(*changed)
        difference = sum(sizes[: part + 1]) - 1
        assert other.offsets == whole.offsets, seed
        for offset, one, two in zip(whole.offsets, whole.digests, other.digests, strict=True):
            assert (one == two) == (offset <= difference), seed
        assert [whole.offsets[end] for end in whole.ends] == [sum(sizes[: n + 1]) for n in range(5)], seed
        assert set(range(512, sum(sizes), 512)) <= set(whole.offsets), seed
        ends = chain(*texts, sampled=False)
        assert ends.digests == [whole.digests[end] for end in whole.ends], seed


def test_a_prompt_may_be_extended_later():
    at_once, later = chain("a" * 700, "b" * 900), chain("a" * 700)
    later.extend(segments("b" * 900))
    assert (later.offsets, later.digests) == (at_once.offsets, at_once.digests)


def test_samples_are_as_fine_as_it_matters():
    assert list(islice(samples(), 3)) == [64, 128, 192]
    assert list(islice(samples(1024, 128), 2)) == [1152, 1280]
    assert list(islice(samples(1024, 2048), 3)) == [3072, 6144, 8192]


def test_the_index_keeps_what_was_used_and_never_more_than_it_may():
    index = Index(max_entries=100)
    use = Use(0, 0, 10, 10, NEVER, "r")
    for number in range(1000):
        index.put([b"%d" % number, b"always"], [1.0, 1.0], [use, use])
        assert len(index) <= 100
    assert index.get(b"always") is not None
    assert index.get(b"999") is not None
    assert index.get(b"1") is None


def test_what_is_promoted_counts():
    index = Index(max_entries=100)
    use = Use(0, 0, 10, 10, NEVER, "r")
    for _ in range(3):
        for number in range(120):
            index.put([b"%d" % number], [1.0], [use])
            assert len(index) <= 100


def test_uses_that_meet_become_one_in_any_order():
    one, other = Use(0, 0, 10, 10, NEVER, "one"), Use(3, 5, 20, 15, NEVER, "other")
    for use in (one.joined(other), other.joined(one)):
        assert use == Use(0, 0, 20, 15, NEVER, "one")
    again = Use(0, 50, 60, 10, NEVER, "again")
    assert one.joined(again) == again
    assert again.joined(Use(0, 1, 2, 10, NEVER, "late")) == again


def test_what_is_only_seen_is_not_there():
    seen, written = Use(3, NEVER, NEVER, 0, NEVER, "r"), Use(0, 1, 2, 10, NEVER, "r")
    assert seen.joined(Use(0, NEVER, NEVER, 0, NEVER, "other")) == Use(0, NEVER, NEVER, 0, NEVER, "r")
    assert seen.joined(written) == written
    assert written.joined(seen) == written


def test_each_prefix_has_the_uses_of_all_calls_that_had_it():
    index = Index()
    first, longer, other = (Use(at, at, at + 10, 10, NEVER, f"{at}") for at in (1, 2, 3))
    for keys, use in (((b"a", b"b"), first), ((b"a", b"b", b"c"), longer), ((b"a", b"d"), other)):
        index.put(keys, [1.0] * len(keys), [use] * len(keys))
    expired = {key: index.get(key).use.expires_ns for key in (b"a", b"b", b"c", b"d")}
    assert expired == {b"a": 13, b"b": 12, b"c": 12, b"d": 13}
    index.put([b"a", b"b"], [1.0, 1.0], [other, Use(9, 9, 30, 10, NEVER, "9")])
    assert index.get(b"b").use.expires_ns == 30
    assert index.get(b"a").use.expires_ns == 13


def test_counts_of_the_providers_are_kept():
    index, use = Index(), Use(0, 1, 2, 10, NEVER, "r")
    for count, exact in ((1.0, False), (7.0, True), (5.0, False)):
        [entry] = index.put([b"k"], [count], [use])
        if exact:
            entry.tokens, entry.exact = count, exact
    assert index.get(b"k").tokens == 7.0


def test_tokens_are_linear_between_anchors():
    anchors = ascending([(100, 50.0), (200, 60.0)])
    assert interpolate(anchors, [50, 100, 150, 200, 300]) == [25, 50, 55, 60, 60]


def test_an_anchor_that_a_surer_one_contradicts_is_left_out():
    assert ascending([(100, 90.0), (200, 60.0)]) == [(0, 0.0), (200, 60.0)]
    assert ascending([(200, 10.0), (200, 60.0)]) == [(0, 0.0), (200, 60.0)]


def test_a_models_ratio_moves_with_its_calls():
    ratios = Ratios()
    assert ratios.get("p", "m") == FIRST_RATIO
    ratios.learn("p", "m", 300, 100)
    assert ratios.get("p", "m") == pytest.approx(1 / 3)
    ratios.learn("p", "m", 100, 50)
    assert 1 / 3 < ratios.get("p", "m") < 1 / 2
    assert ratios.get("p", "other") == FIRST_RATIO


def test_what_is_likely_at_an_age_is_learnt():
    ages = Ages()
    assert ages.is_likely("r", 100, ttl_s=300)
    assert not ages.is_likely("r", 400, ttl_s=300)
    for _ in range(3):
        ages.learn("r", 400, 300, hit=True)
        ages.learn("r", 100, 300, hit=False)
    assert ages.is_likely("r", 400, ttl_s=300)
    assert not ages.is_likely("r", 100, ttl_s=300)
    assert ages.is_likely("r", 10, ttl_s=300)
    assert ages.is_likely("r", 100, ttl_s=86_400), "what is kept longer is another matter"
