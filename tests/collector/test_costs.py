"""Costs agree with what the providers' price lists say, worked out here by hand.

Each example names its list; prices are USD per million tokens, as published in November 2026 or at the date
of the call. The arithmetic stands beside each figure, so that it can be checked against the list alone.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from lessllm_collector import rows
from lessllm_collector.formats import records
from lessllm_collector.interpret import Prices, interpret
from lessllm_collector.query import Question, ask
from lessllm_shared.config.sections import Price
from lessllm_shared.providers import PRESETS
from lessllm_shared.record import ApiFormat, CallRecord, EndReason

LISTED = Prices({})  # one for all: what it remembers of a call is not for another
TUESDAY = datetime(2026, 11, 24, 12, tzinfo=UTC)


def row(usage, model, provider="openai", at=TUESDAY, own=None, **fields):
    """The row of a plain call that was answered with `usage`; more of the answer's keys in `answer`."""
    answer = {"model": model, "usage": usage, **fields.pop("answer", {})}
    known = {
        "request_id": "r",
        "t0_unix_ns": int(at.timestamp()) * 10**9,
        "end_reason": EndReason.COMPLETE,
        "api_format": ApiFormat.MESSAGES if provider == "anthropic" else ApiFormat.CHAT,
        "model": model,
        "upstream_model": model,
        "provider": provider,
        "status_code": 200,
        "upstream_start_ns": 1,
        "end_ns": 10**6,
        "response_headers": [("content-type", "application/json")],
        "response_body": json.dumps(answer).encode(),
    }
    record = CallRecord(**{**known, **fields})
    return interpret(record, gateway_id="g", sequence=1, prices=Prices(own) if own else LISTED)


def cost(*arguments, **fields):
    return row(*arguments, **fields)["estimated_cost_usd"]


def openai(prompt, completion, cached=0, written=None, **completion_details):
    details = {"cached_tokens": cached}
    if written is not None:
        details["cache_write_tokens"] = written
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "prompt_tokens_details": details,
        "completion_tokens_details": completion_details,
    }


def anthropic(fresh, output, read=0, write_5m=0, write_1h=0, **more):
    return {
        "input_tokens": fresh,
        "output_tokens": output,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": write_5m + write_1h,
        "cache_creation": {"ephemeral_5m_input_tokens": write_5m, "ephemeral_1h_input_tokens": write_1h},
        **more,
    }


def gemini(prompt, output, cached=0, thoughts=0):
    return {
        "promptTokenCount": prompt,
        "candidatesTokenCount": output,
        "thoughtsTokenCount": thoughts,
        "cachedContentTokenCount": cached,
    }


def test_openai_cached_prompt():
    # https://developers.openai.com/api/docs/pricing: gpt-4o 2.50, cached 1.25, output 10
    #   40,000 fresh x 2.50 = 0.100    60,000 cached x 1.25 = 0.075    2,000 output x 10 = 0.020
    found = row(openai(100_000, 2_000, cached=60_000), "gpt-4o")
    assert found["estimated_cost_usd"] == pytest.approx(0.195)
    assert found["cache_savings_usd"] == pytest.approx(0.075)  # 60,000 x (2.50 - 1.25)
    assert (found["cost_basis"], found["price_source"]) == ("reported", "genai-prices")
    assert found["price_version"] == f"{genai_prices.__version__}+2"


def test_openai_writes_cost_a_quarter_more_from_5_6_on():
    # https://developers.openai.com/api/docs/models/gpt-6.1-sol: 2, cached 0.10, output 10;
    # writes 1.25 x 2 = 2.50
    #   1,000 fresh x 2 = 0.002    20,000 read x 0.10 = 0.002    4,000 written x 2.50 = 0.010
    #   500 x 10 = 0.005
    found = row(openai(25_000, 500, cached=20_000, written=4_000), "gpt-6.1-sol")
    assert found["estimated_cost_usd"] == pytest.approx(0.019)
    assert found["cache_savings_usd"] == pytest.approx(0.038 - 0.002)  # 20,000 x 1.90 - 4,000 x 0.50


