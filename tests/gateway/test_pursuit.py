"""Chains, retries and fallbacks: what upstreams hear, what the client gets, what the record says."""

import asyncio
import contextlib
import json

import httpx
import pytest
from lessllm_shared.record import EndReason
from prometheus_client import REGISTRY

KEY = {"authorization": "Bearer sk-x"}
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
PLAIN = {"gateway": {"measure_non_streaming": False}}
DEAD = "socks5://127.0.0.1:1"
DONE = b'{"id":"c1","object":"chat.completion","choices":[]}'
CLAUDE = (
    b'{"id":"m1","type":"message","role":"assistant","content":[{"type":"text","text":"Hi"}],'
    b'"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}'
)


class Provider:
    """Answers the first calls as told, the rest with 200, on connections that are kept."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.url = ""

    async def serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
                self.requests.append(head + await reader.readexactly(length))
                said = self.answers.pop(0) if self.answers else reply(200, DONE)
                if said is None:
                    break
                writer.write(said)
                if b"connection: close" in said:
                    break
        writer.close()


def reply(status: int, body: bytes = b'{"error":{"message":"no"}}', **headers: str) -> bytes:
    extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{extra}"
    return head.encode() + b"\r\n" + body


@contextlib.asynccontextmanager
async def serving(*providers: Provider):
    async with contextlib.AsyncExitStack() as stack:
        for provider in providers:
            server = await stack.enter_async_context(
                await asyncio.start_server(provider.serve, "127.0.0.1", 0)
            )
            provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield


def document(first: Provider, second: Provider | None = None, **sections):
    providers = {"a": {"format": "openai", "base_url": f"{first.url}/v1", "api_key": "sk-a"}}
    models = {"m": {"provider": "a", "model": "big"}}
    if second is not None:
        providers["b"] = {"format": "openai", "base_url": f"{second.url}/v1", "api_key": "sk-b"}
        models |= {"m": {**models["m"], "fallbacks": ["small"]}, "small": {"provider": "b", "model": "mini"}}
    return {**PLAIN, "providers": providers, "models": models, **sections}


async def ask(client, body=CHAT):
    return await client.post("/v1/chat/completions", json=body, headers=KEY)


def told(record):
    return [(try_.provider, try_.phase, try_.status_code, try_.error_code) for try_ in record.attempts]


async def test_a_chain_goes_on_to_the_next_proxy_and_later_calls_start_there(
    gateway, upstream, records, answer
):
    upstream.answer = answer(DONE)
    client = await gateway(
        providers={"openai": {"base_url": "http://upstream.test/v1"}},
        proxy={"chain": [DEAD.replace("socks5", "socks5h"), upstream.url]},
        **PLAIN,
    )
    assert (await ask(client)).content == DONE
    first = await records.one()
    assert [try_.route for try_ in first.attempts] == ["socks5h://127.0.0.1:1", upstream.url]
    assert told(first) == [("openai", "connect", None, "proxy_unreachable"), ("openai", "done", 200, None)]
    assert first.route == upstream.url
    assert first.prior_attempts_ns == first.attempts[1].start_ns - first.attempts[0].start_ns > 0
    assert (await ask(client)).content == DONE
    assert [try_.route for try_ in (await records.one()).attempts] == [upstream.url]


@pytest.mark.parametrize(("fallback_direct", "status"), [(True, 200), (False, 502)])
async def test_nothing_goes_direct_unless_told_so(
    gateway, upstream, records, answer, fallback_direct, status
):
    upstream.answer = answer(DONE)
    chain = [DEAD, "http://127.0.0.1:1"]
    client = await gateway(proxy={"chain": chain, "fallback_direct": fallback_direct}, **PLAIN)
    assert (await ask(client)).status_code == status
    record = await records.one()
    assert [try_.route for try_ in record.attempts] == [*chain, *(["direct"] if fallback_direct else [])]
    assert len(upstream.requests) == fallback_direct


async def test_a_proxy_that_refuses_this_upstream_only_is_asked_again_for_the_next_call(
    gateway, upstream, records, answer
):
    refusing = Provider(*[reply(403)] * 2)
    upstream.answer = answer(DONE)
    async with serving(refusing):
        client = await gateway(
            providers={"openai": {"base_url": "https://192.0.2.1/v1"}},
            proxy={"chain": [refusing.url, DEAD]},
            **PLAIN,
        )
        for _ in range(2):
            assert (await ask(client)).json()["error"]["code"] == "proxy_unreachable"
            record = await records.one()
            assert record.attempts[0].error_code == "proxy_refused_target"
    assert len(refusing.requests) == 2


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
async def test_a_provider_is_asked_again_as_configured(gateway, records, status):
    provider = Provider(reply(status, retry_after_ms="1"))
    async with serving(provider):
        client = await gateway(**document(provider, retries={"attempts": 1}))
        response = await ask(client)
    assert (response.status_code, response.content) == (200, DONE)
    record = await records.one()
    assert told(record) == [("a", "receive", status, "upstream_error"), ("a", "done", 200, None)]
    assert record.end_reason is EndReason.COMPLETE
    assert record.prior_attempts_ns > 0


@pytest.mark.parametrize(
    ("retries", "answers", "asked"),
    [
        ({}, [reply(503)], 1),  # not by itself
        ({"attempts": 2}, [reply(503, retry_after_ms="1")] * 3, 3),  # not for ever
        ({"attempts": 2}, [reply(400)], 1),  # not what is wrong
        ({"attempts": 2}, [reply(503, retry_after="60")], 1),  # not if the wait is the client's
        ({"attempts": 2}, [reply(503, x_should_retry="false")], 1),  # not against the provider's word
        ({"attempts": 2, "budget": 0}, [reply(503)], 1),  # not beyond the budget
    ],
)
async def test_the_last_answer_is_the_client_s(gateway, records, retries, answers, asked):
    provider = Provider(*answers)
    async with serving(provider):
        client = await gateway(**document(provider, retries=retries))
        response = await ask(client)
    assert response.status_code == int(answers[-1][9:12])
    assert response.json()["error"]["message"] == "no"
    assert len(provider.requests) == asked
    record = await records.one()
    assert (len(record.attempts), record.end_reason) == (asked, EndReason.UPSTREAM_ERROR)


@pytest.mark.parametrize(("resend", "status", "asked"), [(False, 502, 1), (True, 200, 2)])
async def test_what_may_have_been_processed_is_sent_again_only_if_told_so(
    gateway, records, resend, status, asked
):
    provider = Provider(None)
    async with serving(provider):
        client = await gateway(**document(provider, retries={"attempts": 1, "resend": resend}))
        assert (await ask(client)).status_code == status
    assert len(provider.requests) == asked
    assert told(await records.one())[0] == ("a", "wait", None, "upstream_protocol_error")


async def test_nothing_is_tried_once_the_answer_has_begun(gateway, records):
    provider = Provider(reply(200, DONE, connection="close").replace(b"length: ", b"length: 9"))
    async with serving(provider):
        client = await gateway(**document(provider, provider, retries={"attempts": 2, "resend": True}))
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(client)
    record = await records.one()
    assert told(record) == [("a", "receive", 200, "upstream_truncated")]
    assert record.end_reason is EndReason.TRUNCATED


@pytest.mark.parametrize("failing", [reply(401), reply(404), reply(429), reply(500)])
async def test_a_model_that_fails_gives_way_to_its_fallback(gateway, records, failing):
    first, second = Provider(failing), Provider()
    async with serving(first, second):
        client = await gateway(**document(first, second))
        response = await ask(client)
    assert (response.status_code, response.content) == (200, DONE)
    record = await records.one()
    assert (record.model, record.provider, record.upstream_model) == ("m", "b", "mini")
    assert [try_.upstream_model for try_ in record.attempts] == ["big", "mini"]
    assert (json.loads(second.requests[0].partition(b"\r\n\r\n")[2])["model"]) == "mini"


async def test_a_fallback_gets_its_own_provider_s_key_and_never_the_client_s(gateway, records):
    first, second = Provider(reply(500)), Provider()
    async with serving(first, second):
        sections = document(first, second)
        del sections["providers"]["a"]["api_key"]
        client = await gateway(**sections)
        assert (await ask(client)).status_code == 200
    assert b"sk-x" not in second.requests[0]
    assert b"authorization: Bearer sk-b" in second.requests[0]
    assert (await records.one()).key_fingerprint is not None


async def test_a_fallback_without_a_key_is_left_out(gateway, records):
    provider = Provider(reply(500))
    async with serving(provider):
        sections = document(provider)
        sections["models"]["m"]["fallbacks"] = ["claude-opus-4-8"]
        client = await gateway(**sections)
        assert (await ask(client)).status_code == 500
    assert len((await records.one()).attempts) == 1


async def test_a_fallback_may_speak_another_format(gateway, records):
    first, second = Provider(reply(500)), Provider(reply(200, CLAUDE))
    async with serving(first, second):
        sections = document(first)
        sections["providers"]["c"] = {"format": "anthropic", "base_url": second.url, "api_key": "sk-c"}
        sections["models"]["m"]["fallbacks"] = ["c/claude"]
        client = await gateway(**sections)
        response = await ask(client)
    assert response.json()["choices"][0]["message"]["content"] == "Hi"
    record = await records.one()
    assert record.upstream_format == "anthropic-messages"
    assert record.client_response_body == response.content


async def test_what_another_model_would_refuse_too_is_not_asked_of_it(gateway, records):
    first, second = Provider(reply(400)), Provider()
    async with serving(first, second):
        client = await gateway(**document(first, second))
        assert (await ask(client)).status_code == 400
    assert second.requests == []
    assert len((await records.one()).attempts) == 1


async def test_a_fallback_that_can_not_take_the_request_is_passed_over(gateway, records):
    first, second = Provider(reply(429)), Provider()
    async with serving(first, second):
        sections = document(first, second)
        sections["providers"]["c"] = {"format": "anthropic", "base_url": second.url, "api_key": "sk-c"}
        sections["models"]["m"]["fallbacks"] = ["c/claude", "small"]
        client = await gateway(**sections)
        response = await ask(client, {**CHAT, "n": 2})
    assert response.content == DONE
    assert [code for *_, code in told(await records.one())] == [
        "upstream_error",
        "unsupported_parameter",
        None,
    ]


async def test_the_answer_says_where_its_time_went(gateway, records):
    provider = Provider(reply(200, DONE, server_timing="edge;dur=7"))
    async with serving(provider):
        client = await gateway(**document(provider))
        new = (await ask(client)).headers.get_list("server-timing")
        await records.one()
        reused = (await ask(client)).headers["server-timing"]
    assert new[0] == "edge;dur=7"
    assert [part.partition(";")[0] for part in new[1].split(", ")] == ["pool", "connect", "send", "wait"]
    assert [part.partition(";")[0] for part in reused.split(", ")] == ["pool", "send", "wait"]
    record = await records.one()
    assert record.network.connection_reused is True
    assert record.network.tcp_connect_ns is None
    assert record.network.round_trip_ns is not None


async def test_metrics_tell_tries_phases_and_proxies(gateway, upstream, records, answer):
    def sample(name, **labels):
        return REGISTRY.get_sample_value(f"lessllm_gateway_{name}", labels) or 0

    upstream.answer = answer(DONE)
    before = sample("phase_seconds_count", provider="told", phase="connect")
    client = await gateway(
        providers={"told": {"format": "openai", "base_url": upstream.url, "api_key": "k"}},
        proxy={"chain": [DEAD], "fallback_direct": True},
        **PLAIN,
    )
    assert (await ask(client, {**CHAT, "model": "told/m"})).status_code == 200
    await records.one()
    assert sample("tries_total", provider="told", route=DEAD, code="proxy_unreachable") == 1
    assert sample("tries_total", provider="told", route="direct", code="none") == 1
    assert sample("phase_seconds_count", provider="told", phase="connect") == before + 2
    assert sample("proxy_up", proxy=DEAD) == 0
