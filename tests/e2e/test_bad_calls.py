"""What goes wrong with a call, from either side: the client gets a clear error, the row says what happened,
and both services go on."""

import json

import httpx
import pytest
from e2e.processes import running_services, wait_for
from lessllm.simulator import running_simulator

HELLO = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = {**HELLO, "stream": True}
BODIES = {
    "plain": HELLO,
    "stream": STREAM,
    "unknown model": {**HELLO, "model": "gpt-99"},
    "away": {**HELLO, "model": "away/m"},
}
KEY = {"authorization": "Bearer sk-someone", "content-type": "application/json"}
LIMIT = 1024 * 1024


@pytest.fixture(scope="module")
def running(simulator, tmp_path_factory):
    with running_simulator(time_scale=0.3) as slow:
        document = {
            "providers": {
                "openai": {"base_url": f"{simulator}/v1"},
                "slow": {"base_url": f"{slow}/v1", "api_key": "sk-slow"},
                "away": {"base_url": "http://127.0.0.1:1/v1"},
            },
            "gateway": {"max_request_bytes": LIMIT},
            "timeouts": {"first_byte_s": 1},
        }
        with running_services(tmp_path_factory.mktemp("bad"), document) as services:
            yield services


@pytest.fixture
def call(running):
    """Calls, and returns the answer and its row."""

    def post(content, path="/v1/chat/completions", headers=KEY):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        answer = httpx.post(f"{running.gateway.url}{path}", content=content, headers=headers, timeout=30)
        request_id = answer.headers["x-lessllm-request-id"]
        row = running.row("SELECT * FROM api_calls WHERE request_id = ?", request_id)
        assert row["status_code"] == answer.status_code
        return answer, row

    yield post
    assert httpx.get(f"{running.gateway.url}/readyz").status_code == 200
    assert httpx.get(f"{running.collector.url}/readyz").status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{broken", 400, "invalid_json"),
        (b"\xff\xfe{}", 400, "invalid_json"),
        (b'{"model": "m", "messages": ' + b"[" * 100_000, 400, "invalid_json"),
        (b"[]", 400, "invalid_request"),
        ({"model": 7}, 400, "invalid_request"),
        ({"messages": []}, 400, "missing_model"),
        ({**HELLO, "model": "claude-opus-4-8"}, 401, "no_key_for_provider"),
        (b" " * (LIMIT + 1), 413, "request_too_large"),
    ],
    ids=["broken", "not-utf8", "deep", "no-object", "wrong-type", "no-model", "no-key", "too-large"],
)
def test_a_call_that_is_refused_is_a_row(call, content, status, code):
    answer, row = call(content)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert (row["end_reason"], row["error_code"]) == ("rejected", code)
    assert row["provider"] is None or code == "no_key_for_provider"


def test_for_an_unknown_provider_the_known_ones_are_named(call):
    answer, row = call(HELLO, path="/nobody/v1/chat/completions")
    assert answer.status_code == 404
    assert "anthropic, away" in answer.json()["error"]["message"]
    assert row["end_reason"] == "rejected"


@pytest.mark.parametrize(
    ("body", "simulate", "status", "end_reason"),
    [
        ("unknown model", "", 404, "upstream_error"),
        ("plain", "status=400", 400, "upstream_error"),
        ("plain", "status=503", 503, "upstream_error"),
        ("stream", "status=429", 429, "upstream_error"),
        ("plain", "reset", 502, "upstream_error"),
        ("stream", "reset", 502, "upstream_error"),
        ("plain", "half_stream", 502, "truncated"),
        ("plain", "error_in_stream", 502, "upstream_error"),
        ("plain", "invalid_json", 502, "upstream_error"),
        ("plain", "slow_first_byte=2", 504, "upstream_timeout"),
        ("stream", "slow_first_byte=2", 504, "upstream_timeout"),
        ("away", "", 502, "connect_error"),
    ],
)
def test_a_failing_upstream_is_told_and_recorded(call, body, simulate, status, end_reason):
    answer, row = call(BODIES[body], headers={**KEY, "x-simulate": simulate})
    assert (answer.status_code, row["end_reason"]) == (status, end_reason)
    assert answer.json()["error"]["message"]
    assert row["error_code"]
    assert row["error_message"]


@pytest.mark.parametrize(
    ("simulate", "end_reason"), [("half_stream", "truncated"), ("error_in_stream", "upstream_error")]
)
def test_a_stream_that_fails_ends_with_an_error_and_the_row_has_it(call, simulate, end_reason):
    answer, row = call(BODIES["stream"], headers={**KEY, "x-simulate": simulate})
    *_, last = answer.text.rstrip().split("\n\n")
    told = json.loads(last.removeprefix("data: "))["error"]
    assert row["end_reason"] == end_reason
    assert row["error_code"] in {told["code"], told["type"]}
    assert row["error_message"] == told["message"]


def test_a_page_of_html_goes_through_as_it_is(call):
    answer, row = call(BODIES["plain"], headers={**KEY, "x-simulate": "html"})
    assert answer.text.startswith("<html>")
    assert (row["raw_response"], row["end_reason"]) == (answer.text, "upstream_error")


def test_invalid_json_from_an_upstream_goes_through_and_is_kept(call):
    answer, row = call(BODIES["stream"], headers={**KEY, "x-simulate": "invalid_json"})
    assert answer.status_code == 200
    assert row["response_body"]
    assert row["interpreter_error"] is None


def test_a_client_that_leaves_is_recorded_as_gone(running):
    headers = {**KEY, "x-simulate": "tokens=4000"}
    url = f"{running.gateway.url}/v1/chat/completions"
    with httpx.stream("POST", url, json={**STREAM, "model": "slow/gpt-4o"}, headers=headers) as answer:
        next(answer.iter_bytes())
        request_id = answer.headers["x-lessllm-request-id"]
    sql = "SELECT end_reason FROM api_calls WHERE request_id = ?"
    wait_for(lambda: bool(running.rows(sql, request_id)), "the call's row")
    assert running.rows(sql, request_id) == [{"end_reason": "client_cancelled"}]
