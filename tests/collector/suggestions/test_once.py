"""No loss is told twice, none without evidence, and nothing that was recorded makes it fail."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lessllm_collector.cache.rules import Rules
from lessllm_collector.suggestions.comparing import compare
from lessllm_collector.suggestions.evidence import difference, settings_difference
from lessllm_collector.suggestions.findings import find
from lessllm_collector.suggestions.telling import suggestion
from lessllm_collector.suggestions.traces import Tracer, prompt_of

from .test_marked import marked
from .workload import T0, Calls, anthropic, chat, claude, openai, text


def claimed(findings):
    return [one.trace.request_id for finding in findings for one in finding.losses]


def test_a_call_with_several_flaws_is_counted_once():
    calls = Calls("anthropic", "claude-sonnet-5")
    for n in range(20):
        # A time in front, another tool choice and another key each time, and nothing reads what is written.
        now = {"type": "text", "text": f"It is 10:{n:02}."}
        body = claude([now, marked("rules", 5000)], text(f"q{n}", 50))
        body["tool_choice"] = {"type": ("auto", "any")[n % 2]}
        calls.add(n * 60, body, anthropic(5100, 0, 5050), key_fingerprint=f"k{n % 3}")
    findings = calls.all()
    assert findings
    assert len(claimed(findings)) == len({*claimed(findings)})
    spent = sum(row["estimated_cost_usd"] for row in calls.rows)
    assert sum(one.usd for one in findings) < spent


def test_one_call_that_loses_is_no_evidence():
    calls = Calls()
    for n in range(2):
        calls.add(n * 60, chat(f"It is 10:0{n}.\n{text('rules', 80_000)}", text(f"q{n}", 50)), openai(80_050))
    assert calls.findings() == {}


def test_less_than_a_cent_in_30_days_is_not_told():
    calls = Calls("openai", "gpt-4.1-mini")
    for n in range(3):
        calls.add(n * 60, chat(f"It is 10:0{n}.\n{text('rules', 2000)}", text(f"q{n}", 50)), openai(2050))
    # 2 · 2,000 · 0.4e-6 · 0.75 = $0.0012: 3.6 cents if that is of a day, 0.5 if it is of a week.
    assert calls.findings(days=1).keys() == {"volatile_early_content"}
    assert calls.findings(days=7) == {}


def test_what_is_free_loses_nothing():
    from lessllm_collector.interpret import Prices
    from lessllm_shared.config.sections import Price

    prices = Prices({"gpt-4.1": Price(input_usd_per_mtok=0, output_usd_per_mtok=0)})
    calls = Calls(prices=prices)
    for n in range(10):
        calls.add(n * 60, chat(f"It is 10:0{n}.\n{text('rules', 8000)}", text(f"q{n}", 50)), openai(8050))
    assert calls.findings() == {}


def test_calls_that_failed_and_other_models_are_nothing_to_compare_with():
    calls = Calls()
    for n in range(10):
        body = chat(f"It is 10:0{n}.\n{text('rules', 8000)}", text(f"q{n}", 50))
        calls.add(n * 60, body, openai(8050), model="gpt-4.1" if n % 5 == 0 else f"gpt-4.1-{n}")
    assert calls.findings() == {}


numbers = st.none() | st.integers(-5, 2**40)
texts = st.sampled_from(["", "a", "It is 10:02", "x" * 5000, "é\\n\ud800", "0" * 300])
blocks = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image", "tool_use", "tool_result", "thinking", 3])},
    optional={
        "text": texts,
        "cache_control": st.sampled_from([None, 1, {"type": "ephemeral"}, {"ttl": "1h"}]),
    },
)
contents = texts | st.none() | st.lists(blocks, max_size=4)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool", None]), "content": contents}
    ),
    max_size=5,
)
tools = st.none() | st.lists(
    st.dictionaries(st.sampled_from(["name", "b", "c"]), st.integers() | texts), max_size=3
)
bodies = st.fixed_dictionaries(
    {"messages": messages}, optional={"system": contents, "tools": tools, "tool_choice": texts}
)
requests = st.binary(max_size=50) | bodies.map(lambda body: json.dumps(body).encode()) | st.none()
rows = st.fixed_dictionaries(
    {
        "request_body": requests,
        "provider": st.sampled_from([None, "openai", "anthropic", "deepseek", "vllm", "dashscope", "mine"]),
        "upstream_model": st.sampled_from([None, "gpt-4.1", "gpt-5.6-sol", "claude-sonnet-5"]),
        "upstream_format": st.sampled_from(
            [None, "openai-chat", "anthropic-messages", "openai-responses", "x"]
        ),
        "clock_marks": st.integers(0, 1000).map(lambda s: f'{{"t0_unix_ns": {(T0 + s) * 10**9}}}'),
        "key_fingerprint": st.sampled_from([None, "k1", "k2"]),
        "actual_prompt_tokens": numbers,
        "actual_cached_tokens": numbers,
        "actual_cache_write_tokens": numbers,
        "actual_cache_write_1h_tokens": numbers,
        "input_usd_per_mtok": st.sampled_from([None, 0.0, 2.0]),
        "cache_read_usd_per_mtok": st.sampled_from([None, 0.0, 0.2]),
        "cache_write_usd_per_mtok": st.sampled_from([None, 2.5]),
        "cache_write_1h_usd_per_mtok": st.sampled_from([None, 4.0]),
    }
)
FIXED = {
    "upstream_request_body": None,
    "api_format": "openai-chat",
    "model": "m",
    "upstream_url": None,
    "end_reason": "complete",
    "status_code": 200,
    "actual_completion_tokens": None,
    "actual_reasoning_tokens": None,
}


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(rows, max_size=8))
def test_no_rows_make_it_fail(recorded):
    tracer = Tracer(Rules(), {})
    made = [{**row, **FIXED, "rowid": n, "request_id": f"r{n}"} for n, row in enumerate(recorded)]
    traces = [trace for row in made if (trace := tracer.trace(row)) is not None]
    findings = find(compare(traces, T0 + 5000.0), 1e-9)
    assert len(claimed(findings)) == len({*claimed(findings)})
    for finding in findings:
        told = suggestion(finding, None, 1.0)
        assert told["calls"] >= 2
        json.dumps(told)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(rows, rows)
def test_no_two_bodies_make_their_difference_fail(one, other):
    prompts = [prompt_of({**row, **FIXED}) for row in (one, other)]
    if None not in prompts:
        found = difference(*prompts)
        for found in filter(
            None, (difference(*prompts), settings_difference("tool_choice, thinking", *prompts))
        ):
            for excerpt in (found.before, found.after):
                assert 0 <= excerpt.start <= excerpt.end <= len(excerpt.text) <= 200
