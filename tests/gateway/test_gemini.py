"""Gemini's own API by /gemini/…: relayed as it is, with the key where Google takes it and in no record."""

import json

import pytest
from lessllm_shared import record as rec
from lessllm_shared.record import ApiFormat, EndReason

MODEL = "/gemini/v1beta/models/gemini-x"
BODY = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
KEY = "AIza-clients-own"
ARRAY = b'[{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]}\n]'
SSE = b'data: {"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]}\r\n\r\n'
OWN_KEYS = {"keys": [{"name": "team-a", "key": "lk-a"}]}


@pytest.fixture
async def ask(gateway, upstream):
    """Posts to a gateway before an upstream that is Gemini, at the address that Google documents."""

    async def post(path, *, auth=None, content=None, headers=None, **provider):
        base_url = f"{upstream.url}/v1beta/openai/"
        sections = {"auth": auth} if auth else {}
        client = await gateway(providers={"gemini": {"base_url": base_url, **provider}}, **sections)
        body = content or json.dumps(BODY).encode()
        given = {"content-type": "application/json", **(headers or {})}
        return await client.post(path, content=body, headers=given)

    return post


@pytest.mark.parametrize(
    ("verb", "answered", "content_type", "streaming"),
    [
        ("generateContent", b"{}", "application/json", False),
        ("streamGenerateContent?alt=sse", SSE, "text/event-stream", True),
        ("streamGenerateContent", ARRAY, "application/json", True),
    ],
)
async def test_it_is_relayed_byte_for_byte(
    ask, upstream, records, answer, verb, answered, content_type, streaming
):
    upstream.answer = answer(answered, content_type=content_type)
    body = json.dumps(BODY, indent=1).encode()
    response = await ask(f"{MODEL}:{verb}", content=body, api_key="k")
    assert response.content == answered
    assert response.headers["content-type"] == content_type
    head, _, sent = upstream.requests[0].partition(b"\r\n\r\n")
    assert f"POST /v1beta/models/gemini-x:{verb} HTTP".encode() in head
    assert sent == body
    record = await records.one()
    assert (record.api_format, record.model, record.streaming) == (ApiFormat.GEMINI, "gemini-x", streaming)
    assert (record.end_reason, record.response_body) == (EndReason.COMPLETE, answered)


async def test_counting_tokens_is_known_as_such(ask, upstream, records, answer):
    upstream.answer = answer(b'{"totalTokens":5}')
    shown = {"x-goog-api-key": "lk-a"}
    response = await ask(f"{MODEL}:countTokens", auth=OWN_KEYS, headers=shown, api_key="k")
    assert response.json() == {"totalTokens": 5}
    record = await records.one()
    assert (record.api_format, record.model) == (ApiFormat.GEMINI_COUNT_TOKENS, "gemini-x")
    assert record.client_key == "team-a"


async def test_the_configured_key_goes_where_google_takes_it(ask, upstream, answer):
    upstream.answer = answer(b"{}")
    await ask(f"{MODEL}:generateContent?alt=json&key=lk-a", auth=OWN_KEYS, api_key="AIza-configured")
    head = upstream.requests[0].partition(b"\r\n\r\n")[0]
    assert b"x-goog-api-key: AIza-configured" in head
    assert b"authorization" not in head.lower()
    assert b":generateContent?alt=json HTTP" in head
    assert b"lk-a" not in head


@pytest.mark.parametrize("verb", ["generateContent", "streamGenerateContent", "countTokens"])
async def test_a_clients_own_key_goes_on_and_into_no_record(ask, upstream, records, answer, caplog, verb):
    upstream.answer = answer(b"{}")
    await ask(f"{MODEL}:{verb}?key={KEY}&alt=sse", headers={"x-goog-api-key": KEY})
    head = upstream.requests[0].partition(b"\r\n\r\n")[0]
    assert f":{verb}?key={KEY}&alt=sse HTTP".encode() in head
    assert f"x-goog-api-key: {KEY}".encode() in head
    assert KEY.encode() not in rec.encode(await records.one())
    assert KEY not in caplog.text


async def test_errors_of_ours_are_googles(ask, records):
    response = await ask(f"{MODEL}:generateContent", auth=OWN_KEYS)
    assert response.status_code == 401
    error = response.json()["error"]
    assert (error["code"], error["status"]) == (401, "INVALID_CLIENT_KEY")
    assert (await records.one()).end_reason is EndReason.REJECTED


async def test_chat_completions_go_to_the_address_that_speaks_them(ask, upstream, records, answer):
    upstream.answer = answer(b'{"choices":[]}')
    body = {"model": "gemini-pro", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    await ask("/v1/chat/completions", content=json.dumps(body).encode(), api_key="AIza-configured")
    head, _, sent = upstream.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1beta/openai/chat/completions HTTP")
    assert b"x-goog-api-key: AIza-configured" in head
    assert json.loads(sent)["model"] == "gemini-pro-latest"
    assert (await records.one()).upstream_model == "gemini-pro-latest"
