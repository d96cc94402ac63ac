"""`GET /v1/models` by the official SDKs: aliases, and beside them the provider's own list if there is one."""

import json

import anthropic
import openai
import pytest
from lessllm.simulator import running_simulator
from lessllm_shared.record import EndReason

MODELS = {
    "fast": {"provider": "openai", "model": "gpt-4o-mini"},
    "org/claude": {"provider": "anthropic", "model": "claude-3-opus-20240229"},
    "gpt-4o": {"provider": "openai", "model": "gpt-4o-2024-08-06"},
}
AWAY = {
    "openai": {"base_url": "http://127.0.0.1:1/v1"},
    "anthropic": {"base_url": "http://127.0.0.1:1"},
}


@pytest.fixture(scope="module")
def simulator():
    with running_simulator() as url:
        yield {"openai": {"base_url": f"{url}/v1"}, "anthropic": {"base_url": url}}


def openai_sdk(client):
    return openai.AsyncOpenAI(base_url=f"{client.base_url}/v1", api_key="sk-mine", max_retries=0)


def anthropic_sdk(client):
    return anthropic.AsyncAnthropic(base_url=str(client.base_url), api_key="sk-mine", max_retries=0)


async def test_openais_sdk_lists_the_aliases_and_the_providers_models(gateway, records, simulator):
    client = await gateway(providers=simulator, models=MODELS)
    async with openai_sdk(client) as sdk:
        listed = {model.id: model async for model in sdk.models.list()}
    assert list(listed)[:3] == ["fast", "org/claude", "gpt-4o"]
    assert listed["org/claude"].owned_by == "anthropic"
    assert listed["gpt-4o-mini"].created > 0
    assert not any(name.startswith("claude") for name in listed)
    record = await records.one()
    assert (record.provider, record.end_reason, record.status_code) == ("openai", EndReason.COMPLETE, 200)
    theirs = json.loads(record.response_body)["data"]
    assert len(theirs) + 2 == len(listed) == len(json.loads(record.client_response_body)["data"])


async def test_anthropics_sdk_lists_them_in_its_own_format(gateway, simulator):
    client = await gateway(providers=simulator, models=MODELS)
    async with anthropic_sdk(client) as sdk:
        listed = {model.id: model async for model in sdk.models.list()}
    assert list(listed)[:3] == ["fast", "org/claude", "gpt-4o"]
    assert listed["fast"].created_at.year == 1970
    assert any(name.startswith("claude-") for name in listed)


@pytest.mark.parametrize("aliases", [MODELS, {}])
async def test_further_pages_are_the_providers_alone(gateway, upstream, answer, aliases):
    first = b'{"data":[{"type":"model","id":"a"}],"has_more":true,"first_id":"a","last_id":"a"}'
    second = b'{"data":[{"type":"model","id":"b"}],"has_more":false,"first_id":"b","last_id":"b"}'
    pages = iter((first, second))

    async def page(writer):
        writer.write(answer(next(pages)))

    upstream.answer = page
    client = await gateway(models=aliases)
    headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
    listed = (await client.get("/v1/models?limit=1", headers=headers)).json()
    assert [m["id"] for m in listed["data"]] == [*aliases, "a"]
    assert (listed["has_more"], listed["last_id"]) == (True, "a")
    listed = (await client.get("/v1/models?limit=1&after_id=a", headers=headers)).json()
    assert [m["id"] for m in listed["data"]] == ["b"]
    assert b"GET /v1/models?limit=1&after_id=a HTTP/1.1" in upstream.requests[1]


async def test_one_alias_is_described_without_a_call_and_recorded(gateway, upstream, records):
    client = await gateway(models=MODELS)
    async with openai_sdk(client) as sdk:
        model = await sdk.models.retrieve("org/claude")
    assert (model.id, model.owned_by) == ("org/claude", "anthropic")
    record = await records.one()
    assert (record.provider, record.end_reason, record.status_code) == (None, EndReason.COMPLETE, 200)
    assert json.loads(record.client_response_body) == model.to_dict()
    async with anthropic_sdk(client) as sdk:
        assert (await sdk.models.retrieve("fast")).display_name == "fast"
    assert upstream.requests == []


async def test_any_other_model_is_the_providers_to_describe(gateway, simulator):
    client = await gateway(providers=simulator, models=MODELS)
    async with openai_sdk(client) as sdk:
        assert (await sdk.models.retrieve("gpt-4o-mini")).owned_by == "openai"
        with pytest.raises(openai.NotFoundError):
            await sdk.models.retrieve("gpt-unheard-of")


