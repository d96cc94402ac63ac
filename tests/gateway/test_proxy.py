"""One call through the gateway: what goes upstream, what the client gets, what is recorded."""

import asyncio
import gzip
import json

import httpx
import pytest
from lessllm_shared.record import ApiFormat, EndReason

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
KEY = {"authorization": "Bearer sk-of-the-client"}
COMPLETION = b'{"id":"c1","object":"chat.completion","choices":[]}'


async def test_a_plain_call_is_relayed_untouched_and_recorded_whole(gateway, upstream, records, answer):
    upstream.answer = answer(COMPLETION, x_request_id="req_1")
    client = await gateway(gateway={"measure_non_streaming": False})
    body = b'{ "model": "gpt-4o",\n "messages": [] }'
    response = await client.post(
        "/v1/chat/completions", content=body, headers={**KEY, "content-type": "application/json"}
    )
    assert (response.status_code, response.content) == (200, COMPLETION)
    record = await records.one()
    assert upstream.requests[0].endswith(b"\r\n\r\n" + body)
    assert b"authorization: Bearer sk-of-the-client" in upstream.requests[0]
    assert (record.request_body, record.response_body) == (body, COMPLETION)
    assert (record.api_format, record.model, record.provider) == (ApiFormat.CHAT, "gpt-4o", "openai")
    assert record.end_reason is EndReason.COMPLETE
    assert response.headers["x-lessllm-request-id"] == record.request_id
    assert sum(record.read_bytes) == len(COMPLETION)
    marks = [record.request_received_ns, record.upstream_start_ns, record.upstream_headers_ns, record.end_ns]
    assert marks == sorted(marks)
    assert "sk-of-the-client" not in repr(record)


