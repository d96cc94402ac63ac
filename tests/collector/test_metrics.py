"""What a committed call adds to the metrics."""

import itertools
import time
from collections import Counter

import pytest
from lessllm_collector import metrics
from lessllm_collector.labels import Names
from lessllm_collector.schema import COLUMNS
from prometheus_client import REGISTRY

PROVIDERS = (f"metered-{number}" for number in itertools.count())


@pytest.fixture
def provider(monkeypatch):
    monkeypatch.setattr(metrics, "_MODELS", Names(3))
    return next(PROVIDERS)


def count(provider, **figures):
    row = {column.name: None for column in COLUMNS}
    row |= {"provider": provider, "end_reason": "complete", "timestamp": 1_000_000 * int(time.time())}
    metrics.count(row | figures)


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels)


def calls(provider):
    """By model."""
    (family,) = (family for family in REGISTRY.collect() if family.name == "lessllm_calls")
    by_model = Counter[str]()
    for sample in family.samples:
        if sample.labels["provider"] == provider:
            by_model[sample.labels["model"]] += sample.value
    return by_model


def test_what_is_not_known_of_a_call_is_in_no_figure(provider):
    count(provider)
    assert calls(provider) == {"none": 1}
    families = (f for f in REGISTRY.collect() if f.name != "lessllm_calls")
    samples = [sample for family in families for sample in family.samples]
    assert not [s for s in samples if provider in s.labels.values()]


def test_a_call_is_counted_with_its_figures(provider):
    names = {"provider": provider, "model": "m-figures"}
    figures = {"estimated_cost_usd": 0.5, "actual_cached_tokens": 60, "cache_savings_usd": 0.25}
    cache = {"recalibrated_cached_tokens": 50, "actual_prompt_tokens": 100, "cache_outcome": "as_predicted"}
    times = {"total_latency_ms": 900.0, "estimated_ttft_ms": 300.0, "tls_ms": 20.0, "network_ms": 40.0}
    count(provider, model="m-figures", status_code=200, **figures, **cache, **times)
    assert value("lessllm_calls_total", **names, status="200", end_reason="complete") == 1
    assert value("lessllm_cost_usd_total", **names) == 0.5
    assert value("lessllm_cached_tokens_total", **names) == 60
    assert value("lessllm_cache_saved_usd_total", **names) == 0.25
    assert value("lessllm_cache_predictions_total", **names, outcome="as_predicted") == 1
    assert [
        value("lessllm_cache_compared_tokens_total", **names, kind=kind)
        for kind in ("prompt", "predicted", "cached")
    ] == [100, 50, 60]
    gen_ai = {"gen_ai_provider_name": provider, "gen_ai_request_model": "m-figures"}
    assert value("gen_ai_server_time_to_first_token_seconds_sum", **gen_ai) == 0.3
    assert value("lessllm_collector_lag_seconds_count") > 0
    assert value("gen_ai_client_token_usage_sum", **gen_ai, gen_ai_token_type="input") == 100
    assert value("lessllm_phase_seconds_sum", provider=provider, phase="tls") == 0.02
    assert value("lessllm_network_seconds_count", provider=provider) == 1


def test_a_loss_to_a_cache_is_no_negative_saving(provider):
    count(provider, model="m-loss", status_code=200, cache_savings_usd=-0.5)
    assert value("lessllm_cache_wasted_usd_total", provider=provider, model="m-loss") == 0.5
    assert value("lessllm_cache_saved_usd_total", provider=provider, model="m-loss") is None


def test_an_answer_without_a_price_is_counted_as_such_and_an_error_is_not(provider):
    count(provider, model="m-free", status_code=200, price_source="unknown_model")
    count(provider, model="m-free", status_code=500, price_source="no_usage", error_code="server_error")
    names = {"provider": provider, "model": "m-free"}
    assert value("lessllm_unpriced_calls_total", **names, reason="unknown_model") == 1
    assert value("lessllm_unpriced_calls_total", **names, reason="no_usage") is None
    assert value("lessllm_errors_total", provider=provider, code="server_error") == 1


def test_a_model_that_no_provider_answered_for_is_no_label(provider):
    count(provider, model="m-made-up", status_code=404)
    assert calls(provider) == {"other": 1}
    count(provider, model="m-made-up", status_code=200)
    count(provider, model="m-made-up", status_code=500)
    assert calls(provider) == {"other": 1, "m-made-up": 2}


def test_however_many_models_are_asked_for_there_are_no_more_labels(provider):
    for number in range(10):
        count(provider, model=f"m-{number}", status_code=200)
    assert calls(provider) == {"m-0": 1, "m-1": 1, "m-2": 1, "other": 7}


def test_losses_are_0_before_the_first(provider):
    del provider
    for name, reason in (("delivery_gaps", "gateway_killed"), ("frames_refused", "version")):
        assert value(f"lessllm_collector_{name}_total", reason=reason) is not None