def test_openai_long_prompts():
    # The same page: more than 272K input tokens bill the whole request at 4, cached 0.20, output 15; writes 5
    #   exactly 272,000: x 2 = 0.544, 1,000 x 10 = 0.010
    assert cost(openai(272_000, 1_000), "gpt-6.1-sol") == pytest.approx(0.554)
    #   200,001 fresh x 4 = 0.800004    100,000 cached x 0.20 = 0.020    1,000 x 15 = 0.015
    assert cost(openai(300_001, 1_000, cached=100_000), "gpt-6.1-sol") == pytest.approx(0.835004)


def test_anthropic_reads_and_writes_of_both_lifetimes():
    # https://platform.claude.com/docs/en/about-claude/pricing: Opus 5: 5, output 25;
    # 5m writes 6.25, 1h writes 10, hits 0.50
    #   1,000 x 5 = 0.005    50,000 read x 0.50 = 0.025    8,000 x 6.25 = 0.050    2,000 x 10 = 0.020
    #   400 output x 25 = 0.010
    usage = anthropic(1_000, 400, read=50_000, write_5m=8_000, write_1h=2_000)
    found = row(usage, "claude-opus-5", "anthropic")
    assert found["estimated_cost_usd"] == pytest.approx(0.110)
    # 50,000 x 4.50 = 0.225 saved; 8,000 x 1.25 = 0.010 and 2,000 x 5 = 0.010 were the premium
    assert found["cache_savings_usd"] == pytest.approx(0.205)


def test_a_write_that_nobody_reads_is_a_loss():
    #   10,000 x (10 - 5) = 0.050
    found = row(anthropic(0, 0, write_1h=10_000), "claude-opus-5", "anthropic")
    assert found["cache_savings_usd"] == pytest.approx(-0.050)


def test_anthropic_prices_by_prompt_length_count_reads_and_writes():
    # Same list, Haiku 5.5: up to 100K 0.10, 5m 0.125, hits 0.01, output 0.50; beyond it five times as much
    #   10,000 x 0.10 = 0.001    90,000 read x 0.01 = 0.0009    1,000 x 0.50 = 0.0005
    assert cost(anthropic(10_000, 1_000, read=90_000), "claude-haiku-5-5", "anthropic") == pytest.approx(
        0.0024
    )
    #   10,001 x 0.50 = 0.0050005    90,000 x 0.05 = 0.0045    1,000 x 2.50 = 0.0025
    usage = anthropic(10_001, 1_000, read=90_000)
    assert cost(usage, "claude-haiku-5-5", "anthropic") == pytest.approx(0.0120005)


def test_gemini_prompts_beyond_200k_with_thinking():
    # https://ai.google.dev/gemini-api/docs/pricing: 2.5 Pro 1.25, cached 0.125, output with thinking 10;
    # prompts > 200k: 2.50, 0.25, 15
    def price(prompt):
        usage = gemini(prompt, 300, cached=100_000, thoughts=25)
        answer = {"modelVersion": "gemini-2.5-pro", "usageMetadata": usage}
        return cost(None, "gemini-2.5-pro", "gemini", answer=answer, api_format=ApiFormat.GEMINI)

    #   100,000 x 1.25 = 0.125    100,000 x 0.125 = 0.0125    325 x 10 = 0.00325
    assert price(200_000) == pytest.approx(0.14075)
    #   100,001 x 2.50 = 0.2500025    100,000 x 0.25 = 0.025    325 x 15 = 0.004875
    assert price(200_001) == pytest.approx(0.2798775)


def test_reasoning_tokens_are_output_tokens():
    # https://developers.openai.com/api/docs/pricing: o3 2, cached 0.50, output 8;
    # completion_tokens has the reasoning
    #   10,000 x 2 = 0.020    5,000 x 8 = 0.040
    assert cost(openai(10_000, 5_000, reasoning_tokens=4_800), "o3") == pytest.approx(0.060)
    # https://docs.x.ai/developers/pricing: grok-4.3 1.25, output 2.50; xAI's completion_tokens leaves it out
    #   10,000 x 1.25 = 0.0125    1,000 + 4,000 x 2.50 = 0.0125
    usage = {**openai(10_000, 1_000, reasoning_tokens=4_000), "total_tokens": 15_000}
    assert cost(usage, "grok-4.3", "xai") == pytest.approx(0.025)


