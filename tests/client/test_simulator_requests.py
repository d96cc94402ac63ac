"""Requests that a provider refuses, and what it says; headers; the command. Plain HTTP, no SDK."""

import re
import signal
import subprocess
import sys

import httpx
import pytest
from lessllm.simulator import create_app, running_simulator

OPENAI = {"authorization": "Bearer sk-someone"}
ANTHROPIC = {"x-api-key": "sk-ant-someone", "anthropic-version": "2023-06-01"}
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
MESSAGES = {"model": "claude-sonnet-5", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.fixture(scope="module")
def simulator():
    with running_simulator() as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


def test_openai_without_a_key_is_401(simulator):
    answer = simulator.post("/v1/chat/completions", json=CHAT)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert "didn't provide an API key" in answer.json()["error"]["message"]


def test_openai_with_a_wrong_key_shows_no_more_of_it_than_openai_does(simulator):
    answer = simulator.post(
        "/v1/chat/completions", json=CHAT, headers={"authorization": "Bearer sk-wrong-0123456789"}
    )
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert "0123456789" not in answer.text


@pytest.mark.parametrize(
    ("headers", "status", "message"),
    [
        ({"anthropic-version": "2023-06-01"}, 401, "x-api-key header is required"),
        ({"x-api-key": "k"}, 400, "anthropic-version: header is required"),
        ({**ANTHROPIC, "x-api-key": "wrong"}, 401, "invalid x-api-key"),
    ],
)
def test_anthropic_wants_a_key_and_a_version(simulator, headers, status, message):
    answer = simulator.post("/v1/messages", json=MESSAGES, headers=headers)
    assert (answer.status_code, answer.json()["error"]["message"]) == (status, message)
    assert answer.json()["type"] == "error"


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"model": "gpt-0"}, 404, "model_not_found", None),
        ({"model": "text-embedding-3-small"}, 404, "model_not_found", None),
        ({"messages": "Hello"}, 400, "invalid_type", "messages"),
        ({"messages": []}, 400, "invalid_value", "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, 400, "invalid_type", "messages[0].content"),
        ({"messages": [{"role": "robot", "content": ""}]}, 400, "invalid_value", "messages[0]"),
        ({"messages": [{"content": ""}]}, 400, "missing_required_parameter", "messages[0].role"),
        ({"model": None}, 400, "invalid_type", "model"),
        ({"temperature": "warm"}, 400, "invalid_type", "temperature"),
        ({"temperature": 3}, 400, "invalid_value", "temperature"),
        ({"max_tokens": 10**6}, 400, "invalid_value", "max_tokens"),
        ({"shout": True}, 400, "unknown_parameter", "shout"),
        ({"stream_options": {"include_usage": True}}, 400, None, "stream_options"),
        ({"model": "gpt-5", "max_tokens": 9}, 400, "unsupported_parameter", "max_tokens"),
        ({"model": "gpt-5", "temperature": 0.2}, 400, "unsupported_value", "temperature"),
        ({"reasoning_effort": "low"}, 400, "unsupported_parameter", "reasoning_effort"),
        (
            {"messages": [{"role": "user", "content": "x" * 600_000}]},
            400,
            "context_length_exceeded",
            "messages",
        ),
        (
            {"messages": [{"role": "tool", "content": "", "tool_call_id": "c1"}]},
            400,
            None,
            "messages.[0].role",
        ),
        ({"messages": [{"role": "assistant", "tool_calls": [CALL]}]}, 400, None, "messages"),
    ],
)
def test_a_chat_request_that_is_wrong_is_refused_in_openais_words(simulator, change, status, code, param):
    answer = simulator.post("/v1/chat/completions", json={**CHAT, **change}, headers=OPENAI)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert (error["code"], error["param"], set(error)) == (code, param, {"message", "type", "param", "code"})


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"model": "claude-0"}, 404, "model: claude-0"),
        ({"max_tokens": None}, 400, "max_tokens: "),
        ({"max_tokens": 10**6}, 400, "max_tokens: 1000000 > 128000"),
        ({"messages": []}, 400, "messages: "),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, "messages.0.role: "),
        (
            {"messages": [{"role": "user", "content": ""}]},
            400,
            "messages: text content blocks must be non-empty",
        ),
        ({"shout": True}, 400, "shout: Extra inputs are not permitted"),
        ({"temperature": 1.5}, 400, "temperature: "),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            400,
            "`max_tokens` must be greater than `thinking.budget_tokens`",
        ),
    ],
)
def test_a_message_request_that_is_wrong_is_refused_in_anthropics_words(simulator, change, status, message):
    answer = simulator.post("/v1/messages", json={**MESSAGES, **change}, headers=ANTHROPIC)
    assert answer.status_code == status
    body = answer.json()
    assert body["error"]["message"].startswith(message)
    assert body["error"]["type"] == {400: "invalid_request_error", 404: "not_found_error"}[status]
    assert body["request_id"] == answer.headers["request-id"]


