"""Keys: who may call, where a key goes, and that no credential is ever recorded, logged or said."""

import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_gateway import credentials
from lessllm_gateway.credentials import Caller, authenticate
from lessllm_gateway.errors import Rejection
from lessllm_gateway.keys.ring import KeyRing
from lessllm_shared import record as rec
from lessllm_shared.config.sections import Key
from lessllm_shared.record import EndReason

CHAT = {"model": "gpt-4o", "messages": []}
COMPLETION = b'{"id":"c1","object":"chat.completion","choices":[]}'
KEYS = [Key(name="team-a", key="lk-a"), Key(name="team-b", key="lk-b"), Key(name="team-c", key="schlüssel")]
TEAM_A, TEAM_B, TEAM_C = KEYS
GATEWAY_KEYS = {"keys": [{"name": "team-a", "key": "lk-a"}, {"name": "team-b", "key": "lk-b"}]}
CANARY = "sk-CANARY-7f3a"


@pytest.mark.parametrize(
    ("headers", "query", "caller"),
    [
        ([(b"authorization", b"Bearer lk-a")], "", (TEAM_A, None)),
        ([(b"authorization", b"bearer  lk-a ")], "", (TEAM_A, None)),
        ([(b"authorization", b"lk-b")], "", (TEAM_B, None)),
        ([(b"x-api-key", b"lk-b")], "", (TEAM_B, None)),
        ([(b"api-key", b"lk-b")], "", (TEAM_B, None)),
        ([(b"x-goog-api-key", b"lk-b")], "", (TEAM_B, None)),
        ([(b"authorization", "Bearer schlüssel".encode())], "", (TEAM_C, None)),
        ([], "x=1&key=lk-a", (TEAM_A, None)),
        ([(b"x-lessllm-key", b"lk-a")], "", (TEAM_A, None)),
        ([(b"x-lessllm-key", b"lk-a"), (b"authorization", b"Bearer sk")], "", (TEAM_A, "sk")),
        ([(b"x-lessllm-key", b"lk-a"), (b"authorization", b"Bearer lk-b")], "", (TEAM_A, None)),
    ],
)
def test_a_client_key_is_found_wherever_an_sdk_puts_it(headers, query, caller):
    assert authenticate(KeyRing(KEYS), headers, query) == Caller(*caller)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([], ""),
        ([(b"authorization", b"Bearer sk")], ""),
        ([(b"authorization", b"Bearer ")], ""),
        ([(b"authorization", b"Bearer lk-a lk-b")], ""),
        ([(b"x-lessllm-key", b"wrong"), (b"authorization", b"Bearer lk-a")], ""),
        ([(b"x-lessllm-key", b"")], "key=lk-a"),
        ([], "key="),
        ([], "keys=lk-a"),
    ],
)
def test_anything_else_gets_nobody_in(headers, query):
    with pytest.raises(Rejection) as caught:
        authenticate(KeyRing(KEYS), headers, query)
    assert (caught.value.status, caught.value.code) == (401, "invalid_client_key")


def test_without_client_keys_everybody_may_call_with_a_providers_key():
    assert authenticate(KeyRing(), [(b"authorization", b"Bearer sk")], "") == Caller(None, "sk")
    assert authenticate(KeyRing(), [], "") == Caller(None, None)


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_a_url_looks_like_its_credentials_are_cut(url, rest):
    for name in ("key", "Key", "access_token", "%6bey"):
        query = f"a=1&{name}={CANARY}&{rest}"
        assert CANARY not in credentials.recordable_query(query)
        assert CANARY not in credentials.without_key(query)
        assert CANARY not in credentials.recordable_url(f"{url}?{query}".replace("?", "", url.count("?")))
    assert CANARY not in credentials.recordable_url(f"https://user:{CANARY}@host.test/{rest}")