def test_tiers_of_service_as_the_answer_reports_them():
    # https://developers.openai.com/api/docs/pricing, gpt-5: standard 1.25, cached 0.125, output 10;
    # flex 0.625, 0.0625, 5; priority 2.50, 0.25, 20
    #   8,000 fresh, 2,000 cached, 1,000 output
    prices = {
        None: 0.02025,  # 0.010 + 0.00025 + 0.010
        "default": 0.02025,
        "flex": 0.010125,  # 0.005 + 0.000125 + 0.005
        "priority": 0.0405,  # 0.020 + 0.0005 + 0.020
    }
    for tier, expected in prices.items():
        found = row(openai(10_000, 1_000, cached=2_000), "gpt-5", answer={"service_tier": tier})
        assert found["estimated_cost_usd"] == pytest.approx(expected)
        assert found["price_terms"] == (f"service_tier={tier}" if tier in ("flex", "priority") else None)


def streamed(*events, **fields):
    """A response of gpt-5, as a stream of the Responses API."""
    lines = (f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events)
    body = "".join(lines).encode()
    given = {
        "api_format": ApiFormat.RESPONSES,
        "upstream_format": ApiFormat.RESPONSES,
        "upstream_streaming": True,
        "response_headers": [("content-type", "text/event-stream")],
        "request_body": b'{"input": "12345678"}',
        "response_body": body,
        "response_body_bytes": len(body),
    }
    return row(None, "gpt-5", **given, **fields)


def test_a_stream_has_the_tier_that_its_end_names():
    # gpt-5 as above:    1,000 x 2.50 = 0.0025    10 x 20 = 0.0002
    begun = {"type": "response.created", "response": {"model": "gpt-5", "service_tier": "auto"}}
    usage = {"input_tokens": 1_000, "output_tokens": 10, "input_tokens_details": {"cached_tokens": 0}}
    done = {"model": "gpt-5", "service_tier": "priority", "status": "completed", "usage": usage}
    found = streamed(begun, {"type": "response.completed", "response": done})
    assert found["estimated_cost_usd"] == pytest.approx(0.0027)


def test_a_stream_that_was_cut_off_is_priced_by_its_text_at_the_list_price():
    # 4 bytes a token; gpt-5 as above:    2 x 1.25    3 x 10
    begun = {"type": "response.created", "response": {"model": "gpt-5", "service_tier": "auto"}}
    place = {"item_id": "i", "output_index": 0, "content_index": 0}
    text = {"type": "response.output_text.delta", **place, "delta": "hello world"}
    found = streamed(begun, text, end_reason=EndReason.CLIENT_CANCELLED)
    assert (found["estimated_prompt_tokens"], found["estimated_completion_tokens"]) == (2, 3)
    assert found["actual_prompt_tokens"] is None
    assert found["estimated_cost_usd"] == pytest.approx((2 * 1.25 + 3 * 10) / 1e6)
    assert found["cost_basis"] == "estimated"


def test_gemini_says_its_tier_in_a_header():
    # https://ai.google.dev/gemini-api/docs/optimization: flex is half the list price; 2.5 Pro as above
    #   100,000 x 1.25 = 0.125    1,000 x 10 = 0.010
    answer = {"modelVersion": "gemini-2.5-pro", "usageMetadata": gemini(100_000, 1_000)}

    def price(tier):
        headers = [("content-type", "application/json"), ("x-gemini-service-tier", tier)]
        given = {"answer": answer, "api_format": ApiFormat.GEMINI, "response_headers": headers}
        return cost(None, "gemini-2.5-pro", "gemini", **given)

    assert price("standard") == pytest.approx(0.135)
    assert price("flex") == pytest.approx(0.0675)
    assert price("priority") is None  # 75 to 100 % more, by model: no list says how much


