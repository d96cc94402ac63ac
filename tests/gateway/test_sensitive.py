"""Sensitive data through the gateway: counted by others, kept out of records, or not let out at all."""

import asyncio
import gzip
import json
import subprocess
import sys

import pytest
from lessllm_gateway.policies import Policies
from lessllm_shared.config import ConfigError, GatewaySettings, load
from lessllm_shared.config.sections import SensitiveData
from lessllm_shared.record import EndReason

MAIL = "zhang.wei@example.org"
CARD = "4111 1111 1111 1111"
BLOCK_CARDS = {"policy": "block", "kinds": ["card"]}
OFF = {"policy": False}  # as YAML reads it
KEY = {"authorization": "Bearer sk-of-the-client"}


def chat(text, **more):
    return {
        "model": "gpt-4o",
        "messages": [{"role": "system", "content": "x"}, {"role": "user", "content": text}],
        **more,
    }


def completion(text):
    return json.dumps(
        {"choices": [{"index": 0, "message": {"content": text}}], "usage": {"total_tokens": 3}}
    ).encode()


def policies(**sections):
    return Policies(load(GatewaySettings, sections, {}))


async def test_by_default_it_is_recorded_for_the_collector_to_count(gateway, upstream, records, answer):
    upstream.answer = answer(completion(MAIL))
    client = await gateway()
    await client.post("/v1/chat/completions", json=chat(MAIL), headers=KEY)
    record = await records.one()
    assert (record.sensitive_policy, record.sensitive_findings) == ("flag", None)
    assert MAIL.encode() in record.request_body and MAIL.encode() in record.response_body


def test_a_gateway_that_starts_has_not_loaded_what_finds_it():
    loaded = "import sys, lessllm_gateway.service; print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", loaded], text=True, timeout=60).split()
    assert "lessllm_gateway.proxy" in modules
    for heavy in ("lessllm_gateway.redaction", "lessllm_shared.sensitive.finding", "phonenumbers", "stdnum"):
        assert heavy not in modules


async def test_it_is_loaded_where_the_gateway_has_to_look_itself(gateway, upstream, answer, monkeypatch):
    monkeypatch.setitem(sys.modules, "lessllm_gateway.redaction", None)  # nobody can import it now
    upstream.answer = answer(completion("hi"))
    for policy, status in (("off", 200), ("flag", 200), ("redact_record", 500)):
        client = await gateway(sensitive_data={"policy": policy})
        response = await client.post("/v1/chat/completions", json=chat(MAIL), headers=KEY)
        assert response.status_code == status


async def test_what_is_not_to_be_recorded_goes_to_the_provider_and_to_nobody_else(
    gateway, upstream, records, answer
):
    text = completion(f"you are {MAIL}")
    upstream.answer = answer(text)
    client = await gateway(
        sensitive_data={"policy": "redact_record", "kinds": ["email"]},
        gateway={"measure_non_streaming": False},
    )
    response = await client.post("/v1/chat/completions", json=chat(f"I am {MAIL}, {CARD}"), headers=KEY)
    assert response.content == text
    assert (
        MAIL.encode() in upstream.requests[0] and b"accept-encoding: identity" in upstream.requests[0].lower()
    )
    record = await records.one()
    assert MAIL not in repr(record)
    assert json.loads(record.request_body) == chat(f"I am [email], {CARD}")
    assert len(record.response_body) == len(text) == sum(record.read_bytes)
    assert (
        json.loads(record.response_body)["choices"][0]["message"]["content"] == f"you are {'*' * len(MAIL)}"
    )
    assert record.sensitive_findings == {"email": 1, "card": 1}


async def test_a_stream_that_repeats_it_in_pieces(gateway, upstream, records, answer):
    pieces = [MAIL[:5], MAIL[5:9], MAIL[9:], " bye"]
    events = b"".join(
        b"data: %b\n\n" % json.dumps({"choices": [{"index": 0, "delta": {"content": piece}}]}).encode()
        for piece in pieces
    )
    upstream.answer = answer(events, content_type="text/event-stream")
    client = await gateway(sensitive_data={"policy": "redact_record"})
    response = await client.post("/v1/chat/completions", json=chat("hi", stream=True), headers=KEY)
    assert response.content == events
    record = await records.one()
    said = [
        json.loads(line[6:])["choices"][0]["delta"]["content"]
        for line in record.response_body.split(b"\n\n")
        if line
    ]
    assert said == ["*" * 5, "*" * 4, "*" * (len(MAIL) - 9), " bye"]


