"""A real model behind the gateway: llama.cpp's server, called with the official SDKs.

Its tokens, its prompt cache and its times are real: the rows must show what the SDK was told.
"""

import time
import uuid
from dataclasses import dataclass

import anthropic
import openai
import pytest
from e2e.processes import running_services

RULES = "You answer in one short sentence. " * 20  # a prefix for the cache: 120 tokens
QUESTION = "What is the capital of France?"


@dataclass
class Seen:
    """What the SDK was told of one call."""

    text: str
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int


@pytest.fixture
def session():
    """Marks a test's calls among those of others."""
    return uuid.uuid4().hex


def chat(url, session, *, streaming):
    messages = [{"role": "system", "content": RULES}, {"role": "user", "content": QUESTION}]
    more = {"stream": True, "stream_options": {"include_usage": True}} if streaming else {}
    with openai_client(url, session) as client:
        answer = client.chat.completions.create(
            model="smollm2", messages=messages, max_tokens=16, temperature=0, **more
        )
        if streaming:
            *chunks, last = list(answer)
            text, usage = "".join(c.choices[0].delta.content or "" for c in chunks), last.usage
        else:
            text, usage = answer.choices[0].message.content, answer.usage
    return Seen(text, usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens)


def responses(url, session, *, streaming):
    with openai_client(url, session) as client:
        answer = client.responses.create(
            model="smollm2",
            instructions=RULES,
            input=QUESTION,
            max_output_tokens=16,
            temperature=0,
            stream=streaming,
        )
        if streaming:
            answer = list(answer)[-1].response
    usage = answer.usage
    cached = usage.input_tokens_details.cached_tokens
    return Seen(answer.output_text, usage.input_tokens, cached, usage.output_tokens)


def messages(url, session, *, streaming):
    said = {"model": "smollm2-messages", "system": RULES, "max_tokens": 16, "extra_body": {"temperature": 0}}
    said["messages"] = [{"role": "user", "content": QUESTION}]
    marks = {"x-lessllm-session": session}
    with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0, default_headers=marks) as client:
        if streaming:
            with client.messages.stream(**said) as stream:
                answer = stream.get_final_message()
        else:
            answer = client.messages.create(**said)
    usage = answer.usage
    prompt_tokens = usage.input_tokens + usage.cache_read_input_tokens
    return Seen(answer.content[0].text, prompt_tokens, usage.cache_read_input_tokens, usage.output_tokens)


def openai_client(url, session):
    marks = {"x-lessllm-session": session}
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, default_headers=marks)


def of(session):
    """The calls of a session, in order, as arguments for `rows` and `row`."""
    return "SELECT * FROM api_calls WHERE session_id = ? ORDER BY timestamp", session


def document(real_model, **way):
    return {
        "providers": {
            "local": {"base_url": f"{real_model}/v1", "responses": True, **way},
            "local-messages": {"format": "anthropic", "base_url": real_model, **way},
        },
        "models": {
            "smollm2": {"provider": "local"},
            "smollm2-messages": {"provider": "local-messages", "model": "smollm2"},
        },
    }


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, real_model):
    """Services before the real model, without a proxy."""
    with running_services(tmp_path_factory.mktemp("real"), document(real_model)) as services:
        yield services


