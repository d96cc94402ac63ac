"""Plain answers, errors, headers and estimates for a client of Anthropic's."""

import json
from datetime import UTC, datetime

import pytest
from gateway.translate.claude import asked_translation, parsed, translation
from lessllm_gateway.translate.messages_to_chat.count import estimated_tokens
from lessllm_gateway.translate.messages_to_chat.headers import anthropic_headers
from lessllm_gateway.translate.messages_to_chat.ids import for_client, for_upstream

CALLS = [
    {
        "id": f"call_{name}",
        "type": "function",
        "function": {"name": "get_weather", "arguments": json.dumps({"city": name})},
    }
    for name in ("Berlin", "Oslo")
]


def completion(message, finish="stop", **more):
    choice = {
        "index": 0,
        "message": {"role": "assistant", **message},
        "finish_reason": finish,
        "logprobs": None,
    }
    counts = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o",
        "choices": [choice],
        "usage": counts,
        **more,
    }


def answered(message, finish="stop", asked=None, **more):
    return parsed(asked_translation(asked).answer(completion(message, finish, **more)))


def test_text():
    message = answered({"content": "Hi", "refusal": None}, service_tier="default")
    assert (message.id, message.type, message.role, message.model) == (
        "chatcmpl-1",
        "message",
        "assistant",
        "gpt-4o",
    )
    assert [block.to_dict() for block in message.content] == [{"type": "text", "text": "Hi"}]
    assert (message.stop_reason, message.usage.service_tier) == ("end_turn", "standard")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (10, 2)
    assert (message.usage.cache_read_input_tokens, message.usage.cache_creation_input_tokens) == (None, None)


def test_thinking_text_and_calls():
    message = answered({"content": "I look.", "reasoning_content": "Hm.", "tool_calls": CALLS}, "tool_calls")
    thinking, text, *calls = message.content
    assert (thinking.thinking, bool(thinking.signature), text.text) == ("Hm.", True, "I look.")
    assert [(b.id, b.name, b.input) for b in calls] == [
        ("call_Berlin", "get_weather", {"city": "Berlin"}),
        ("call_Oslo", "get_weather", {"city": "Oslo"}),
    ]
    assert message.stop_reason == "tool_use"
    hidden = answered({"content": "4", "reasoning_content": "Hm."}, asked={"thinking": {"type": "disabled"}})
    assert [block.type for block in hidden.content] == ["text"]


@pytest.mark.parametrize("arguments", ["", "null", None, "{}", {}])
def test_a_call_without_arguments_has_an_empty_input(arguments):
    call = {"id": "a", "function": {"name": "now", "arguments": arguments}}
    assert answered({"content": None, "tool_calls": [call]}).content[0].input == {}


@pytest.mark.parametrize("arguments", ["[1]", "{broken", '"text"'])
def test_arguments_that_are_no_object_are_shown_to_the_client_all_the_same(arguments):
    call = {"id": "a", "function": {"name": "now", "arguments": arguments}}
    assert answered({"content": None, "tool_calls": [call]}).content[0].input == {
        "invalid_arguments": arguments
    }


def test_a_refusal():
    message = answered({"content": None, "refusal": "I can't."})
    assert (message.content[0].text, message.stop_reason, message.stop_details.type) == (
        "I can't.",
        "refusal",
        "refusal",
    )
    assert answered({"content": ""}, "content_filter").stop_reason == "refusal"


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
            },
            (10, 60, 30, 5),
        ),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 5,
                "prompt_cache_hit_tokens": 60,
                "prompt_cache_miss_tokens": 40,
            },
            (40, 60, None, 5),
        ),
        ({"prompt_tokens": 100, "completion_tokens": 5, "num_cached_tokens": 60}, (40, 60, None, 5)),
        ({"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": None}, (100, None, None, 5)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 22,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            (10, None, None, 12),
        ),
    ],
    ids=["openai", "deepseek", "mistral", "nothing-of-a-cache", "xai"],
)
def test_tokens_are_in_disjoint_parts_and_what_was_not_reported_is_null(usage, counts):
    found = answered({"content": "Hi"}, usage=usage).usage
    assert (
        found.input_tokens,
        found.cache_read_input_tokens,
        found.cache_creation_input_tokens,
        found.output_tokens,
    ) == counts