def test_a_batch_costs_half():
    # https://platform.claude.com/docs/en/about-claude/pricing: batches halve every price; Opus 5 as above
    #   1,000 x 2.50 = 0.0025    50,000 x 0.25 = 0.0125    8,000 x 3.125 = 0.025    2,000 x 5 = 0.010
    #   400 x 12.50 = 0.005
    usage = anthropic(1_000, 400, read=50_000, write_5m=8_000, write_1h=2_000, service_tier="batch")
    found = row(usage, "claude-opus-5", "anthropic")
    assert (found["estimated_cost_usd"], found["price_terms"]) == (pytest.approx(0.055), "processing=batch")
    # https://developers.openai.com/api/docs/pricing, batch: gpt-5 0.625, output 5
    #   10,000 x 0.625 = 0.00625    1,000 x 5 = 0.005
    assert cost(openai(10_000, 1_000), "gpt-5", answer={"service_tier": "batch"}) == pytest.approx(0.01125)


def test_fast_mode_and_inference_in_the_us():
    # https://platform.claude.com/docs/en/about-claude/pricing: Opus 5.5 4, hits 0.20, output 20;
    # fast 8 and 40, with the same multipliers for caching (hits 0.05 x 8 = 0.40);
    # inference_geo us: all prices x 1.1
    #   1,000 x 4 = 0.004    10,000 x 0.20 = 0.002    500 x 20 = 0.010
    def price(**said):
        return cost(anthropic(1_000, 500, read=10_000, **said), "claude-opus-5-5", "anthropic")

    assert price(speed="standard", inference_geo="global", service_tier="standard") == pytest.approx(0.016)
    assert price(inference_geo="us") == pytest.approx(0.0176)
    assert price(speed="fast") == pytest.approx(0.032)
    assert price(speed="fast", inference_geo="us") == pytest.approx(0.0352)
    assert price(service_tier="batch", inference_geo="us") == pytest.approx(0.0088)


def test_openai_regions_add_a_tenth_to_models_since_march_2026():
    # https://developers.openai.com/api/docs/guides/data-residency
    eu = {"upstream_url": "https://eu.api.openai.com/v1/chat/completions"}
    #   10,000 x 2 = 0.020 + 10 %;    gpt-4o is older: 10,000 x 2.50 = 0.025
    assert cost(openai(10_000, 0), "gpt-6.1-sol", **eu) == pytest.approx(0.022)
    assert cost(openai(10_000, 0), "gpt-4o", **eu) == pytest.approx(0.025)


def test_web_searches_that_the_usage_counts():
    # https://platform.claude.com/docs/en/about-claude/pricing: $10 per 1,000 searches
    usage = anthropic(1_000, 0, server_tool_use={"web_search_requests": 3})
    found = row(usage, "claude-opus-5", "anthropic")
    assert (found["estimated_cost_usd"], found["fees_usd"]) == (pytest.approx(0.035), pytest.approx(0.030))


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (datetime(2026, 11, 24, 12, tzinfo=UTC), 0.0237),  # Tuesday, off-peak
        (datetime(2026, 11, 24, 2, tzinfo=UTC), 0.0474),  # Tuesday, peak
        (datetime(2026, 11, 28, 2, tzinfo=UTC), 0.0237),  # Saturday
    ],
)
def test_deepseek_by_the_hour(at, expected):
    # https://api-docs.deepseek.com/quick_start/pricing: deepseek-flash off-peak: hit 0.003, miss 0.15,
    # output 0.60; twice that Monday to Friday 01:00-04:00 and 06:00-10:00 UTC
    #   900,000 hit x 0.003 = 0.0027    100,000 miss x 0.15 = 0.015    10,000 x 0.60 = 0.006
    usage = {
        "prompt_tokens": 1_000_000,
        "prompt_cache_hit_tokens": 900_000,
        "prompt_cache_miss_tokens": 100_000,
        "completion_tokens": 10_000,
    }
    assert cost(usage, "deepseek-flash", "deepseek", at) == pytest.approx(expected)