async def test_a_stream_gets_its_usage_asked_for_and_the_extra_chunk_stripped(
    gateway, upstream, records, answer
):
    first = b'data: {"choices":[{"delta":{"content":"Hi"}}],"usage":null}\n\n'
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":3}}\n\n'
    done = b"data: [DONE]\n\n"
    upstream.answer = answer(first + usage + done, content_type="text/event-stream")
    client = await gateway()
    response = await client.post("/v1/chat/completions", json={**CHAT, "stream": True}, headers=KEY)
    assert response.content == first + done
    sent = json.loads(upstream.requests[0].partition(b"\r\n\r\n")[2])
    assert sent == {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    record = await records.one()
    assert record.response_body == first + usage + done
    assert record.usage_requested


async def test_a_client_that_asked_for_usage_gets_it(gateway, upstream, answer):
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":3}}\n\n'
    upstream.answer = answer(usage, content_type="text/event-stream")
    client = await gateway()
    body = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    assert (await client.post("/v1/chat/completions", json=body, headers=KEY)).content == usage


async def test_a_compressed_answer_is_relayed_as_it_is(gateway, upstream, records, answer):
    packed = gzip.compress(COMPLETION)
    upstream.answer = answer(packed, content_encoding="gzip")
    client = await gateway()
    response = await client.post("/v1/chat/completions", json=CHAT, headers=KEY)
    assert response.content == COMPLETION
    assert (await records.one()).response_body == packed


async def test_an_alias_goes_to_its_model_with_the_configured_key(gateway, upstream, records, answer):
    upstream.answer = answer(COMPLETION)
    client = await gateway(
        providers={"openai": {"base_url": f"{upstream.url}/v1", "api_key": "sk-configured"}},
        models={"fast": {"provider": "openai", "model": "gpt-4o-mini"}},
    )
    await client.post("/v1/chat/completions", json={**CHAT, "model": "fast"}, headers=KEY)
    record = await records.one()
    assert (record.model, record.upstream_model) == ("fast", "gpt-4o-mini")
    assert b'"model":"gpt-4o-mini"' in upstream.requests[0]
    assert b"Bearer sk-configured" in upstream.requests[0]
    assert b"sk-of-the-client" not in upstream.requests[0]


async def test_any_endpoint_of_a_provider_is_reached_by_its_path(gateway, upstream, records, answer):
    upstream.answer = answer(b"{}")
    client = await gateway()
    response = await client.get("/openai/v1/files?limit=2", headers=KEY)
    assert response.status_code == 200
    assert upstream.requests[0].startswith(b"GET /v1/files?limit=2 HTTP/1.1")
    assert (await records.one()).api_format is ApiFormat.OTHER


async def test_a_claude_call_goes_to_anthropic_with_the_clients_key(gateway, upstream, records, answer):
    upstream.answer = answer(b'{"type":"message"}')
    client = await gateway()
    body = {"model": "claude-x", "max_tokens": 5, "messages": [], "metadata": {"user_id": "u7"}}
    await client.post("/v1/messages", json=body, headers={"x-api-key": "sk-ant-mine"})
    assert b"x-api-key: sk-ant-mine" in upstream.requests[0]
    record = await records.one()
    assert (record.provider, record.user_id) == ("anthropic", "u7")


async def test_a_clients_key_never_goes_to_another_provider_than_its_endpoints(gateway, upstream, records):
    client = await gateway(providers={"groq": {"base_url": "https://api.groq.invalid/v1"}})
    response = await client.post("/v1/chat/completions", json={**CHAT, "model": "groq/llama"}, headers=KEY)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "no_key_for_provider"
    assert upstream.requests == []
    assert (await records.one()).end_reason is EndReason.REJECTED


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{nonsense", 400, "invalid_json"),
        (b"", 400, "invalid_json"),
        (b"[]", 400, "invalid_request"),
        (b'{"model": 5}', 400, "invalid_request"),
        (b'{"messages": []}', 400, "missing_model"),
        (b'{"model": "\xff"}', 400, "invalid_json"),
    ],
)
async def test_a_bad_request_gets_a_clear_error_and_a_record(gateway, records, content, status, code):
    client = await gateway()
    headers = {**KEY, "content-type": "application/json"}
    response = await client.post("/v1/chat/completions", content=content, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    record = await records.one()
    assert (record.end_reason, record.error_code, record.status_code) == (EndReason.REJECTED, code, status)


async def test_errors_on_messages_are_in_anthropics_format(gateway):
    client = await gateway()
    response = await client.post("/v1/messages", content=b"{nonsense")
    assert response.json()["type"] == "error"
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_a_body_over_the_limit_is_refused(gateway, records):
    client = await gateway(gateway={"max_request_bytes": 2048})
    response = await client.post("/v1/chat/completions", content=b"x" * 5000, headers=KEY)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")
    record = await records.one()
    assert record.request_body_bytes == 5000


@pytest.mark.parametrize("path", ["/nowhere/v1/models", "/", "/v1/%2e%2e/secret", "/openai/../x"])
async def test_a_path_that_leads_nowhere_is_refused(gateway, upstream, path):
    client = await gateway()
    url = httpx.URL(str(client.base_url)).copy_with(raw_path=path.encode())
    response = await client.get(url)
    assert response.status_code in {400, 404}
    assert upstream.requests == []


async def test_an_upstreams_error_is_relayed_as_it_is(gateway, upstream, records, answer):
    page = b"<html>bad gateway</html>"
    upstream.answer = answer(page, "502 Bad Gateway", "text/html")
    client = await gateway()
    response = await client.post("/v1/chat/completions", json=CHAT, headers=KEY)
    assert (response.status_code, response.content) == (502, page)
    assert (await records.one()).end_reason is EndReason.UPSTREAM_ERROR


async def test_an_upstream_that_is_not_there_is_named_in_a_502(gateway, records):
    client = await gateway(providers={"openai": {"base_url": "http://127.0.0.1:1/v1"}})
    response = await client.post("/v1/chat/completions", json=CHAT, headers=KEY)
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_unreachable")
    record = await records.one()
    assert record.end_reason is EndReason.CONNECT_ERROR
    assert record.attempts[0].error_code == "upstream_unreachable"


async def test_an_upstream_that_speaks_no_http_is_a_502(gateway, upstream, records):
    upstream.answer = b"SSH-2.0-OpenSSH_9.2\r\n\r\n"
    client = await gateway()
    response = await client.post("/v1/chat/completions", json=CHAT, headers=KEY)
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_protocol_error")
    await records.one()


async def test_an_upstream_that_stays_silent_times_out(gateway, upstream, records):
    async def silence(writer):
        await writer.wait_closed()

    upstream.answer = silence
    client = await gateway(timeouts={"first_byte_s": 0.2})
    response = await client.post("/v1/chat/completions", json=CHAT, headers=KEY)
    assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_timeout")
    assert (await records.one()).end_reason is EndReason.UPSTREAM_TIMEOUT


async def test_a_stream_cut_short_ends_with_an_error_event(gateway, upstream, records):
    event = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'

    async def cut(writer):
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head + b"%x\r\n%b\r\n" % (len(event), event))
        await writer.drain()

    upstream.answer = cut
    client = await gateway()
    response = await client.post("/v1/chat/completions", json={**CHAT, "stream": True}, headers=KEY)
    assert response.content.startswith(event)
    last = json.loads(response.content[len(event) :].strip().removeprefix(b"data: "))
    assert last["error"]["code"] == "upstream_truncated"
    record = await records.one()
    assert (record.end_reason, record.response_body) == (EndReason.TRUNCATED, event)