def test_llama_cpps_cache_is_in_its_timings():
    assert answered({"content": "Hi"}, timings={"cache_n": 6}).usage.cache_read_input_tokens == 6


@pytest.mark.parametrize(
    "body", [{}, {"choices": []}, {"choices": [{}]}, {"choices": "x"}, {"choices": [{"message": "x"}]}]
)
def test_what_is_no_completion_is_said_so(body):
    with pytest.raises(ValueError, match="not a chat completion"):
        asked_translation().answer(body)


# --- Errors ------------------------------------------------------------------------------------------------


def openai_error(message="no", kind="x", code=None):
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "theirs", "kind"),
    [
        (400, openai_error(), 400, "invalid_request_error"),
        (401, openai_error(), 401, "authentication_error"),
        (402, openai_error(), 402, "billing_error"),  # DeepSeek
        (403, openai_error(), 403, "permission_error"),
        (404, openai_error(), 404, "not_found_error"),
        (413, openai_error(), 413, "request_too_large"),
        (422, {"detail": [{"msg": "x"}]}, 400, "invalid_request_error"),
        (429, openai_error(kind="tokens", code="rate_limit_exceeded"), 429, "rate_limit_error"),
        (429, openai_error(kind="insufficient_quota", code="insufficient_quota"), 402, "billing_error"),
        (500, openai_error(), 500, "api_error"),
        (502, b"<html>", 502, "api_error"),
        (503, openai_error(), 529, "overloaded_error"),
        (504, b"", 504, "timeout_error"),
        (418, openai_error(), 418, "invalid_request_error"),
        (400, [openai_error()], 400, "invalid_request_error"),  # Gemini
        (
            400,
            {"object": "error", "message": "no", "type": "BadRequestError", "code": 400},
            400,
            "invalid_request_error",
        ),  # vLLM
        (404, {"error": "no"}, 404, "not_found_error"),  # Ollama
    ],
)
def test_errors_have_anthropics_status_and_type(status, body, theirs, kind):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    got, answer = translation().error(status, data)
    error = json.loads(answer)
    assert (got, error["type"], error["error"]["type"]) == (theirs, "error", kind)
    assert error["error"]["message"]
    if b"msg" in data:
        assert error["error"]["message"] == '[{"msg":"x"}]'
    if b'"no"' in data:
        assert error["error"]["message"] == "no"


LIMIT = "This model's maximum context length is 128000 tokens"
IN_ALL = f"{LIMIT}. However, your messages resulted in 130000 tokens."
IN_PARTS = f"{LIMIT}. However, you requested 131000 tokens (130000 in the messages, 1000 in the completion)."
VLLM = (
    f"'max_tokens' or 'max_completion_tokens' is too large: 64000. {LIMIT} and your request has 70000 input"
    " tokens (64000 > 128000 - 70000)."
)
TOO_MUCH = f"{LIMIT}. However, you requested 134000 tokens (70000 in the messages, 64000 in the completion)."


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        (IN_ALL, "context_length_exceeded", "prompt is too long: 130000 tokens > 128000 maximum; "),
        (IN_PARTS, None, "prompt is too long: 130000 tokens > 128000 maximum; "),
        ("the request exceeds the available context size, try increasing it", None, "prompt is too long: "),
        ("Range of input length: too many tokens", None, "prompt is too long: "),
        ("nope", "context_length_exceeded", "prompt is too long: "),
        (VLLM, None, "input length and `max_tokens` exceed context limit: 70000 + 64000 > 128000, "),
        (TOO_MUCH, None, "input length and `max_tokens` exceed context limit: 70000 + 64000 > 128000, "),
        ("max_tokens is too large: 64000. This model supports at most 16384 completion tokens.", None, ""),
    ],
)
def test_a_prompt_that_is_too_long_is_said_in_the_words_that_agents_act_upon(message, code, words):
    error = openai_error(message, "invalid_request_error", code)
    status, answer = translation().error(400, json.dumps(error).encode())
    said = json.loads(answer)["error"]["message"]
    assert status == 400
    assert said.startswith(words or message)
    assert said.endswith(message)