@pytest.mark.parametrize("sdk_for", [openai_sdk, anthropic_sdk])
@pytest.mark.parametrize(
    "providers", [AWAY, {"openai": {"api_key": "wrong"}, "anthropic": {"api_key": "wrong"}}]
)
async def test_without_the_provider_the_aliases_are_the_list(gateway, records, simulator, sdk_for, providers):
    merged = {name: {**simulator[name], **provider} for name, provider in providers.items()}
    client = await gateway(providers=merged, models=MODELS)
    async with sdk_for(client) as sdk:
        assert [model.id async for model in sdk.models.list()] == list(MODELS)
    record = await records.one()
    assert (record.status_code, record.end_reason) == (200, EndReason.COMPLETE)
    assert len(record.attempts) == 1


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"data":5}', b'{"data":[5,null,"x"],"object":7}', b"\xff"]
)
async def test_no_answer_of_the_provider_breaks_the_list(gateway, upstream, answer, body):
    upstream.answer = answer(body)
    client = await gateway(models=MODELS)
    response = await client.get("/v1/models", headers={"authorization": "Bearer k"})
    assert response.status_code == 200
    assert [m["id"] for m in response.json()["data"][:3]] == list(MODELS)


async def test_a_provider_that_is_silent_is_not_waited_for_long(gateway, upstream, monkeypatch):
    async def silence(writer):
        await writer.wait_closed()

    monkeypatch.setattr("lessllm_gateway.proxy.LISTING_S", 0.2)
    upstream.answer = silence
    client = await gateway(models=MODELS)
    response = await client.get("/v1/models", headers={"authorization": "Bearer k"})
    assert len(response.json()["data"]) == 3


async def test_without_a_key_for_the_provider_the_aliases_are_the_list(gateway):
    client = await gateway(providers={}, models=MODELS)
    assert len((await client.get("/v1/models")).json()["data"]) == 3


async def test_without_aliases_the_providers_answer_passes_untouched(gateway, upstream, records, answer):
    body = b'{"error": {"message": "Incorrect API key"}}'
    upstream.answer = answer(body, "401 Unauthorized")
    client = await gateway()
    response = await client.get("/v1/models", headers={"authorization": "Bearer k"})
    assert (response.status_code, response.content) == (401, body)
    assert (await records.one()).end_reason is EndReason.UPSTREAM_ERROR


@pytest.mark.parametrize("sdk_for", [openai_sdk, anthropic_sdk])
async def test_a_key_with_a_list_of_models_sees_no_others(gateway, simulator, sdk_for):
    providers = {name: {**provider, "api_key": "sk-ours"} for name, provider in simulator.items()}
    mine = {"name": "a", "key": "sk-mine", "models": ["fast", "gpt-4o*", "claude-3*"]}
    client = await gateway(providers=providers, models=MODELS, auth={"keys": [mine]})
    async with sdk_for(client) as sdk:
        listed = [model.id async for model in sdk.models.list()]
        assert listed[:2] == ["fast", "gpt-4o"]
        assert len(listed) > 2  # the provider's own
        assert all(name.startswith(("fast", "gpt-4o", "claude-3")) for name in listed)
        assert (await sdk.models.retrieve("fast")).id == "fast"
    for others in ("org/claude", "gpt-4", "claude-sonnet-4-5"):
        response = await client.request(
            "GET", f"/v1/models/{others}", json={"model": "fast"}, headers={"x-api-key": "sk-mine"}
        )
        assert (response.status_code, response.json()["error"]["code"]) == (403, "model_not_allowed")


@pytest.mark.parametrize("away", [False, True])
async def test_so_it_is_without_aliases(gateway, simulator, away):
    mine = {"name": "a", "key": "sk-mine", "models": ["gpt-4o-mini"]}
    openai = (AWAY if away else simulator)["openai"]
    client = await gateway(providers={"openai": {**openai, "api_key": "sk-ours"}}, auth={"keys": [mine]})
    async with openai_sdk(client) as sdk:
        listed = [model.id async for model in sdk.models.list()]
    assert listed == ([] if away else ["gpt-4o-mini"])


async def test_who_has_no_key_of_the_gateways_sees_no_list(gateway):
    client = await gateway(models=MODELS, auth={"keys": [{"name": "a", "key": "lk"}]})
    assert (await client.get("/v1/models")).status_code == 401
    assert (await client.get("/v1/models/fast")).status_code == 401
    assert (await client.get("/v1/models", headers={"authorization": "Bearer lk"})).status_code == 200
