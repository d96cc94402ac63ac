"""A chat answer as a response: its items, its end, its usage, what is repeated of the request, and errors."""

import json

import pytest
from gateway.translate.responses import MODEL, answered, chat_messages, completion, translation, wanted
from lessllm_gateway.translate.carried import unpack

CALL = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'}}
USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 7,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


def test_a_text():
    response = answered({"content": "Hello"}, usage=USAGE)
    assert response["object"] == "response"
    assert response["id"].startswith("resp_")
    assert (response["model"], response["created_at"]) == ("m-2026", 1700000000)
    assert (response["status"], response["incomplete_details"], response["error"]) == (
        "completed",
        None,
        None,
    )
    assert response["completed_at"] >= response["created_at"]
    (message,) = response["output"]
    assert message.pop("id").startswith("msg_")
    text = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    assert message == {"type": "message", "status": "completed", "role": "assistant", "content": [text]}


def test_items_are_in_the_order_in_which_a_model_says_them():
    said = {"reasoning_content": "Hm", "content": "Let me look.", "tool_calls": [CALL, {**CALL, "id": "c2"}]}
    output = answered(said, "tool_calls")["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call", "function_call"]
    assert len({item["id"] for item in output}) == 4
    call = output[2]
    assert (call["call_id"], call["name"], call["arguments"]) == ("c1", "get_weather", '{"city":"Rome"}')


def test_thinking_is_shown_as_it_is_or_as_the_summary_that_was_asked_for():
    said = {"reasoning_content": "Hm", "content": "Hello"}
    as_it_is = answered(said)["output"][0]
    assert (as_it_is["summary"], as_it_is["content"]) == ([], [{"type": "reasoning_text", "text": "Hm"}])
    summary = answered(said, asked={"reasoning": {"summary": "auto"}})["output"][0]
    assert (summary["summary"], "content" in summary) == ([{"type": "summary_text", "text": "Hm"}], False)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_what_a_model_thought_can_be_sent_back_under_the_name_it_came_with(name):
    response = answered({name: "Hm", "content": "", "tool_calls": [CALL]})
    items = [{"role": "user", "content": "Hello"}, *response["output"]]
    assert chat_messages(items, wanted(reasoning="kept"))[1] == {
        "role": "assistant",
        "content": None,
        name: "Hm",
        "tool_calls": [CALL],
    }


def test_thinking_blocks_come_back_with_their_signatures():
    blocks = [
        {"type": "thinking", "thinking": "Hm", "signature": "sig", "calls_before": 1},
        {"type": "redacted_thinking", "data": "xyz"},
    ]
    response = answered({"reasoning_content": "Hm", "thinking_blocks": blocks, "content": "Hello"})
    reasoning, message = response["output"]
    assert (reasoning["type"], message["type"]) == ("reasoning", "message")
    assert unpack(reasoning["encrypted_content"], MODEL).message == {"thinking_blocks": blocks}
    assert (
        chat_messages([{"role": "user", "content": "?"}, reasoning, message])[1]["thinking_blocks"] == blocks
    )


def test_thinking_without_a_word_of_it_comes_before_what_was_said():
    blocks = [{"type": "redacted_thinking", "data": "xyz"}]
    response = answered({"thinking_blocks": blocks, "content": "Hello"})
    assert [item["type"] for item in response["output"]] == ["reasoning", "message"]
    assert response["output"][0]["content"] == []


def test_geminis_signature_of_a_call_comes_back_with_it():
    signed = {**CALL, "extra_content": {"google": {"thought_signature": "s"}}}
    response = answered({"tool_calls": [signed]}, "tool_calls")
    assert [item["type"] for item in response["output"]] == ["function_call", "reasoning"]
    result = {"type": "function_call_output", "call_id": "c1", "output": "21 °C"}
    messages = chat_messages([{"role": "user", "content": "?"}, *response["output"], result])
    assert messages[1]["tool_calls"] == [signed]


def test_mistrals_list_of_thinking_and_text():
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}
    reasoning, message = answered({"content": [thinking, {"type": "text", "text": "Hello"}]})["output"]
    assert reasoning["content"][0]["text"] == "Hm"
    assert message["content"][0]["text"] == "Hello"


def test_a_refusal():
    (message,) = answered({"refusal": "I won't."})["output"]
    assert message["content"] == [{"type": "refusal", "refusal": "I won't."}]


def test_sources():
    citation = {"url": "https://x", "title": "X", "start_index": 0, "end_index": 5}
    note = {"type": "url_citation", "url_citation": citation}
    (message,) = answered({"content": "Hello", "annotations": [note]})["output"]
    assert message["content"][0]["annotations"] == [{"type": "url_citation", **citation}]


