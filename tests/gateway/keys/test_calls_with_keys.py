"""Calls with client keys through a gateway: what a key is for, and what whoever is refused is told."""

from datetime import UTC, datetime

import pytest
from lessllm_shared.record import EndReason
from lessllm_shared.wire import Spent

CHAT = {"model": "gpt-4o", "messages": []}
SHOWN = {"authorization": "Bearer lk-a"}
PATHS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "gemini": "/gemini/v1beta/models/g:generateContent",
}


def auth(**fields):
    return {"keys": [{"name": "team-a", "key": "lk-a", **fields}, {"name": "team-b", "key": "lk-b"}]}


@pytest.fixture
def providers(upstream):
    names = ("openai", "anthropic", "gemini")
    return {name: {"base_url": upstream.url, "api_key": f"sk-{name}"} for name in names}


@pytest.mark.parametrize("dialect", PATHS)
async def test_a_refusal_is_in_the_format_that_was_called(gateway, upstream, records, providers, dialect):
    client = await gateway(providers=providers, auth=auth(budgets=[{"usd": 1, "per": "day"}]))
    spent = Spent("team-a", datetime.now(UTC).date().isoformat(), 1, 1.5)
    gateway.gate.heard(0, [spent])
    response = await client.post(PATHS[dialect], json=CHAT, headers=SHOWN)
    error = response.json()["error"]
    assert response.status_code == 429
    assert "budget of 1 USD a day" in error["message"]
    assert 0 < int(response.headers["retry-after"]) <= 86_400
    assert response.headers["x-should-retry"] == "false"
    if dialect == "gemini":
        assert (error["code"], error["status"]) == (429, "BUDGET_EXCEEDED")
    else:
        assert (error["type"], error["code"]) == ("rate_limit_error", "budget_exceeded")
        assert response.json().get("type") == ("error" if dialect == "anthropic" else None)
    record = await records.one()
    assert (record.end_reason, record.error_code) == (EndReason.REJECTED, "budget_exceeded")
    assert (record.client_key, record.user_id, record.status_code) == ("team-a", "team-a", 429)
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("path", "model", "is_allowed"),
    [
        ("/v1/chat/completions", "fast", True),
        ("/v1/chat/completions", "gpt-4o-mini", True),
        ("/v1/chat/completions", "gpt-5", False),
        ("/v1/chat/completions", "openai/gpt-4o", False),
        ("/v1/chat/completions", "FAST", False),
        ("/openai/v1/chat/completions", "fast", False),
        ("/openai/v1/chat/completions", "gpt-4o", False),
        ("/anthropic/v1/messages", "claude", True),
        ("/v1/responses", None, False),
        ("/v1/images/generations", "fast", False),
        ("/gemini/v1beta/models/g:generateContent", None, False),
    ],
)
async def test_a_key_is_for_the_models_on_its_list(
    gateway, upstream, answer, providers, path, model, is_allowed
):
    upstream.answer = answer(b"{}")
    client = await gateway(
        providers=providers,
        models={"fast": {"provider": "openai"}},
        auth=auth(models=["fast", "gpt-4o*", "anthropic/claude*"]),
    )
    body = {"messages": []} if model is None else {**CHAT, "model": model}
    response = await client.post(path, json=body, headers=SHOWN)
    if is_allowed:
        assert response.status_code == 200
    else:
        assert (response.status_code, response.json()["error"]["code"]) in (
            (403, "model_not_allowed"),
            (403, 403),  # as Gemini says it
        )
    assert len(upstream.requests) == is_allowed


async def test_passthrough_opens_other_endpoints_and_no_other_models(gateway, upstream, answer, providers):
    upstream.answer = answer(b"{}")
    client = await gateway(providers=providers, auth=auth(passthrough=True, models=["fast"]))
    assert (await client.get("/v1/files", headers=SHOWN)).status_code == 200
    assert (await client.post(PATHS["openai"], json=CHAT, headers=SHOWN)).status_code == 403
    other = {"authorization": "Bearer lk-b"}
    assert (await client.get("/v1/files", headers=other)).status_code == 403


async def test_a_call_that_ends_makes_room_for_the_next_however_it_ended(
    gateway, upstream, answer, records, providers
):
    client = await gateway(providers=providers, auth=auth(concurrent_calls=1))
    for upstream.answer, body in (
        (answer(b"{}"), CHAT),
        (b"junk\r\n\r\n", CHAT),
        (b"", {}),
        (answer(b"{}"), CHAT),
    ):
        response = await client.post(PATHS["openai"], json=body, headers=SHOWN)
        assert response.status_code != 429
    assert len(records.all) == 4


async def test_what_a_key_says_of_sensitive_data_holds_for_it_alone(gateway, upstream, answer, providers):
    upstream.answer = answer(b"{}")
    client = await gateway(
        providers=providers, auth=auth(sensitive_data={"policy": "block", "kinds": ["card"]})
    )
    body = {**CHAT, "messages": [{"role": "user", "content": "4111 1111 1111 1111"}]}
    response = await client.post(PATHS["openai"], json=body, headers=SHOWN)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "sensitive_data")
    other = {"authorization": "Bearer lk-b"}
    assert (await client.post(PATHS["openai"], json=body, headers=other)).status_code == 200