def test_a_query_without_credentials_keeps_its_bytes():
    query = "a=b+c%20d&&e&f=%2F&monkey=1"
    assert credentials.recordable_query(query) == credentials.without_key(query).replace("&e", "&&e") == query


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "x-api-key",
        "x_api_key",
        "api-key",
        "cookie",
        "set-cookie",
        "x-amz-security-token",
        "helicone-auth",
    ],
)
def test_headers_that_carry_credentials_are_known_by_name(name):
    ((_, value),) = credentials.recordable_headers([(name.upper().encode(), CANARY.encode())])
    assert re.fullmatch(r"fp_[0-9a-f]{16}", value)


@pytest.mark.parametrize(
    "name", ["x-ratelimit-remaining-tokens", "x-request-id", "idempotency-key", "server"]
)
def test_other_headers_are_recorded_as_they_are(name):
    assert credentials.recordable_headers([(name.encode(), b"v")]) == [(name, "v")]


async def test_a_key_of_ones_own_can_be_given_beside_the_gateways(gateway, upstream, records, answer):
    upstream.answer = answer(COMPLETION)
    client = await gateway(auth=GATEWAY_KEYS)
    headers = {"x-lessllm-key": "lk-a", "authorization": "Bearer sk-mine"}
    assert (await client.post("/v1/chat/completions", json=CHAT, headers=headers)).status_code == 200
    assert b"authorization: Bearer sk-mine" in upstream.requests[0]
    assert b"lk-a" not in upstream.requests[0]
    assert (await records.one()).client_key == "team-a"
    assert (await client.get("/v1/files", headers=headers)).status_code == 200  # they are one's own


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/files", False),
        ("GET", "/openai/v1/files", False),
        ("GET", "/v1/responses/resp_1", False),
        ("DELETE", "/v1/models/ft:mine", False),
        ("POST", "/v1/messages/batches", False),
        ("POST", "/v1/threads/thread_1/messages", False),
        ("POST", "/openai/v1/threads/thread_1/messages", False),
        ("GET", "/openai/v1/models", False),
        ("GET", "/v1/models", True),
        ("GET", "/v1/models/gpt-4o", True),
        ("POST", "/v1/embeddings", True),
        ("POST", "/openai/v1/chat/completions", True),
        ("POST", "/anthropic/v1/messages", True),
        ("POST", "/gemini/v1beta/models/g:generateContent", True),
    ],
)
async def test_a_shared_key_opens_inference_only(gateway, upstream, records, answer, method, path, allowed):
    upstream.answer = answer(b"{}")
    providers = {
        name: {"base_url": upstream.url, "api_key": "sk-shared"} for name in ("openai", "anthropic", "gemini")
    }
    client = await gateway(providers=providers, auth=GATEWAY_KEYS, gateway={"measure_non_streaming": False})
    headers = {"authorization": "Bearer lk-a"}
    response = await client.request(method, path, json=CHAT if method == "POST" else None, headers=headers)
    if allowed:
        assert response.status_code == 200
        assert b"sk-shared" in upstream.requests[0]
    else:
        assert (response.status_code, response.json()["error"]["code"]) == (403, "endpoint_not_allowed")
        assert upstream.requests == []
        assert (await records.one()).end_reason is EndReason.REJECTED


SECRETS = {
    "authorization": f"Bearer {CANARY}",
    "x-api-key": CANARY,
    "cookie": CANARY,
    "x-session-token": CANARY,
    "x-lessllm-key": CANARY,
}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/elsewhere/v1/chat/completions", "/v1/files"])
async def test_a_clients_credentials_never_reach_another_provider_than_its_endpoints(
    gateway, upstream, answer, path
):
    """Another provider, also one on this machine that wants no key, or one with a key of its own."""
    upstream.answer = answer(b"{}")
    providers = {
        "openai": {"base_url": "http://127.0.0.1:1/v1"},
        "elsewhere": {"base_url": upstream.url, "api_key": "sk-theirs"},
        "local": {"base_url": upstream.url},
    }
    client = await gateway(providers=providers, models={"alias": {"provider": "local"}})
    for model in ("elsewhere/m", "local/m", "alias"):
        await client.post(f"{path}?key={CANARY}", json={**CHAT, "model": model}, headers=SECRETS)
    assert len(upstream.requests) == (0 if path == "/v1/files" else 3)
    assert CANARY.encode() not in b"".join(upstream.requests)


