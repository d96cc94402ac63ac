"""The report of the last days: each part where there is something to say, and none where there is not."""

import json

import pytest
import yaml
from lessllm import stats_view
from lessllm.tables import as_text

TIMES = [f"{name}_ms_{share}" for name in ("ttft", "tpot", "latency") for share in ("p50", "p95")]
FIGURES = {
    **dict.fromkeys(("errors", "cancelled", "unpriced_calls", "cached_tokens"), 0),
    **dict.fromkeys(("predicted_cache_hit_rate", "actual_cache_hit_rate")),
    **dict.fromkeys((*TIMES, "output_tokens_per_s", "output_tokens"), 100),
    "calls": 4,
    "cost_usd": 0.5,
    "input_tokens": 900,
    "total_tokens": 1000,
    "cache_savings_usd": 0.1,
}
LISTS = ("by_model", "by_user", "by_day", "by_session", "by_provider", "by_streaming")
EMPTY = {
    "totals": FIGURES,
    **{name: [] for name in (*LISTS, "slowest", "dearest", "unpriced", "cache_prediction")},
}


def shown(by="model", width=100, **stats):
    return "\n".join(as_text(part, width) for part in stats_view.view({**EMPTY, **stats}, 7, by, width))


def unpriced(model, **fields):
    known = {"provider": "local", "reason": "unknown_model", "terms": None, "calls": 1}
    return {"model": model, **known, "input_tokens": 900, "output_tokens": None, **fields}


def test_without_calls_it_says_so():
    assert shown(totals={**FIGURES, "calls": 0}).startswith("no calls in the last 7 days")


def test_what_is_empty_is_left_out():
    text = shown()
    assert text.startswith("The last 7 days: 4 calls, 1,000 tokens, $0.500, $0.100 saved by caching\n")
    for heading in ("Streaming", "dearest", "slowest", "Cache", "price", "prices:"):
        assert heading not in text


def test_a_cache_that_costs_more_than_it_saves_is_a_loss():
    assert ", $0.0100 lost by caching\n" in shown(totals={**FIGURES, "cache_savings_usd": -0.01})


def test_without_sessions_it_says_how_they_come():
    assert "x-lessllm-session" in shown("session")


def test_streaming_is_compared_when_there_are_both():
    both = [{"streaming": True, **FIGURES}, {"streaming": False, **FIGURES, "calls": 3}]
    assert "Streaming or not" in shown(by_streaming=both)
    assert "Streaming or not" not in shown(by_streaming=both[:1])


def test_many_rows_are_cut_and_counted_but_days_are_not():
    users = [{"user_id": f"user-{n}", **FIGURES} for n in range(30)]
    days = [{"date": f"2026-11-{n:02}", **FIGURES} for n in range(1, 31)]
    text = shown("user", by_user=users)
    assert "user-19" in text and "user-20" not in text and "(10 more with --json)" in text
    assert "2026-11-30" in shown("day", by_day=days)


@pytest.mark.parametrize("name", ["my-model", "mine/my model", "it's: a #model", "7b", "", "a\nb"])
def test_what_is_to_be_configured_can_be_pasted(name):
    text = shown(unpriced=[unpriced(name)])
    lines = text.partition("prices:\n")[2].splitlines()
    pasted = yaml.safe_load("\n".join(["prices:", *lines[:2]]).replace("…", "1"))
    assert pasted == {
        "prices": {name.replace("\n", " "): {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}}
    }
    assert "1 call at local, 900 tokens" in lines[0]


def test_a_model_is_configured_once_whatever_the_reasons():
    terms = {"reason": "unknown_terms", "terms": "service_tier=scale", "calls": 2}
    text = shown(unpriced=[unpriced("m"), unpriced("m", **terms)])
    assert text.count("  m: {") == 1
    assert "2 calls at local, 900 tokens, service_tier=scale" in text


def test_predictions_are_shown_by_provider():
    one = {"provider": "openai", "calls": 7, "predicted_hit_rate": 0.5, "actual_hit_rate": 0.4}
    score = {"mean_absolute_error": 0.1, "recalibrated_error": 0.01, "as_predicted": None}
    line = shown(cache_prediction=[{**one, **score}]).splitlines()[-1]
    assert line.split() == ["openai", "7", "50.0%", "40.0%", "10.0%", "1.0%", "–"]  # noqa: RUF001


def test_nothing_in_names_moves_the_cursor():
    call = {"request_id": "a-b", "model": "m\x1b[2J", "user_id": "u\r", "estimated_cost_usd": 1}
    times = {"total_latency_ms": 1, "estimated_ttft_ms": None, "actual_total_tokens": 1, "prompt": "p\x07"}
    text = shown(dearest=[{**call, **times}], by_model=[{"model": "m\x1b[2J", **FIGURES}])
    assert not any(c in text for c in "\x1b\r\x07"), json.dumps(text)