def test_a_price_holds_from_its_date_on():
    # https://developers.openai.com/api/docs/changelog, 2026-08-21: gpt-5.6-sol from 5 and 30 to 4 and 20
    #   10,000 x 5 = 0.050    1,000 x 30 = 0.030;    10,000 x 4 = 0.040    1,000 x 20 = 0.020
    before, after = datetime(2026, 8, 20, 23, 59, tzinfo=UTC), datetime(2026, 8, 21, tzinfo=UTC)
    assert cost(openai(10_000, 1_000), "gpt-5.6-sol", at=before) == pytest.approx(0.080)
    assert cost(openai(10_000, 1_000), "gpt-5.6-sol", at=after) == pytest.approx(0.060)


OWN = Price(
    input_usd_per_mtok=10,
    output_usd_per_mtok=100,
    cache_read_usd_per_mtok=1,
    cache_write_usd_per_mtok=12,
    cache_write_1h_usd_per_mtok=20,
)


def test_own_prices_win_whatever_the_tier():
    #   1,000 x 10 = 0.010    2,000 x 1 = 0.002    1,000 x 12 = 0.012    500 x 20 = 0.010    100 x 100 = 0.010
    usage = anthropic(1_000, 100, read=2_000, write_5m=1_000, write_1h=500, service_tier="priority")
    found = row(usage, "claude-opus-5", "anthropic", own={"claude-opus-5": OWN})
    assert found["estimated_cost_usd"] == pytest.approx(0.044)
    assert found["cache_savings_usd"] == pytest.approx(0.018 - 0.002 - 0.005)
    assert (found["price_source"], found["price_version"]) == ("configured", None)


def test_unset_own_cache_prices_are_those_of_fresh_tokens():
    own = {"mine": Price(input_usd_per_mtok=10, output_usd_per_mtok=100)}
    assert cost(openai(1_000, 0, cached=900, written=100), "mine", own=own) == pytest.approx(0.010)
    own = {"mine": Price(input_usd_per_mtok=10, output_usd_per_mtok=100, cache_write_usd_per_mtok=12)}
    assert cost(anthropic(0, 0, write_1h=1_000), "mine", "anthropic", own=own) == pytest.approx(0.012)


@pytest.mark.parametrize(
    ("usage", "model", "fields", "reason"),
    [
        (openai(10, 1), "gpt-nobody-knows", {}, "unknown_model"),
        (openai(10, 1), "gpt-5", {"provider": "mine"}, "unknown_model"),
        # No price list has these
        (openai(10, 1), "gpt-5", {"answer": {"service_tier": "scale"}}, "unknown_terms"),
        (openai(10, 1), "gpt-4o", {"answer": {"service_tier": "flex"}}, "unknown_terms"),
        (
            anthropic(10, 1, service_tier="priority"),
            "claude-opus-5",
            {"provider": "anthropic"},
            "unknown_terms",
        ),
        (anthropic(10, 1, inference_geo="mars"), "claude-opus-5", {"provider": "anthropic"}, "unknown_terms"),
        # Azure has OpenAI's models, and tiers of its own
        (
            openai(10, 1),
            "gpt-5",
            {"provider": "azure", "answer": {"service_tier": "priority"}},
            "unknown_terms",
        ),
        # When flex processing of gpt-5 cost what it does is known from 2026-10-12 on
        (
            openai(10, 1),
            "gpt-5",
            {"answer": {"service_tier": "flex"}, "at": datetime(2026, 10, 11, tzinfo=UTC)},
            "unknown_terms",
        ),
        # Its reasoning tokens are cheaper than its others
        (openai(10, 1), "perplexity/sonar-deep-research", {"provider": "openrouter"}, "unknown_model"),
        # Audio tokens cost many times more than text
        (openai(10, 1, audio_tokens=5), "gpt-4o-audio-preview", {}, "unknown_terms"),
        (None, "gpt-5", {}, "no_usage"),
    ],
)
def test_a_price_that_is_not_known_is_null_with_a_reason(usage, model, fields, reason):
    found = row(usage, model, **fields)
    assert found["price_source"] == reason
    money = (
        "estimated_cost_usd",
        "cost_basis",
        "cache_savings_usd",
        "price_version",
        "input_usd_per_mtok",
        "fees_usd",
    )
    assert all(found[name] is None for name in money)