CUSTOM = {"tools": [{"type": "custom", "name": "patch"}]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [('{"input":"+x"}', "+x"), ('{"input":5}', '{"input":5}'), ('{"inp', '{"inp'), ("+x", "+x"), ("", "")],
)
def test_a_custom_tools_call(arguments, said):
    call = {"id": "c1", "type": "function", "function": {"name": "patch", "arguments": arguments}}
    (item,) = answered({"tool_calls": [call]}, "tool_calls", asked=CUSTOM)["output"]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "patch", said)
    assert (item["call_id"], item["id"][:4]) == ("c1", "ctc_")


def test_calls_without_ids_get_some():
    call = {"function": {"name": "f", "arguments": "{}"}}
    output = answered({"tool_calls": [call, call]})["output"]
    ids = {item["call_id"] for item in output}
    assert len(ids) == 2
    assert all(0 < len(call_id) <= 40 for call_id in ids)


@pytest.mark.parametrize(
    ("finish_reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("function_call", "completed", None),
        (None, "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_how_it_ended(finish_reason, status, details):
    response = answered({"content": "Hello"}, finish_reason)
    assert (response["status"], response["incomplete_details"]) == (status, details)
    assert response["output"][0]["status"] == status
    assert (response["completed_at"] is None) == (status != "completed")


def test_of_several_calls_only_the_last_was_cut_off():
    output = answered({"content": "x", "tool_calls": [CALL, CALL]}, "length")["output"]
    assert [item["status"] for item in output] == ["completed", "completed", "incomplete"]


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        (USAGE, (10, 4, 2, 7, 3, 17)),
        ({"prompt_tokens": 5, "completion_tokens": 2}, (5, 0, 0, 2, 0, 7)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_cache_hit_tokens": 3}, (5, 3, 0, 2, 0, 7)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "cached_tokens": 3}, (5, 3, 0, 2, 0, 7)),
        ({"prompt_tokens": "many", "prompt_tokens_details": 4}, (0, 0, 0, 0, 0, 0)),
    ],
)
def test_usage(reported, usage):
    found = answered({"content": "Hello"}, usage=reported)["usage"]
    read, made = found["input_tokens_details"], found["output_tokens_details"]
    assert (
        found["input_tokens"],
        read["cached_tokens"],
        read["cache_write_tokens"],
        found["output_tokens"],
        made["reasoning_tokens"],
        found["total_tokens"],
    ) == usage


def test_usage_that_was_not_reported_is_unknown():
    assert answered({"content": "Hello"})["usage"] is None
    assert answered({"content": "Hello"}, usage=None)["usage"] is None


def test_the_request_is_repeated_with_the_apis_defaults():
    asked = {
        "instructions": "Be brief.",
        "max_output_tokens": 50,
        "metadata": {"a": "b"},
        "reasoning": {"effort": "low"},
        "text": {"verbosity": "low"},
        "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
        "tool_choice": "required",
        "temperature": 0.2,
        "store": True,
        "user": "ann",
    }
    response = answered({"content": "Hello"}, asked=asked)
    for name in (
        "instructions",
        "max_output_tokens",
        "metadata",
        "tools",
        "tool_choice",
        "temperature",
        "user",
    ):
        assert response[name] == asked[name]
    assert response["reasoning"] == {"effort": "low", "summary": None}
    assert response["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert (response["store"], response["background"], response["previous_response_id"]) == (
        False,
        False,
        None,
    )
    unset = answered({"content": "Hello"})
    assert (unset["tools"], unset["tool_choice"], unset["parallel_tool_calls"]) == ([], "auto", True)
    assert (unset["metadata"], unset["truncation"], unset["top_p"]) == ({}, "disabled", None)


@pytest.mark.parametrize(
    "upstream", [[], {}, {"choices": []}, {"choices": [{}]}, {"choices": [{"message": "Hello"}]}, 5, None]
)
def test_what_is_no_completion_is_an_error(upstream):
    with pytest.raises(ValueError, match="not a chat completion"):
        translation().answer(upstream)


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": {"message": "slow down", "type": "rate_limit", "code": "r"}}, "slow down", "r"),
        ([{"error": {"code": 400, "message": "no", "status": "INVALID"}}], "no", "400"),
        (
            {"object": "error", "message": "too long", "type": "BadRequestError"},
            "too long",
            "BadRequestError",
        ),
        ({"error": "broken"}, "broken", None),
        ({"detail": "Not Found"}, '{"detail": "Not Found"}', None),
        ("<html>", '"<html>"', None),
    ],
)
def test_an_upstreams_error_is_openais(body, message, code):
    status, error = translation().error(429, json.dumps(body).encode())
    assert status == 429
    detail = json.loads(error)["error"]
    assert (detail["message"], detail["code"]) == (message, code)
    assert detail.keys() == {"message", "type", "param", "code"}


def test_an_error_that_is_no_json_is_its_text():
    _, error = translation().error(502, b"Bad \xff Gateway")
    assert json.loads(error)["error"]["message"] == "Bad � Gateway"


def test_several_choices_are_one_answer():
    many = completion({"content": "Hello"})
    many["choices"].append({"index": 1, "message": {"content": "Bye"}})
    assert len(translation().answer(many)["output"]) == 1
