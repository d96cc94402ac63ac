"""Calls whose bytes are touched: measured ones, and chat calls to a provider that speaks Anthropic."""

import json

import pytest
from lessllm_gateway.translate.messages_to_chat.thinking import SIGNATURE
from lessllm_shared.record import ApiFormat, EndReason

CHAT = {
    "model": "claude",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
}
CHUNKS = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":'
    b'[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
    b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":'
    b'[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
    b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":'
    b'[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}\n\n'
    b"data: [DONE]\n\n"
)
EVENTS = b"".join(
    b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())
    for event in (
        {
            "type": "message_start",
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "claude-3-opus-20240229",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 1},
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi "}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "there"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 4},
        },
        {"type": "message_stop"},
    )
)


@pytest.fixture
def claude(upstream):
    return {
        "providers": {"anthropic": {"base_url": upstream.url, "api_key": "sk-ant-configured"}},
        "models": {"claude": {"provider": "anthropic", "model": "claude-3-opus-20240229"}},
    }


async def test_a_plain_call_is_streamed_upstream_and_assembled_for_the_client(
    gateway, upstream, records, answer
):
    upstream.answer = answer(CHUNKS, content_type="text/event-stream")
    client = await gateway()
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
    response = await client.post("/v1/chat/completions", json=body, headers={"authorization": "Bearer k"})
    completion = response.json()
    assert completion["object"] == "chat.completion"
    assert completion["choices"][0]["message"]["content"] == "Hi"
    assert completion["usage"]["total_tokens"] == 4
    record = await records.one()
    assert (record.streaming, record.upstream_streaming) == (False, True)
    assert record.response_body == CHUNKS
    assert record.client_response_body is None


async def test_a_measured_call_that_breaks_off_is_an_error_for_the_client(gateway, upstream, records, answer):
    upstream.answer = answer(CHUNKS[:300], content_type="text/event-stream")
    client = await gateway()
    body = {"model": "gpt-4o", "messages": []}
    response = await client.post("/v1/chat/completions", json=body, headers={"authorization": "Bearer k"})
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_truncated")
    assert (await records.one()).end_reason is EndReason.TRUNCATED


async def test_a_chat_call_to_an_alias_on_anthropic_is_translated(gateway, upstream, records, answer, claude):
    upstream.answer = answer(EVENTS, content_type="text/event-stream")
    client = await gateway(**claude)
    response = await client.post("/v1/chat/completions", json=CHAT, headers={"authorization": "Bearer k"})
    completion = response.json()
    assert completion["choices"][0]["message"]["content"] == "Hi there"
    assert completion["choices"][0]["finish_reason"] == "stop"
    assert completion["usage"]["prompt_tokens"] == 9
    assert completion["usage"]["prompt_tokens_details"]["cached_tokens"] == 2
    head, _, sent = upstream.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/messages ")
    assert b"x-api-key: sk-ant-configured" in head
    assert b"anthropic-version: 2023-06-01" in head
    assert b"Bearer k" not in head
    assert json.loads(sent)["system"] == [{"type": "text", "text": "Be brief."}]
    record = await records.one()
    assert (record.api_format, record.upstream_format) == (ApiFormat.CHAT, ApiFormat.MESSAGES)
    assert record.upstream_request_body == sent
    assert record.client_response_body == response.content


async def test_a_chat_stream_from_anthropic_is_a_chat_stream(gateway, upstream, records, answer, claude):
    upstream.answer = answer(EVENTS, content_type="text/event-stream")
    client = await gateway(**claude)
    body = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    response = await client.post("/v1/chat/completions", json=body, headers={"authorization": "Bearer k"})
    data = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert data.pop() == "[DONE]"
    chunks = [json.loads(text) for text in data]
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert text == "Hi there"
    assert chunks[-1]["usage"]["completion_tokens"] == 4
    assert (await records.one()).client_response_body == response.content