async def test_translated_calls_are_cleaned_on_both_sides(gateway, upstream, records, answer):
    message = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": MAIL}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    upstream.answer = answer(json.dumps(message).encode())
    client = await gateway(
        sensitive_data={"policy": "redact_record"},
        providers={"anthropic": {"base_url": upstream.url, "api_key": "k-1"}},
        gateway={"measure_non_streaming": False},
    )
    body = chat(MAIL, model="claude-3-5-haiku-latest")
    response = await client.post("/v1/chat/completions", json=body, headers=KEY)
    assert response.json()["choices"][0]["message"]["content"] == MAIL
    record = await records.one()
    assert record.upstream_request_body and record.client_response_body
    assert MAIL not in repr(record) and MAIL.encode() in upstream.requests[0]


async def test_what_is_blocked_never_leaves(gateway, upstream, records):
    client = await gateway(sensitive_data={"policy": "block", "kinds": ["card", "secrets"]})
    response = await client.post("/v1/chat/completions", json=chat(f"pay with {CARD}, {MAIL}"), headers=KEY)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "sensitive_data")
    assert "card in messages[1].content" in error["message"] and CARD not in response.text
    assert upstream.requests == []
    record = await records.one()
    assert (record.end_reason, record.error_code) == (EndReason.REJECTED, "sensitive_data")
    assert record.sensitive_findings == {"card": 1, "email": 1}
    assert json.loads(record.request_body) == chat(f"pay with [card], {MAIL}")


async def test_the_refusal_is_in_the_callers_format(gateway):
    client = await gateway(sensitive_data={"policy": "block"})
    body = {"model": "claude-x", "max_tokens": 5, "messages": [{"role": "user", "content": MAIL}]}
    error = (await client.post("/v1/messages", json=body, headers={"x-api-key": "k"})).json()
    assert (error["type"], error["error"]["code"]) == ("error", "sensitive_data")


async def test_other_kinds_and_harmless_requests_are_let_through(gateway, upstream, answer):
    upstream.answer = answer(completion("ok"))
    client = await gateway(sensitive_data={"policy": "block", "kinds": ["secrets"]})
    for text in (MAIL, "hello"):
        assert (await client.post("/v1/chat/completions", json=chat(text), headers=KEY)).status_code == 200


async def test_json_that_can_not_be_read_is_blocked_and_never_recorded(gateway, upstream, records):
    client = await gateway(sensitive_data={"policy": "block"})
    headers = {**KEY, "content-type": "application/json"}
    body = json.dumps(chat(MAIL)).encode("utf-16-le")
    response = await client.post("/v1/chat/completions", content=body, headers=headers)
    assert response.status_code == 400 and upstream.requests == []
    record = await records.one()
    assert (record.request_body, record.request_body_bytes) == (b"", len(body))


@pytest.mark.parametrize(
    "body", [f'{{"model": "gpt-4o", "x": "{MAIL}"', f'{{"x": "{MAIL}"}}', f"{MAIL} " * 2000]
)
async def test_what_is_refused_before_is_kept_out_as_well(gateway, records, body):
    client = await gateway(sensitive_data={"policy": "redact_record"}, gateway={"max_request_bytes": 4096})
    headers = {**KEY, "content-type": "application/json"}
    assert (await client.post("/v1/chat/completions", content=body, headers=headers)).status_code >= 400
    record = await records.one()
    assert MAIL not in repr(record) and record.request_body_bytes > 0


async def test_a_large_request_is_looked_through_beside_other_calls(gateway, upstream, records, answer):
    upstream.answer = answer(completion("ok"))
    client = await gateway(sensitive_data={"policy": "redact_record"})
    large = client.post("/v1/chat/completions", json=chat("words 12 " * 100_000 + MAIL), headers=KEY)
    assert [
        one.status_code for one in await asyncio.gather(large, client.get("/openai/v1/models", headers=KEY))
    ] == [200] * 2
    assert any(b"[email]" in record.request_body for record in records.all)