@pytest.mark.parametrize("streaming", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("call", [chat, responses, messages])
def test_the_row_of_a_real_call_shows_what_the_sdk_was_told(gateway, session, call, streaming):
    before_s = time.monotonic()
    seen = [call(gateway.gateway.url, session, streaming=streaming) for _ in range(2)]
    spent_ms = (time.monotonic() - before_s) * 1000
    rows = gateway.rows(*of(session))
    told = [(s.prompt_tokens, s.cached_tokens, s.output_tokens) for s in seen]
    columns = ("actual_prompt_tokens", "actual_cached_tokens", "actual_completion_tokens")
    assert [tuple(row[column] for column in columns) for row in rows] == told
    assert seen[1].cached_tokens > 100  # the real cache: the whole prefix, but for the last tokens
    assert seen[1].text
    for row in rows:
        assert row["end_reason"] == "complete"
        assert row["streaming"] == streaming
        assert row["actual_total_tokens"] == row["actual_prompt_tokens"] + row["actual_completion_tokens"]
        assert row["actual_cache_hit_rate"] == row["actual_cached_tokens"] / row["actual_prompt_tokens"]
        assert 0 < row["estimated_ttfb_ms"] <= row["estimated_ttft_ms"] < row["total_latency_ms"] < spent_ms
        decoding_ms = row["estimated_tpot_ms"] * (row["actual_completion_tokens"] - 1)
        assert 0 < decoding_ms <= row["total_latency_ms"] - row["estimated_ttft_ms"]
        assert 0 <= row["gateway_overhead_ms"] < row["total_latency_ms"]
        assert (row["connection_reused"], row["route"]) == (False, "direct")
        assert row["tcp_connect_ms"] > 0
        assert (row["estimated_cost_usd"], row["price_source"]) == (None, "unknown_model")
        assert row["raw_response"]
        assert row["interpreter_error"] is None


def test_the_models_own_times_are_recorded_beside_ours(gateway, session):
    chat(gateway.gateway.url, session, streaming=True)
    row = gateway.row(*of(session))
    assert 0 < row["provider_processing_ms"] < row["total_latency_ms"]


@pytest.mark.parametrize("streaming", [False, True], ids=["plain", "stream"])
def test_the_gateway_changes_nothing_of_what_the_model_says(gateway, real_model, session, streaming):
    through, direct = (chat(url, session, streaming=streaming) for url in (gateway.gateway.url, real_model))
    assert through.text == direct.text


def test_a_client_that_asks_for_no_usage_gets_none_and_the_row_has_it(gateway, session):
    asked = [{"role": "user", "content": QUESTION}]
    with openai_client(gateway.gateway.url, session) as client:
        chunks = list(
            client.chat.completions.create(model="smollm2", messages=asked, max_tokens=8, stream=True)
        )
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    row = gateway.row(*of(session))
    assert 0 < row["actual_completion_tokens"] <= 8
    assert row["actual_prompt_tokens"] > 0


def test_bodies_are_recorded_byte_for_byte(gateway, session):
    asked = [{"role": "user", "content": "Ünïcödé 漢字 🦊: count to three."}]
    usage = {"include_usage": True}
    with (
        openai_client(gateway.gateway.url, session) as client,
        client.chat.completions.with_streaming_response.create(
            model="smollm2", messages=asked, max_tokens=8, stream=True, stream_options=usage
        ) as response,
    ):
        got = b"".join(response.iter_bytes())
        sent = response.http_response.request.content
    row = gateway.row(*of(session))
    assert (row["request_body"], row["response_body"]) == (sent, got)
    assert row["raw_request"] == sent.decode()


def test_a_configured_price_prices_the_call(services, real_model, session):
    price = {"input_usd_per_mtok": 10, "output_usd_per_mtok": 100, "cache_read_usd_per_mtok": 1}
    gateway = services({**document(real_model), "prices": {"smollm2": price}})
    seen = chat(gateway.gateway.url, session, streaming=False)
    row = gateway.row(*of(session))
    fresh = seen.prompt_tokens - seen.cached_tokens
    cost = (fresh * 10 + seen.cached_tokens * 1 + seen.output_tokens * 100) / 1e6
    assert row["estimated_cost_usd"] == pytest.approx(cost)
    assert row["cache_savings_usd"] == pytest.approx(seen.cached_tokens * 9 / 1e6)
    assert (row["price_source"], row["cost_basis"]) == ("configured", "reported")


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_the_route_through_a_real_proxy_is_recorded(services, real_model, pproxy, session, scheme):
    address = pproxy(scheme, "alice:s3cret")
    setting = {"socks5": "socks_proxy", "http": "http_proxy"}[scheme]
    gateway = services(document(real_model, proxy={setting: f"{scheme}://alice:s3cret@{address}"}))
    seen = chat(gateway.gateway.url, session, streaming=True)
    row = gateway.row(*of(session))
    assert row["actual_completion_tokens"] == seen.output_tokens
    assert row["route"] == f"{scheme}://{address}"
    assert row["estimated_ttft_ms"] > 0
    assert row["estimated_tpot_ms"] > 0
    assert row["server_wait_ms"] > 0
    assert row["connection_reused"] is False
    # A proxy for plain HTTP gets the request itself: there is nothing to agree on before.
    assert (row["proxy_handshake_ms"] is None) == (scheme == "http")
    assert "s3cret" not in repr(row)


def test_a_proxy_that_refuses_its_password_is_named(services, real_model, pproxy, session):
    address = pproxy("socks5", "alice:s3cret")
    gateway = services(document(real_model, proxy={"socks_proxy": f"socks5://alice:wrong@{address}"}))
    with pytest.raises(openai.APIStatusError, match=address) as refused:
        chat(gateway.gateway.url, session, streaming=False)
    row = gateway.row(*of(session))
    assert refused.value.status_code == 502
    assert refused.value.code == row["error_code"]
    assert row["end_reason"] == "proxy_error"
    assert "alice:wrong" not in repr(row)