async def test_anthropics_error_becomes_openais(gateway, upstream, answer, claude):
    error = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}
    upstream.answer = answer(json.dumps(error).encode(), "429 Too Many Requests")
    client = await gateway(**claude)
    response = await client.post("/v1/chat/completions", json=CHAT, headers={"authorization": "Bearer k"})
    assert response.status_code == 429
    assert response.json()["error"]["message"] == "slow down"


async def test_what_has_no_counterpart_is_refused_by_name(gateway, upstream, records, claude):
    client = await gateway(**claude)
    body = {**CHAT, "logit_bias": {"5": 1}}
    response = await client.post("/v1/chat/completions", json=body, headers={"authorization": "Bearer k"})
    assert response.status_code == 400
    assert "logit_bias" in response.json()["error"]["message"]
    assert upstream.requests == []
    await records.one()


async def test_a_query_means_something_to_the_clients_api_only(gateway, upstream, answer, claude):
    upstream.answer = answer(EVENTS, content_type="text/event-stream")
    client = await gateway(**claude)
    await client.post("/v1/chat/completions?beta=true", json=CHAT, headers={"authorization": "Bearer k"})
    assert upstream.requests[0].startswith(b"POST /v1/messages HTTP")


async def test_thinking_of_another_provider_is_not_shown_to_anthropic_which_has_not_signed_it(
    gateway, upstream, answer
):
    upstream.answer = answer(EVENTS, content_type="text/event-stream")
    client = await gateway()
    signed = {"type": "thinking", "thinking": "Hm.", "signature": "anthropics"}
    history = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": [signed, {"type": "text", "text": "Hi"}]},
        {"role": "user", "content": "And?"},
    ]
    asked = {"model": "claude-opus-4-8", "max_tokens": 9, "stream": True, "messages": history}
    await client.post("/v1/messages", json=asked, headers={"x-api-key": "k"})
    ours = {**signed, "signature": SIGNATURE}
    mixed = [history[0], {"role": "assistant", "content": [ours, *history[1]["content"]]}, history[2]]
    only_ours = [history[0], {"role": "assistant", "content": [ours]}, history[2]]
    for messages in (mixed, only_ours):
        await client.post("/v1/messages", json={**asked, "messages": messages}, headers={"x-api-key": "k"})
    first, second, third = (request.partition(b"\r\n\r\n")[2] for request in upstream.requests)
    assert first == json.dumps(asked, separators=(",", ":")).encode()
    assert json.loads(second) == asked
    assert json.loads(third)["messages"] == [history[0], history[2]]


@pytest.fixture
def plain(upstream):
    """A provider that has chat completions only."""
    return {"providers": {"plain": {"base_url": f"{upstream.url}/v1", "api_key": "k"}}}


async def test_responses_of_a_chat_provider(gateway, upstream, records, answer, plain):
    upstream.answer = answer(CHUNKS, content_type="text/event-stream")
    client = await gateway(**plain)
    response = await client.post("/v1/responses", json={"model": "plain/m", "input": "Hello"})
    found = response.json()
    assert (found["object"], found["status"]) == ("response", "completed")
    assert found["output"][0]["content"][0]["text"] == "Hi"
    assert found["usage"]["total_tokens"] == 4
    head, _, sent = upstream.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/chat/completions ")
    assert json.loads(sent)["messages"] == [{"role": "user", "content": "Hello"}]
    record = await records.one()
    assert (record.api_format, record.upstream_format) == (ApiFormat.RESPONSES, ApiFormat.CHAT)
    assert (record.response_body, record.client_response_body) == (CHUNKS, response.content)


async def test_a_responses_stream_whose_connection_breaks_ends_in_an_error(
    gateway, upstream, records, answer, plain
):
    upstream.answer = answer(CHUNKS, content_type="text/event-stream")[:-300]
    client = await gateway(**plain)
    body = {"model": "plain/m", "input": "Hello", "stream": True}
    response = await client.post("/v1/responses", json=body)
    *_, last = response.text.strip().split("\n\n")
    name, data = last.split("\n")
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: "))["error"]["code"]
    assert "response.completed" not in response.text
    assert (await records.one()).end_reason is EndReason.TRUNCATED
