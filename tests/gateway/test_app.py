"""The whole app: which web pages get in, and the gateway's own endpoints."""

import contextlib
import os
import time

import anthropic
import httpx
import openai
import pytest
from lessllm_gateway.app import create_app
from lessllm_shared.browser import Rules
from lessllm_shared.config import ConfigError, GatewaySettings, load
from lessllm_shared.record import EndReason
from prometheus_client.parser import text_string_to_metric_families

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
KEY = {"authorization": "Bearer sk-x"}
COMPLETION = (
    b'{"id":"c1","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}'
)


@pytest.fixture(autouse=True)
def _no_long_goodbye(monkeypatch):
    monkeypatch.setattr("lessllm_gateway.recording.DRAIN_S", 0.01)


@contextlib.asynccontextmanager
async def running(serving, **sections):
    """The app with its lifespan; its records go nowhere, since nobody listens there."""
    document = {"collector": {"endpoint": "tcp://127.0.0.1:1"}, "logging": {"spool": "off"}, **sections}
    settings = load(GatewaySettings, document, {})
    async with (
        serving(create_app(settings), lifespan="on") as url,
        httpx.AsyncClient(base_url=url, trust_env=False, verify=False) as client,
    ):
        yield client


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/flush", "/v1/chat/completions", "/nowhere"])
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "evil.test"}, "unknown_host"),
        ({"host": "127.0.0.1.evil.test:8000"}, "unknown_host"),
        ({"origin": "https://evil.test"}, "cross_origin"),
        ({"origin": "null"}, "cross_origin"),
        ({"sec-fetch-site": "cross-site"}, "cross_origin"),
    ],
)
async def test_a_web_page_of_another_origin_gets_nowhere(serving, path, headers, code):
    async with running(serving, logging={"enabled": False}) as client:
        response = await client.post(path, json=CHAT, headers={**KEY, **headers})
    assert (response.status_code, response.json()["error"]["code"]) == (403, code)
    assert "access-control-allow-origin" not in response.headers


