"""Messages become chat completions that the SDK takes; errors and headers are what its users look for."""

import json

import pytest
from gateway.translate.asking_claude import (
    FORMAT,
    HELLO,
    MODEL,
    NOW_UNIX_S,
    USAGE,
    answered,
    call,
    result,
    turns,
)
from openai.types.chat import ChatCompletion

OPUS_4_1 = "claude-opus-4-1"
THOUGHT = {"type": "thinking", "thinking": "Let me see.", "signature": "sig"}
REDACTED = {"type": "redacted_thinking", "data": "gAAA"}


def text(said):
    return {"type": "text", "text": said}


def use(identifier, **given):
    return {"type": "tool_use", "id": identifier, "name": "get_weather", "input": given}


def test_text_is_a_completion_as_openai_documents_it():
    completion = answered([text("Hello "), text("there.")])
    assert completion == {
        "id": "msg_1",
        "object": "chat.completion",
        "created": int(NOW_UNIX_S),
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello there.", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 15,
            "total_tokens": 25,
            "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
        },
    }
    ChatCompletion.model_validate(completion, strict=True)


def test_tool_calls_have_their_arguments_as_text_and_no_content_beside():
    completion = answered([use("t1", city="Berlin", days=1.0), use("t2")], "tool_use")
    (choice,) = completion["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    assert choice["message"]["tool_calls"] == [
        {
            "id": "t1",
            "type": "function",
            "function": {"name": "get_weather", "arguments": '{"city":"Berlin","days":1.0}'},
        },
        {"id": "t2", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}},
    ]
    ChatCompletion.model_validate(completion, strict=True)


def test_thinking_goes_beside_the_content_with_its_signatures():
    blocks = [
        THOUGHT,
        REDACTED,
        text("One."),
        {**THOUGHT, "signature": "sig2"},
        use("t1"),
        {**THOUGHT, "signature": "sig3"},
    ]
    message = answered(blocks, "tool_use")["choices"][0]["message"]
    assert message["reasoning_content"] == "Let me see." * 3
    assert message["thinking_blocks"] == [
        THOUGHT,
        REDACTED,
        {**THOUGHT, "signature": "sig2", "text_before": 4},
        {**THOUGHT, "signature": "sig3", "text_before": 4, "calls_before": 1},
    ]


def test_the_sdk_keeps_what_a_client_must_send_back_and_it_goes_where_it_stood():
    blocks = [THOUGHT, REDACTED, text("One."), {**THOUGHT, "signature": "sig2"}, use("t1", city="Berlin")]
    completion = ChatCompletion.model_validate(answered(blocks, "tool_use"))
    echoed = completion.choices[0].message.model_dump()
    assert turns(*HELLO, echoed, result("t1"))[1]["content"] == blocks


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
        (None, "stop"),
        (["x"], "stop"),
    ],
)
def test_stop_reasons(stop_reason, finish_reason):
    assert answered([text("Hi")], stop_reason)["choices"][0]["finish_reason"] == finish_reason


def test_calls_are_the_reason_unless_the_answer_was_cut():
    assert answered([use("t1")], "end_turn")["choices"][0]["finish_reason"] == "tool_calls"
    assert answered([use("t1")], "max_tokens")["choices"][0]["finish_reason"] == "length"