async def test_anthropics_clients_key_goes_to_anthropic_for_all_its_endpoints(gateway, upstream, answer):
    upstream.answer = answer(b"{}")
    client = await gateway(
        providers={"anthropic": {"base_url": upstream.url}}, gateway={"default_provider": "xai"}
    )
    await client.post("/v1/messages/batches", json={}, headers={"x-api-key": "k"})
    await client.get("/v1/files", headers={"x-api-key": "k", "anthropic-version": "2023-06-01"})
    assert upstream.requests[0].startswith(b"POST /v1/messages/batches ")
    assert upstream.requests[1].startswith(b"GET /v1/files ")


async def silent(writer):
    await writer.wait_closed()


async def test_no_credential_is_ever_recorded_logged_or_said(gateway, upstream, records, answer, caplog):
    """Good calls and failing ones of all kinds, with credentials wherever they can be."""
    caplog.set_level(logging.DEBUG)
    configured = {"base_url": f"{upstream.url}/v1", "api_key": f"{CANARY}-configured"}
    broken = {"base_url": "http://127.0.0.1:1", "api_key": f"{CANARY}-configured"}
    proxied = {
        "base_url": "http://upstream.test",
        "api_key": CANARY,
        "proxy": {"socks_proxy": f"socks5://{CANARY}:{CANARY}@127.0.0.1:1"},
    }
    client = await gateway(
        {"GEMINI_API_KEY": f"{CANARY}-environment"},
        providers={"openai": configured, "broken": broken, "proxied": proxied},
        timeouts={"first_byte_s": 0.2},
    )
    location = f"https://u:{CANARY}@evil.test/?key={CANARY}"
    answers = [
        answer(COMPLETION, set_cookie=CANARY),
        answer(b"", "302 Found", location=location),
        answer(b"<html>", "502 Bad Gateway"),
        b"garbage\r\n\r\n",
        silent,
    ]
    said = []
    for upstream.answer in answers:
        for path in ("/v1/chat/completions", "/v1/messages", "/gemini/v1beta/models/m:generateContent"):
            for body in (CHAT, {**CHAT, "model": "broken/m"}, {**CHAT, "model": "proxied/m"}, [], "{"):
                response = await client.post(f"{path}?key={CANARY}", json=body, headers=SECRETS)
                said.append(response.text)
    assert len(records.all) == len(said) == 75
    assert {r.end_reason for r in records.all} > {EndReason.COMPLETE, EndReason.REJECTED}
    assert CANARY not in "".join(said)
    assert CANARY.encode() not in b"".join(rec.encode(record) for record in records.all)
    ours = [r.getMessage() for r in caplog.records if r.name.startswith(("lessllm", "uvicorn", "asyncio"))]
    assert CANARY not in "".join(ours)


async def test_a_defect_is_logged_without_its_text_and_the_client_hears_of_it(
    gateway, records, caplog, monkeypatch
):
    def fail(*_):
        raise RuntimeError(CANARY)

    monkeypatch.setattr("lessllm_gateway.pursuit.crossing", fail)
    client = await gateway()
    response = await client.post("/v1/chat/completions", json=CHAT, headers={"authorization": "Bearer k"})
    assert (response.status_code, response.json()["error"]["code"]) == (500, "gateway_error")
    assert (await records.one()).end_reason is EndReason.GATEWAY_ERROR
    assert "RuntimeError" in caplog.text
    assert CANARY not in caplog.text


def test_a_fingerprint_tells_keys_apart_and_says_nothing():
    assert credentials.fingerprint("a") != credentials.fingerprint("b")
    assert credentials.fingerprint("a") == credentials.fingerprint("a")