async def test_a_call_that_a_web_page_tried_is_recorded(gateway, upstream, records):
    client = await gateway()
    response = await client.post("/v1/messages", json=CHAT, headers={**KEY, "host": "evil.test"})
    assert (response.status_code, response.json()["type"]) == (403, "error")
    record = await records.one()
    assert (record.end_reason, record.error_code) == (EndReason.REJECTED, "unknown_host")
    assert upstream.requests == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_json_in_what_a_page_may_send_without_asking_is_refused(gateway, upstream, content_type):
    client = await gateway()
    headers = {**KEY, **({"content-type": content_type} if content_type else {})}
    response = await client.post("/v1/chat/completions", content=COMPLETION, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert upstream.requests == []


async def test_the_official_sdks_pass(gateway, upstream, answer):
    upstream.answer = answer(COMPLETION)
    client = await gateway(gateway={"measure_non_streaming": False})
    url = str(client.base_url)
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-x", max_retries=0) as sdk:
        completion = await sdk.chat.completions.create(**CHAT)
    assert completion.choices[0].message.content == "Hi"
    message = b'{"id":"m","type":"message","role":"assistant","model":"c","content":[],"usage":{}}'
    upstream.answer = answer(message)
    async with anthropic.AsyncAnthropic(base_url=url, api_key="sk-x", max_retries=0) as sdk:
        assert (await sdk.messages.create(model="c", max_tokens=5, messages=[])).id == "m"


async def test_configured_names_and_the_address_that_it_listens_on_are_known(serving):
    gateway = {"host": "192.0.2.7", "allowed_hosts": ["lessllm.company.com"]}
    known = {"auth": {"allow_anybody": True}, "logging": {"enabled": False}}
    async with running(serving, gateway=gateway, **known) as client:
        for host in ("lessllm.company.com", "192.0.2.7:8000", "localhost:8000"):
            assert (await client.get("/readyz", headers={"host": host})).status_code == 200
    async with running(serving, gateway={"host": "0.0.0.0"}, **known) as client:
        assert (await client.get("/readyz", headers={"host": "0.0.0.0:8000"})).status_code == 403


def test_judging_a_call_costs_next_to_nothing():
    headers = [(b"host", b"127.0.0.1:8000"), *((b"x-header-%d" % i, b"value") for i in range(20))]
    rules, calls = Rules(["lessllm.company.com"]), 2000
    start = time.process_time()
    for _ in range(calls):
        assert rules.judge(headers) is None
    assert (time.process_time() - start) / calls < 50e-6  # a few µs; a call costs a millisecond


async def test_it_is_ready_whether_or_not_a_collector_is_there(serving):
    async with running(serving) as client:
        assert (await client.get("/readyz")).json() == {"status": "ok", "pending": 0}
        assert (await client.get("/v1/nothing")).status_code == 401
        assert (await client.get("/readyz")).json() == {"status": "ok", "pending": 1}
        assert (await client.post("/flush?timeout_s=0.01")).json() == {"flushed": False, "pending": 1}
        assert (await client.get("/healthz")).json() == {"status": "ok"}


async def test_every_metric_has_a_name_of_ours_and_says_what_it_means(serving):
    async with running(serving) as client:
        await client.get("/v1/nothing")
        text = (await client.get("/metrics")).text
    families = list(text_string_to_metric_families(text))
    ours = {family.name: family for family in families if family.name.startswith("lessllm_gateway_")}
    assert len(ours) == 25
    assert not any(family.name.endswith("_created") for family in families)
    assert all(len(family.documentation) > 10 for family in ours.values())
    calls = ours["lessllm_gateway_calls"].samples
    assert any(s.labels == {"provider": "none", "end_reason": "rejected"} and s.value for s in calls)
    assert ours["lessllm_gateway_records_pending"].samples[0].value == 1
    assert ours["lessllm_gateway_open_calls"].samples[0].value == 0


async def test_routes_show_whose_key_is_used_and_none_itself(serving):
    providers = {"openai": {"api_key": "sk-CANARY"}, "local": {"base_url": "http://127.0.0.1:1/v1"}}
    proxy = {"socks_proxy": "socks5://user:CANARY@proxy.test", "no_proxy": ["127.0.0.1"]}
    async with running(serving, providers=providers, proxy=proxy) as client:
        response = await client.get("/routes")
    routes = response.json()["providers"]
    assert routes["openai"] == {
        "base_url": "https://api.openai.com/v1",
        "routes": ["socks5://proxy.test:1080"],
        "key": "configured",
    }
    assert (routes["local"]["routes"], routes["anthropic"]["key"]) == (["direct"], "client")
    assert "CANARY" not in response.text


BUDGET = {"keys": [{"name": "a", "key": "CANARY", "budgets": [{"usd": 1, "per": "day"}]}]}
OPEN = {"providers": {"openai": {"api_key": "sk-CANARY"}}}  # to whoever reaches it


@pytest.mark.parametrize(
    "sections",
    [
        {**OPEN, "gateway": {"host": "localhost"}},
        {**OPEN, "gateway": {"host": "::"}, "auth": {"allow_anybody": True}},
        {**OPEN, "gateway": {"host": "0.0.0.0"}, "auth": BUDGET},
        {"gateway": {"host": "0.0.0.0"}},
    ],
)
def test_beyond_loopback_it_starts_with_client_keys_or_none_of_providers_or_when_told_so(
    sections, monkeypatch
):
    for name in [name for name in os.environ if name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    create_app(load(GatewaySettings, sections, {}))


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"gateway": {"prot": 1}}, "gateway.prot"),
        ({"gateway": {"port": 99999}}, "gateway.port"),
        ({"gateway": {"max_request_bytes": -1}}, "gateway.max_request_bytes"),
        ({"gatewy": {}}, "gatewy"),
        ({"timeouts": {"idle_s": 0}}, "timeouts.idle_s"),
        ({"models": {"m": {}}}, "models.m.provider"),
        ({"providers": {"openai": {"api_key": ""}}}, "providers.openai.api_key"),
        ({"providers": {"openai": {"api_key": "${NO_SUCH_VARIABLE}"}}}, "providers.openai.api_key"),
        ({"providers": {"openai": {"base_url": "CANARY"}}}, "providers.openai.base_url"),
        ({"auth": {"keys": [{"name": "a", "key": ""}]}}, "auth.keys.0.key"),
        ({"proxy": {"socks_proxy": "http://CANARY:1"}}, "proxy.socks_proxy"),
        ({"collector": {"endpoint": "nowhere"}}, "collector.endpoint"),
        ({"collector": {"endpoint": "tcp://nowhere"}}, "collector.endpoint"),
        ({"providers": {"openai": {"api_key": "sk CANARY"}}}, "providers.openai.api_key"),
        ({"providers": {"openai": {"key_header": "x y"}}}, "providers.openai.key_header"),
        ({"providers": {"new": {"api_key": "x"}}}, "providers.new.base_url"),
        ({"providers": {"v1": {"base_url": "http://a.test"}}}, "providers.v1"),
        ({"providers": {"a/b": {"base_url": "http://a.test"}}}, "providers.a/b"),
        ({"providers": {"new": {"base_url": "http://a.test:99999/v1"}}}, "providers.new.base_url"),
        ({"providers": {"new": {"base_url": "http://a.test/é"}}}, "providers.new.base_url"),
        ({"models": {"m": {"provider": "nobody"}}}, "models.m.provider"),
        ({"gateway": {"default_provider": "nobody"}}, "gateway.default_provider"),
        ({"proxy": {"http_proxy": "http://CANARY:x@:1"}}, "proxy.http_proxy"),
        ({"proxy": {"socks_proxy": "socks5://CANARY@p.test:port"}}, "proxy.socks_proxy"),
        ({"models": {"m": {"provider": "openai", "fallbacks": ["nobody"]}}}, "models.m.fallbacks"),
        ({"models": {"m": {"provider": "openai", "fallbacks": ["m"]}}}, "models.m.fallbacks"),
        ({"tls": {"ca_file": "/nowhere.pem"}}, "tls.ca_file"),
        ({"auth": {"keys_file": "/nowhere.yaml"}}, "/nowhere.yaml"),
        ({"auth": BUDGET, "logging": {"enabled": False}}, "auth"),
        ({**OPEN, "gateway": {"host": "0.0.0.0"}}, "gateway.host"),
        ({**OPEN, "gateway": {"host": "gateway.example"}}, "gateway.host"),
    ],
)
def test_a_configuration_that_can_not_work_is_refused_at_the_start(sections, key):
    with pytest.raises(ConfigError) as caught:
        create_app(load(GatewaySettings, sections, {}))
    assert str(caught.value).startswith(f"{key}:")
    assert "CANARY" not in str(caught.value)