def test_a_tool_use_needs_its_result_and_a_result_its_use(simulator):
    use = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t2", "content": "4"}
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [use]}]
    for messages, expected in (
        ([*turns, {"role": "user", "content": "?"}], "`tool_use` ids were found without `tool_result`"),
        ([*turns, {"role": "user", "content": [result]}], "unexpected `tool_use_id`"),
    ):
        answer = simulator.post("/v1/messages", json={**MESSAGES, "messages": messages}, headers=ANTHROPIC)
        assert answer.status_code == 400
        assert expected in answer.json()["error"]["message"]


def test_more_than_four_cache_markers_are_refused(simulator):
    system = [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}} for _ in range(5)]
    answer = simulator.post("/v1/messages", json={**MESSAGES, "system": system}, headers=ANTHROPIC)
    assert "A maximum of 4 blocks with cache_control" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/v1/chat/completions", OPENAI), ("/v1/responses", OPENAI), ("/v1/messages", ANTHROPIC)],
)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe"])
def test_a_body_that_is_no_json_object_is_400(simulator, path, headers, body):
    answer = simulator.post(path, content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_an_unknown_path_is_404_and_a_wrong_method_405_in_the_callers_format(simulator):
    assert simulator.post("/v1/nothing", headers=OPENAI).json()["error"]["message"] == "Invalid URL"
    unknown = simulator.post("/v1/nothing", headers=ANTHROPIC)
    assert (unknown.status_code, unknown.json()["error"]["type"]) == (404, "not_found_error")
    assert simulator.get("/v1/chat/completions", headers=OPENAI).status_code == 405


def test_a_body_beyond_anthropics_limit_is_413(simulator):
    answer = simulator.post("/v1/messages", content=b" " * (32 * 2**20 + 1), headers=ANTHROPIC)
    assert (answer.status_code, answer.json()["error"]["type"]) == (413, "request_too_large")


def test_answers_carry_the_providers_headers(simulator):
    chat = simulator.post("/v1/chat/completions", json=CHAT, headers=OPENAI).headers
    assert re.fullmatch(r"req_[0-9a-f]{32}", chat["x-request-id"])
    assert int(chat["x-ratelimit-remaining-requests"]) < int(chat["x-ratelimit-limit-requests"])
    assert chat["openai-processing-ms"].isdigit()
    messages = simulator.post("/v1/messages", json=MESSAGES, headers=ANTHROPIC).headers
    assert messages["request-id"].startswith("req_011C")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}Z", messages["anthropic-ratelimit-requests-reset"])


async def test_too_many_requests_are_429_until_the_minute_is_over():
    now_s = [0.0]
    app = create_app(time_scale=0, requests_per_minute=2, clock=lambda: now_s[0])

    async def call():
        return await client.post("/v1/messages", json=MESSAGES, headers=ANTHROPIC)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://simulator") as client:
        assert [(await call()).status_code for _ in range(2)] == [200, 200]
        limited = await call()
        now_s[0] = 61.0
        assert (await call()).status_code == 200
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "1")
    assert limited.json()["error"]["type"] == "rate_limit_error"


def test_the_same_seed_gives_the_same_answer_and_another_seed_another():
    def say(seed):
        with running_simulator(seed=seed) as url:
            answer = httpx.post(
                f"{url}/v1/chat/completions", json=CHAT, headers=OPENAI, trust_env=False
            ).json()
        return {**answer, "created": 0}

    assert say(1) == say(1)
    assert say(1)["choices"] != say(2)["choices"]


def test_the_command_prints_its_url_and_ends_at_ctrl_c():
    command = [sys.executable, "-m", "lessllm.simulator", "--port", "0", "--time-scale", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            answer = httpx.post(f"{url}/v1/chat/completions", json=CHAT, headers=OPENAI, trust_env=False)
            assert answer.status_code == 200
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0


def test_the_command_says_in_one_line_that_its_port_is_taken(simulator):
    command = [sys.executable, "-m", "lessllm.simulator", "--port", str(simulator.base_url.port)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"simulator: can't listen on port \d+: .*\n", ended.stderr)