async def test_a_client_that_leaves_cancels_the_upstream_call(gateway, upstream, records):
    async def endless(writer):
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head)
        while not writer.is_closing():
            writer.write(b"8\r\ndata: x\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    upstream.answer = endless
    client = await gateway()
    async with client.stream(
        "POST",
        "/v1/chat/completions",
        json={**CHAT, "stream": True, "stream_options": {"include_usage": True}},
        headers=KEY,
    ) as response:
        await anext(response.aiter_bytes())
    async with asyncio.timeout(5):
        await upstream.closed.wait()
    record = await records.one()
    assert record.end_reason is EndReason.CLIENT_CANCELLED
    assert record.response_body.startswith(b"data: x\n")


async def test_with_client_keys_only_their_owners_get_in(gateway, upstream, records, answer):
    upstream.answer = answer(COMPLETION)
    client = await gateway(
        {"OPENAI_API_KEY": "sk-from-environment"}, auth={"keys": [{"name": "team-a", "key": "lk-team-a"}]}
    )
    refused = await client.post("/v1/chat/completions", json=CHAT, headers=KEY)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_client_key")
    assert (await records.one()).error_code == "invalid_client_key"
    accepted = await client.post(
        "/v1/chat/completions", json=CHAT, headers={"authorization": "Bearer lk-team-a"}
    )
    assert accepted.status_code == 200
    record = await records.one()
    assert (record.client_key, record.user_id) == ("team-a", "team-a")
    assert b"lk-team-a" not in upstream.requests[0]
    assert b"Bearer sk-from-environment" in upstream.requests[0]


async def test_sessions_and_tags_are_recorded_and_not_sent_on(gateway, upstream, records, answer):
    upstream.answer = answer(COMPLETION)
    client = await gateway()
    headers = {**KEY, "x-lessllm-session": "s1", "x-lessllm-user": "ann", "x-lessllm-tags": "team=a, run=7"}
    await client.post("/v1/chat/completions", json=CHAT, headers=headers)
    record = await records.one()
    assert (record.session_id, record.user_id, record.tags) == ("s1", "ann", {"team": "a", "run": "7"})
    assert b"x-lessllm" not in upstream.requests[0]


async def test_a_call_is_settled_only_when_its_record_is_there(gateway, records):
    app = await gateway.app()
    settling = []
    recorded = []

    async def settle():
        await app.settled(5)
        recorded.append(len(records.all))

    async def send(message):
        if message["type"] == "http.response.body":
            settling.append(asyncio.create_task(settle()))
            await asyncio.sleep(0.01)  # the client has its last byte, and nothing is recorded yet
            assert recorded == []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    path = {"path": "/", "raw_path": b"/", "query_string": b""}
    await app({"type": "http", "method": "GET", "headers": [], "client": None, **path}, receive, send)
    await settling[0]
    assert recorded == [1]


async def test_tokens_are_estimated_where_the_provider_can_not_be_asked(gateway, upstream, records):
    client = await gateway(models={"fast": {"provider": "openai", "model": "gpt-4o"}})
    asked = {"model": "fast", "messages": [{"role": "user", "content": "Hello there"}]}
    response = await client.post("/v1/messages/count_tokens", json=asked, headers={"x-api-key": "k"})
    assert response.status_code == 200
    assert 5 < response.json()["input_tokens"] < 20
    assert response.headers["x-lessllm-estimated"] == "true"
    assert upstream.requests == []
    record = await records.one()
    assert (record.end_reason, record.client_response_body) == (EndReason.COMPLETE, response.content)


async def test_anthropic_counts_the_tokens_of_its_own_models(gateway, upstream, answer):
    upstream.answer = answer(b'{"input_tokens": 11}')
    client = await gateway()
    asked = {"model": "claude-opus-4-8", "messages": [{"role": "user", "content": "Hello there"}]}
    response = await client.post("/v1/messages/count_tokens", json=asked, headers={"x-api-key": "k"})
    assert response.json() == {"input_tokens": 11}
    assert "x-lessllm-estimated" not in response.headers
    assert upstream.requests[0].startswith(b"POST /v1/messages/count_tokens ")
