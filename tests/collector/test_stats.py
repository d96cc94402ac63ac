"""The figures of the last days: right, complete, and unknown where nothing is known."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from lessllm_collector.stats import usage
from lessllm_shared.record import EndReason

from .conftest import MS, add, call

UNTIL = datetime(2026, 11, 2, tzinfo=UTC)
COUNTS = {"calls", "errors", "cancelled", "unpriced_calls"}


def report(store, until=UNTIL, days=7, **options):
    with store.cursor() as connection:
        return usage(connection, until, days, **options)


def predicted(store, *outcomes):
    """What the predictor says of calls 1, 2, …: (estimated rate, outcome)."""
    with store.cursor() as connection:
        for number, (rate, outcome) in enumerate(outcomes, 1):
            connection.execute(
                "UPDATE internal.calls SET estimated_cache_hit_rate = ?, cache_outcome = ?,"
                " recalibrated_cache_hit_rate = 0.45 WHERE sequence = ?",
                [rate, outcome, number],
            )


def by(groups, key):
    return {group[key]: group for group in groups}


def test_totals_count_and_sum(store):
    totals = report(store)["totals"]
    assert (totals["calls"], totals["errors"], totals["cancelled"]) == (5, 1, 1)
    assert (totals["input_tokens"], totals["output_tokens"], totals["total_tokens"]) == (3000, 33, 3033)
    assert (totals["cached_tokens"], totals["actual_cache_hit_rate"]) == (1200, 0.4)
    assert totals["unpriced_calls"] == 1
    assert totals["cost_usd"] > 0 and totals["cache_savings_usd"] > 0
    assert totals["predicted_cache_hit_rate"] is None
    assert totals["ttft_ms_p50"] is None
    assert totals["latency_ms_p50"] == pytest.approx(406)
    assert totals["latency_ms_p95"] == pytest.approx(408, abs=1)


def test_the_same_figures_are_there_by_model_day_user_provider_and_streaming(store):
    found = report(store)
    models = by(found["by_model"], "model")
    assert {name: group["calls"] for name, group in models.items()} == {"gpt-4o": 3, "mine": 1, None: 1}
    assert (models["mine"]["cost_usd"], models["mine"]["unpriced_calls"]) == (None, 1)
    assert models[None]["errors"] == 1
    assert by(found["by_provider"], "provider")["local"]["calls"] == 1
    assert by(found["by_user"], "user_id")["ann"]["calls"] == 2
    assert by(found["by_streaming"], "streaming")[True]["calls"] == 1
    assert [(day["date"], day["calls"]) for day in found["by_day"]] == [("2026-11-01", 5)]
    figures = found["totals"].keys()
    for key in ("model", "day", "user", "provider", "streaming"):
        assert all(group.keys() - figures for group in found[f"by_{key}"])
        assert all(figures <= group.keys() for group in found[f"by_{key}"])


def test_the_models_with_most_calls_come_first_and_days_in_order(empty_store):
    add(empty_store, [call(30, model="b"), call(30, model="b"), call(0, model="a")])
    found = report(empty_store, UNTIL + timedelta(days=1))
    assert [group["model"] for group in found["by_model"]] == ["b", "a"]
    assert [group["date"] for group in found["by_day"]] == ["2026-11-01", "2026-11-02"]


def test_only_the_last_days_count(store):
    found = report(store, datetime(2026, 11, 2, 14, tzinfo=UTC), days=1)
    assert found["totals"]["calls"] == 3
    assert found["until"] - found["since"] == timedelta(days=1)
    assert report(store, datetime(2026, 11, 1, 14, tzinfo=UTC), days=1)["totals"]["calls"] == 2


def test_sums_of_nothing_are_unknown(store):
    found = report(store, datetime(2020, 1, 1, tzinfo=UTC))
    assert all(value == (0 if name in COUNTS else None) for name, value in found["totals"].items())
    assert found["by_model"] == found["by_day"] == found["by_user"] == []


def test_a_rejected_call_has_no_tokens_rather_than_none_used(empty_store):
    add(empty_store, [call(0, end_reason=EndReason.REJECTED, response_body=b"", provider=None)])
    totals = report(empty_store)["totals"]
    assert (totals["calls"], totals["errors"], totals["total_tokens"], totals["cost_usd"]) == (
        1,
        1,
        None,
        None,
    )


def test_hit_rates_are_shares_of_tokens_of_the_calls_that_have_them(empty_store):
    add(
        empty_store,
        [call(0), call(1, response_body=b'{"usage": {"prompt_tokens": 5000, "completion_tokens": 1}}')],
    )
    with empty_store.cursor() as connection:
        connection.execute("UPDATE internal.calls SET estimated_cached_tokens = 500 WHERE sequence = 1")
    totals = report(empty_store)["totals"]
    assert (totals["actual_cache_hit_rate"], totals["predicted_cache_hit_rate"]) == (0.4, 0.5)


def test_quantiles_are_near_the_exact_ones(empty_store):
    add(empty_store, [call(0, end_ns=n * MS) for n in range(1, 1001)])
    totals = report(empty_store)["totals"]
    assert totals["latency_ms_p50"] == pytest.approx(500.5, rel=0.01)
    assert totals["latency_ms_p95"] == pytest.approx(950, rel=0.01)


def test_many_groups_are_cut_to_those_with_most_calls(empty_store):
    add(empty_store, [call(0, model=f"m{n}") for n in range(500)] + [call(0, model="m7")])
    found = report(empty_store)
    assert len(found["by_model"]) == 400
    assert found["by_model"][0] == {**found["by_model"][0], "model": "m7", "calls": 2}
    assert found["totals"]["calls"] == 501


def test_sessions_come_with_the_dearest_first(empty_store):
    cheap = [call(n, session_id="cheap", request_body=b"") for n in range(3)]
    dear = {"usage": {"prompt_tokens": 10**6, "completion_tokens": 1}, "model": "gpt-4o"}
    unpriced = {"session_id": "unpriced", "model": "mine", "upstream_model": "mine", "provider": "local"}
    add(
        empty_store,
        [
            *cheap,
            call(5, session_id="dear", response_body=json.dumps(dear).encode()),
            call(6, **unpriced),
            call(7),
        ],
    )
    sessions = report(empty_store)["by_session"]
    assert [one["session_id"] for one in sessions] == ["dear", "cheap", "unpriced"]
    assert sessions[1]["calls"] == 3
    assert sessions[1]["first_call"] == "2026-11-01T12:00:00.000000Z"
    assert sessions[1]["last_call"] == "2026-11-01T14:00:00.000000Z"
    assert (sessions[2]["cost_usd"], sessions[2]["unpriced_calls"]) == (None, 1)


def test_the_slowest_and_the_dearest_calls_are_named(empty_store):
    costly = {"model": "gpt-4o", "usage": {"prompt_tokens": 10**6, "completion_tokens": 1}}
    calls = [call(n, end_ns=(500 + n) * MS) for n in range(7)]
    calls.append(call(7, end_ns=MS, response_body=json.dumps(costly).encode()))
    calls.append(call(8, end_ns=9000 * MS, response_body=b"", end_reason=EndReason.UPSTREAM_TIMEOUT))
    add(empty_store, calls)
    found = report(empty_store)
    ids = [one.request_id for one in calls]
    assert [one["request_id"] for one in found["slowest"]] == [ids[8], ids[6], ids[5], ids[4], ids[3]]
    assert found["slowest"][0]["end_reason"] == "upstream_timeout"
    assert [one["request_id"] for one in found["dearest"]] == [ids[7], ids[6], ids[5], ids[4], ids[3]]
    assert not any("prompt" in one or "rowid" in one for one in found["slowest"] + found["dearest"])


def test_prompts_are_shown_to_those_who_ask(empty_store):
    add(empty_store, [call(0), call(1, request_body=b"", end_ns=900 * MS)])
    found = report(empty_store, with_prompts=True)
    assert [one["prompt"] for one in found["slowest"]] == [None, "hello"]


def test_models_without_a_price_are_listed_with_the_reason(empty_store):
    scale = {
        "model": "gpt-5",
        "usage": {"prompt_tokens": 10, "completion_tokens": 2},
        "service_tier": "scale",
    }
    mine = {"model": "mine", "upstream_model": "mine", "provider": "local"}
    failed = call(3, **mine, response_body=b"{}", end_reason=EndReason.UPSTREAM_ERROR)
    scaled = call(4, model="gpt-5", response_body=json.dumps(scale).encode())
    add(empty_store, [call(0), call(1, **mine), call(2, **mine), failed, scaled])
    found = report(empty_store)
    assert found["totals"]["unpriced_calls"] == 3
    assert found["unpriced"] == [
        {
            "model": "mine",
            "provider": "local",
            "reason": "unknown_model",
            "terms": None,
            "calls": 2,
            "input_tokens": 2000,
            "output_tokens": 23,
        },
        {
            "model": "gpt-5",
            "provider": "openai",
            "reason": "unknown_terms",
            "terms": "service_tier=scale",
            "calls": 1,
            "input_tokens": 10,
            "output_tokens": 2,
        },
    ]


def test_predictions_are_scored_by_provider(empty_store):
    # Each call read 400 of 1000 tokens
    add(empty_store, [call(0), call(1), call(2), call(3, provider="azure"), call(4)])
    predicted(
        empty_store,
        *((0.4, "as_predicted"), (0.6, "unexpected_miss"), (0.3, "as_predicted"), (0.9, "unexpected_miss")),
    )
    first, second = report(empty_store)["cache_prediction"]
    assert (first["provider"], first["calls"]) == ("openai", 3)
    assert first["mean_absolute_error"] == pytest.approx((0 + 0.2 + 0.1) / 3)
    assert first["recalibrated_error"] == pytest.approx(0.05)
    assert first["predicted_hit_rate"] == pytest.approx(1.3 / 3)
    assert first["actual_hit_rate"] == pytest.approx(0.4)
    assert first["as_predicted"] == pytest.approx(2 / 3)
    assert (second["provider"], second["as_predicted"]) == ("azure", 0)


def test_without_calls_every_list_is_empty(empty_store):
    found = report(empty_store)
    lists = ("by_session", "slowest", "dearest", "unpriced", "cache_prediction")
    assert all(found[name] == [] for name in lists)