def test_an_error_is_no_longer_than_needed():
    assert len(translation().error(500, b"x" * 100_000)[1]) < 3000


# --- Headers -----------------------------------------------------------------------------------------------


def test_rate_limits_and_the_request_id_have_anthropics_names():
    now = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
    raw = [
        (b"x-ratelimit-limit-requests", b"500"),
        (b"x-ratelimit-remaining-tokens", b"149984"),
        (b"x-ratelimit-reset-requests", b"1h2m3s"),
        (b"x-ratelimit-reset-tokens", b"120ms"),
        (b"x-request-id", b"req_1"),
        (b"retry-after", b"7"),
    ]
    assert anthropic_headers(raw, now) == [
        (b"anthropic-ratelimit-requests-limit", b"500"),
        (b"anthropic-ratelimit-tokens-remaining", b"149984"),
        (b"anthropic-ratelimit-requests-reset", b"2026-11-25T13:02:03Z"),
        (b"anthropic-ratelimit-tokens-reset", b"2026-11-25T12:00:00Z"),
        (b"request-id", b"req_1"),
        (b"retry-after", b"7"),
    ]


@pytest.mark.parametrize("value", [b"", b"soon", b"1.2.3s", b"9" * 400 + b"s", b"\xff"])
def test_a_time_that_can_not_be_read_is_left_out(value):
    assert anthropic_headers([(b"x-ratelimit-reset-tokens", value)], datetime.now(UTC)) == []


# --- Ids ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upstream_id", ["call_abc", "functions.get_weather:0", "a b/ü", "x" * 40])
def test_an_upstreams_id_comes_back_to_it_as_it_was(upstream_id):
    for signature in ("", "c2ln+/8="):
        client_id = for_client(upstream_id, signature)
        assert client_id.replace("_", "").replace("-", "").isalnum()
        assert client_id.isascii()
        assert for_upstream(client_id, ".{1,40}") == (upstream_id, signature)


@pytest.mark.parametrize("client_id", ["toolu_lls_", "toolu_lls_x", "toolu_lls_e30", "toolu_lls_" + "A" * 50])
def test_a_clients_id_that_looks_like_ours_is_an_id(client_id):
    upstream_id, signature = for_upstream(client_id, ".{1,100}")
    assert (upstream_id, signature) == (client_id, "")
    assert for_upstream(for_client(client_id), ".{1,100}") == (client_id, "")
    packed = for_client("a b")
    assert for_upstream(for_client(packed), ".{1,100}") == (packed, "")


# --- Estimates ---------------------------------------------------------------------------------------------


def test_an_estimate_grows_with_everything_that_the_model_reads():
    def of(**asked):
        return estimated_tokens({"messages": [{"role": "user", "content": "Hello"}], **asked})

    def of_block(block):
        return of(messages=[{"role": "user", "content": [block]}])

    base = of()
    assert 5 <= base <= 12
    assert of(system="x" * 400) == base + 80
    assert of(system="1" * 400) == base + 200
    assert of(system="字" * 400) == base + 300
    assert of(tools=[{"name": "n", "description": "x" * 400, "input_schema": {"type": "object"}}]) > base + 80
    assert of_block({"type": "text", "text": "x" * 400}) > base + 70
    assert of_block({"type": "image", "source": {"type": "base64", "data": "x" * 10**6}}) > 1500
    assert 2000 < of_block({"type": "document", "source": {"type": "base64", "data": "x" * 10**5}}) < 3000
    assert of_block({"type": "tool_result", "tool_use_id": "a", "content": "x" * 400}) > base + 70
    assert of_block({"type": "tool_result", "content": [{"type": "text", "text": "x" * 400}]}) > base + 70
    assert of_block({"type": "tool_use", "id": "a", "name": "n", "input": {"a": "x" * 400}}) > base + 70