def test_a_refusal_says_what_anthropic_explains():
    details = {"type": "refusal", "category": "bio", "explanation": "This could do harm."}
    message = answered([], "refusal", stop_details=details)["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, "This could do harm.")
    message = answered([text("I can")], "refusal", stop_details=None)["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == ("I can", None)


def test_arguments_that_were_cut_off_stay_as_far_as_they_came():
    cut = {"type": "tool_use", "id": "t1", "name": "f", "input": '{"city": "Ber'}
    (call_,) = answered([cut], "max_tokens")["choices"][0]["message"]["tool_calls"]
    assert call_["function"]["arguments"] == '{"city": "Ber'


def test_the_tool_for_the_answer_is_the_answer():
    blocks = [THOUGHT, {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Berlin"}}]
    chat = {"model": "m", "messages": HELLO, "response_format": FORMAT}
    (choice,) = answered(blocks, "tool_use", chat=chat, asked_model=OPUS_4_1)["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", '{"city":"Berlin"}')
    assert "tool_calls" not in choice["message"]


def test_what_tools_on_anthropics_side_do_is_left_out():
    blocks = [
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
        text("Found."),
        {"type": "new"},
        "x",
    ]
    assert answered(blocks)["choices"][0]["message"]["content"] == "Found."


@pytest.mark.parametrize(
    ("usage", "there"),
    [
        (None, None),
        ({"input_tokens": 5}, None),
        ({"output_tokens": 5}, None),
        ({"input_tokens": 5, "output_tokens": "x"}, None),
        (
            {"input_tokens": 5, "output_tokens": 2},
            {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
        ),
        (
            {
                "input_tokens": 5,
                "output_tokens": 9,
                "output_tokens_details": {"thinking_tokens": 4},
                "cache_read_input_tokens": 0,
            },
            {
                "prompt_tokens": 5,
                "completion_tokens": 9,
                "total_tokens": 14,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 4},
            },
        ),
    ],
)
def test_usage_that_was_not_reported_is_unknown_and_not_0(usage, there):
    assert answered([text("Hi")], usage=usage)["usage"] == there


def test_the_service_tier_is_told_where_openai_has_it():
    assert answered([], usage={**USAGE, "service_tier": "priority"})["service_tier"] == "priority"
    assert answered([], usage={**USAGE, "service_tier": "standard"})["service_tier"] == "default"
    assert "service_tier" not in answered([], usage={**USAGE, "service_tier": "batch"})


@pytest.mark.parametrize("other", [{}, {"content": "Hi"}, {"type": "error", "error": {}}, [], None, "x", 5])
def test_what_is_no_message_is_a_value_error(other):
    with pytest.raises(ValueError, match="not a message"):
        call({"model": "m", "messages": HELLO})[0].answer(other)


# --- Errors -----------------------------------------------------------------------------------------------


def error(status, kind, message):
    translation = call({"model": "m", "messages": HELLO})[0]
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return translation.error(status, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "kind", "message", "there", "code"),
    [
        (400, "invalid_request_error", "max_tokens: too large", 400, "invalid_request_error"),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 9 tokens > 8 maximum",
            400,
            "context_length_exceeded",
        ),
        (
            400,
            "invalid_request_error",
            "`max_tokens` exceed context limit: 1 + 2 > 2",
            400,
            "context_length_exceeded",
        ),
        (
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the API",
            400,
            "insufficient_quota",
        ),
        (401, "authentication_error", "invalid x-api-key", 401, "invalid_api_key"),
        (402, "billing_error", "Pay first", 402, "insufficient_quota"),
        (403, "permission_error", "Not yours", 403, "permission_error"),
        (404, "not_found_error", "model: claude-99", 404, "model_not_found"),
        (404, "not_found_error", "file_1 not found", 404, "not_found_error"),
        (413, "request_too_large", "Too large", 413, "request_too_large"),
        (429, "rate_limit_error", "Slow down", 429, "rate_limit_exceeded"),
        (500, "api_error", "Internal server error", 500, "api_error"),
        (504, "timeout_error", "Too long", 504, "timeout_error"),
        (529, "overloaded_error", "Overloaded", 503, "overloaded_error"),
    ],
)
def test_errors_keep_their_status_and_type_and_have_openais_code(status, kind, message, there, code):
    got, body = error(status, kind, message)
    assert (got, json.loads(body)) == (
        there,
        {"error": {"message": message, "type": kind, "param": None, "code": code}},
    )


@pytest.mark.parametrize(
    "body", [b"<html>Bad gateway</html>", b"", b"[]", b'{"error": "x"}', b"\xff\xfe", b"{" * 9999]
)
def test_an_answer_that_is_no_error_of_anthropics_is_one_of_openais(body):
    status, there = call({"model": "m", "messages": HELLO})[0].error(502, body)
    assert (status, json.loads(there)["error"]["type"]) == (502, "api_error")
    assert len(there) < 8000


# --- Headers ----------------------------------------------------------------------------------------------


def headers(*raw):
    return dict(call({"model": "m", "messages": HELLO})[0].answer_headers(list(raw)))


def test_limits_stand_under_openais_names():
    there = headers(
        (b"anthropic-ratelimit-requests-limit", b"50"),
        (b"anthropic-ratelimit-requests-remaining", b"49"),
        (b"anthropic-ratelimit-requests-reset", b"2026-09-21T14:14:20Z"),
        (b"anthropic-ratelimit-tokens-remaining", b"1000"),
        (b"anthropic-ratelimit-tokens-reset", b"2026-09-21T14:13:00Z"),
        (b"anthropic-ratelimit-input-tokens-limit", b"7"),
        (b"retry-after", b"12"),
        (b"request-id", b"req_1"),
    )
    assert there[b"x-ratelimit-limit-requests"] == b"50"
    assert there[b"x-ratelimit-remaining-requests"] == b"49"
    assert there[b"x-ratelimit-reset-requests"] == b"60s"
    assert there[b"x-ratelimit-remaining-tokens"] == b"1000"
    assert there[b"x-ratelimit-reset-tokens"] == b"0s"
    assert (there[b"x-request-id"], b"request-id" in there) == (b"req_1", False)
    assert b"anthropic-ratelimit-requests-limit" not in there
    assert (there[b"retry-after"], there[b"anthropic-ratelimit-input-tokens-limit"]) == (b"12", b"7")


@pytest.mark.parametrize("reset", [b"soon", b"", b"\xff", b"2026-99-99T00:00:00Z", b"12"])
def test_a_reset_that_can_not_be_read_is_left_out(reset):
    assert headers((b"anthropic-ratelimit-tokens-reset", reset)) == {}