async def test_where_there_was_nothing_to_look_at_nothing_is_said_of_it(gateway, upstream, records, answer):
    upstream.answer = answer(b"{}")
    client = await gateway(sensitive_data={"policy": "redact_record"})
    await client.get("/openai/v1/files", headers=KEY)
    record = await records.one()
    assert (record.sensitive_policy, record.sensitive_findings) == ("redact_record", None)


async def test_an_upstreams_error_that_quotes_it_is_cleaned(gateway, upstream, records, answer):
    upstream.answer = answer(
        json.dumps({"error": {"message": f"bad: {MAIL}"}}).encode(), status="400 Bad Request"
    )
    client = await gateway(sensitive_data={"policy": "redact_record"})
    response = await client.post("/v1/chat/completions", json=chat("hi"), headers=KEY)
    assert MAIL in response.text
    assert MAIL not in repr(await records.one())


def test_a_key_or_a_model_says_otherwise_and_the_strictest_holds():
    found = policies(
        sensitive_data={"policy": "redact_record", "kinds": ["secrets"]},
        models={
            "fast": {"provider": "openai", "model": "gpt-4o-mini", "sensitive_data": BLOCK_CARDS},
            "own": {"provider": "ollama", "model": "llama", "sensitive_data": OFF},
            "safe": {"provider": "ollama", "model": "llama", "fallbacks": ["fast"], "sensitive_data": OFF},
            "plain": {"provider": "openai", "model": "gpt-5"},
        },
    )
    tests = SensitiveData(**OFF)  # what a key says
    by_default = ("redact_record", "jwt" in found.of(None, "plain").kinds)
    assert by_default == ("redact_record", True) and "email" not in found.of(None, "plain").kinds
    assert found.of(None, "fast").policy == "block" and found.of(None, "fast").kinds == {
        "card",
        "unchecked",
    }
    assert found.of(None, "openai/gpt-4o-mini").policy == found.of(None, "gpt-4o-mini").policy == "block"
    assert found.of(None, "own").policy == found.of(tests, "plain").policy == "off"
    assert found.of(tests, "fast").policy == "block"
    assert found.of(None, "safe").policy == "block"  # its fallback leaves the house
    assert found.of(None, None).policy == "block"
    assert policies().of(None, "m").policy == "flag"


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"policy": "redact"}, "sensitive_data.policy: did you mean redact_record?"),
        ({"policy": "?"}, "sensitive_data.policy: must be one of off, flag, redact_record, block"),
        ({"kinds": ["emial"]}, "sensitive_data.kinds.0: did you mean email?"),
        ({"kind": ["email"]}, "sensitive_data.kind: unknown key; did you mean kinds?"),
    ],
)
def test_mistakes_in_the_configuration_name_the_right_word(section, problem):
    with pytest.raises(ConfigError) as error:
        load(GatewaySettings, {"sensitive_data": section}, {})
    assert str(error.value) == problem


async def test_what_is_noted_of_a_call_before_it_goes_upstream_is_clean_too(
    gateway, upstream, records, answer
):
    upstream.answer = answer(completion("ok"))
    opened = []
    records.wants_opened = True
    records.opened = lambda request_id, data: opened.append((request_id, data))
    client = await gateway(sensitive_data={"policy": "redact_record"})
    await client.post("/v1/chat/completions", json=chat(MAIL), headers=KEY)
    ((request_id, data),) = opened
    assert request_id == (await records.one()).request_id
    assert b"[email]" in data and MAIL.encode() not in data


async def test_an_answer_that_comes_compressed_all_the_same_is_not_recorded(
    gateway, upstream, records, answer
):
    packed = gzip.compress(completion(MAIL))
    upstream.answer = answer(packed, content_encoding="gzip")
    client = await gateway(
        sensitive_data={"policy": "redact_record"}, gateway={"measure_non_streaming": False}
    )
    response = await client.post("/v1/chat/completions", json=chat("hi"), headers=KEY)
    assert MAIL in response.text
    record = await records.one()
    assert (record.response_body, record.response_body_bytes) == (b"", len(packed))