def test_a_provider_that_the_user_named_is_known_by_its_address():
    mine = {"provider": "my-openai", "upstream_url": "https://api.openai.com/v1/chat/completions"}
    assert cost(openai(10_000, 0), "gpt-4o", **mine) == pytest.approx(0.025)
    local = {"provider": "my-openai", "upstream_url": "http://127.0.0.1:8080/v1/chat/completions"}
    assert cost(openai(10_000, 0), "gpt-4o", **local) is None


def test_list_prices_are_those_of_genai_prices():
    # Of every model with prices for tokens alone; our own resolution against the package's.
    usage = genai_prices.Usage(
        input_tokens=300_000,
        cache_read_tokens=100_000,
        cache_write_tokens=50_000,
        cache_write_1h_tokens=20_000,
        output_tokens=1_000,
    )
    reported = anthropic(150_000, 1_000, read=100_000, write_5m=30_000, write_1h=20_000)
    compared = 0
    for provider in ("openai", "anthropic", "gemini", "deepseek", "mistral", "xai", "groq", "moonshot"):
        listed = get_snapshot().find_provider(None, PRESETS[provider].price_id, None)
        for model in listed.models:
            found = row(reported, model.id, provider)
            if found["estimated_cost_usd"] is None or found["output_usd_per_mtok"] is None:
                continue
            expected = model.calc_price(usage, listed, genai_request_timestamp=TUESDAY).total_price
            assert found["estimated_cost_usd"] == pytest.approx(float(expected)), model.id
            compared += 1
    assert compared > 200


def test_free_models_cost_nothing():
    # https://openrouter.ai/docs: models whose name ends in :free
    found = row(openai(1_000, 10), "qwen/qwen3-coder:free", "openrouter")
    assert (found["estimated_cost_usd"], found["price_source"]) == (0, "genai-prices")


def test_sql_works_the_same_costs_out(empty_store):
    # The statement in docs/costs.md, as a user may send it.
    document = Path(__file__).parents[2] / "docs" / "costs.md"
    sql = document.read_text("utf-8").partition("```sql\n")[2].partition("```")[0]
    cut_off = {"end_reason": EndReason.CLIENT_CANCELLED, "request_body": b'{"messages": [{"content": "x"}]}'}
    found = [
        row(openai(300_001, 1_000, cached=100_000, written=7_000), "gpt-6.1-sol"),
        row(anthropic(1_000, 400, read=50_000, write_5m=8_000, write_1h=2_000), "claude-opus-5", "anthropic"),
        row(anthropic(9, 1, server_tool_use={"web_search_requests": 3}), "claude-opus-5", "anthropic"),
        row(openai(10_000, 1_000, cached=2_000), "gpt-5", answer={"service_tier": "flex"}),
        row(openai(100, 10, cached=999_999, written=999_999), "gpt-6.1-sol"),  # more than there is
        row({"prompt_tokens": 100}, "gpt-4o"),
        row({"prompt_tokens": 100}, "text-embedding-3-small", api_format=ApiFormat.EMBEDDINGS),
        row(None, "gpt-4o", answer={"choices": [{"message": {"content": "some text"}}]}, **cut_off),
        row(anthropic(1_000, 100, read=10, write_1h=500), "mine", own={"mine": OWN}),
        row(openai(10, 1), "gpt-nobody-knows"),
    ]
    with empty_store.cursor() as connection:
        rows.insert(connection, found)
        result = records(ask(connection, Question(sql), 100))
    assert len(result) == len(found) - 1
    assert all(one["estimated_cost_usd"] > 0 for one in result)
    for one in result:
        assert one["cost_usd"] == pytest.approx(one["estimated_cost_usd"], rel=1e-12)
