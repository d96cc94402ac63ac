"""What goes wrong on purpose, as an HTTP client sees it."""

import asyncio
import json
import time

import httpx
import pytest
from lessllm.simulator import running_simulator

FORMATS = {
    "chat": (
        "/v1/chat/completions",
        {"authorization": "Bearer sk-someone"},
        {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]},
    ),
    "responses": (
        "/v1/responses",
        {"authorization": "Bearer sk-someone"},
        {"model": "gpt-4o", "input": "Hello"},
    ),
    "messages": (
        "/v1/messages",
        {"x-api-key": "sk-ant-someone", "anthropic-version": "2023-06-01"},
        {"model": "claude-sonnet-5", "max_tokens": 99, "messages": [{"role": "user", "content": "Hello"}]},
    ),
}


@pytest.fixture(scope="module")
def url():
    with running_simulator() as url:
        yield url


@pytest.fixture(params=FORMATS)
def call(url, request):
    path, headers, body = FORMATS[request.param]

    def post(simulate, **fields):
        return httpx.post(
            f"{url}{path}",
            json={**body, **fields},
            headers={**headers, "x-simulate": simulate},
            trust_env=False,
        )

    post.format = request.param
    return post


def data_of(text):
    return [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503, 529])
def test_a_status_comes_in_the_providers_form(call, status):
    answer = call(f"status={status}")
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert ("retry-after" in answer.headers) == (status == 429 or (call.format, status) in RETRIED)


RETRIED = {("chat", 503), ("responses", 503), ("messages", 529)}


def test_anthropic_says_that_it_is_overloaded(url):
    path, headers, body = FORMATS["messages"]
    answer = httpx.post(
        f"{url}{path}", json=body, headers={**headers, "x-simulate": "status=529"}, trust_env=False
    )
    assert answer.json()["error"] == {"type": "overloaded_error", "message": "Overloaded"}


@pytest.mark.parametrize(("simulate", "status"), [("html", 502), ("html, status=504", 504)])
def test_html_comes_as_from_a_load_balancer(call, simulate, status):
    answer = call(simulate)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html")


def test_invalid_json_comes_with_status_200(call):
    answer = call("invalid_json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_stream_can_hold_one_event_of_invalid_json(call):
    broken = 0
    for data in data_of(call("invalid_json", stream=True).text):
        try:
            json.loads(data)
        except json.JSONDecodeError:
            broken += data != "[DONE]"
    assert broken == 1


@pytest.mark.parametrize("stream", [False, True])
def test_half_an_answer_ends_without_its_end(call, stream):
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        call("half_stream", stream=stream)


def test_an_error_in_a_stream_is_its_last_event(call):
    answer = call("error_in_stream", stream=True)
    assert answer.status_code == 200
    last = json.loads(data_of(answer.text)[-1])
    if call.format == "chat":
        assert last["error"]["type"] == "server_error"
    elif call.format == "responses":
        assert (last["type"], last["code"]) == ("error", "server_error")
    else:
        assert last["error"]["type"] == "api_error"


def test_a_reset_comes_before_any_answer(call):
    with pytest.raises(httpx.ReadError):
        call("reset")


def test_a_slow_first_byte_is_late_whatever_the_time_scale(call):
    begun_s = time.monotonic()
    assert call("slow_first_byte=0.2").status_code == 200
    assert time.monotonic() - begun_s >= 0.2


def test_the_answers_length_can_be_set(url):
    path, headers, body = FORMATS["chat"]
    answer = httpx.post(
        f"{url}{path}", json=body, headers={**headers, "x-simulate": "tokens=33"}, trust_env=False
    )
    assert answer.json()["usage"]["completion_tokens"] == 33


@pytest.mark.parametrize("simulate", ["explode", "status=200", "status=x", "html=yes", "slow_first_byte"])
def test_a_word_that_is_not_known_is_refused(call, simulate):
    answer = call(simulate)
    assert answer.status_code == 400
    assert "x-simulate" in answer.json()["error"]["message"]


async def test_a_caller_who_leaves_writes_no_openai_cache():
    """Also: the simulator stops working for who has left, and goes on to serve others."""
    path, headers, body = FORMATS["chat"]
    body = {**body, "messages": [{"role": "user", "content": "word " * 2000}]}
    with running_simulator(time_scale=1.0) as url:
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=20) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await client.post(path, json=body)
            answer = await client.post(path, json=body, headers={"x-simulate": "tokens=2"})
    assert answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
