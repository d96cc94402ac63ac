"""A chat stream as a stream of Anthropic's events: chunk sequences as providers send them, and the SDK."""

import json

import anthropic
import pytest
from gateway.translate.claude import (
    asked_translation,
    assert_order,
    call,
    chunk,
    events_of,
    final,
    kinds,
    messages,
    sent,
    stream,
    translated,
    usage,
)
from lessllm_gateway.translate.messages_to_chat.thinking import SIGNATURE

HELLO = (
    chunk({"role": "assistant", "content": "", "refusal": None}),
    chunk({"content": "Hi "}),
    chunk({"content": "there"}),
)
BERLIN, OSLO = '{"city": "Berlin"}', '{"city": "Oslo"}'


def test_text_is_a_block_between_the_messages_begin_and_end():
    events = events_of(translated(stream(*HELLO, chunk({}, "stop"), usage(10, 2))))
    assert kinds(events) == [
        "message_start",
        "start 0 text",
        "delta 0 text_delta",
        "delta 0 text_delta",
        "stop 0",
        "message_delta",
        "message_stop",
    ]
    start, last = events[0]["message"], events[-2]
    assert (start["id"], start["model"], start["role"]) == ("chatcmpl-1", "gpt-4o-2024-08-06", "assistant")
    assert last["delta"] == {"stop_reason": "end_turn", "stop_sequence": None, "stop_details": None}
    message = final(translated(stream(*HELLO, chunk({}, "stop"), usage(10, 2))))
    assert [block.text for block in message.content] == ["Hi there"]
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == (
        "end_turn",
        10,
        2,
    )


def test_usage_of_a_last_chunk_without_choices_reaches_the_message_with_its_cache_figures():
    details = {"cached_tokens": 6, "cache_write_tokens": 3}
    last = usage(10, 5, prompt_tokens_details=details, completion_tokens_details={"reasoning_tokens": 4})
    found = final(translated(stream(*HELLO, chunk({}, "stop"), last))).usage
    assert (found.input_tokens, found.cache_read_input_tokens, found.cache_creation_input_tokens) == (1, 6, 3)
    assert (found.output_tokens, found.output_tokens_details.thinking_tokens) == (5, 4)


@pytest.mark.parametrize(
    "chunks",
    [
        (*HELLO, chunk({}, "stop", usage={"prompt_tokens": 10, "completion_tokens": 2})),
        (*HELLO, chunk({}, "stop", x_groq={"usage": {"prompt_tokens": 10, "completion_tokens": 2}})),
        (
            *HELLO[:1],
            *(chunk({"content": "x"}, usage={"prompt_tokens": 10, "completion_tokens": n}) for n in (1, 2)),
            chunk({}, "stop"),
        ),
        (
            *HELLO,
            chunk({})
            | {
                "choices": [
                    {
                        "index": 0,
                        "delta": {},
                        "finish_reason": "stop",
                        "usage": {"prompt_tokens": 10, "completion_tokens": 2},
                    }
                ]
            },
        ),
    ],
    ids=["with-the-finish", "groq", "in-every-chunk", "kimi"],
)
def test_usage_is_found_where_providers_put_it(chunks):
    found = final(translated(stream(*chunks))).usage
    assert (found.input_tokens, found.output_tokens) == (10, 2)
    assert found.cache_read_input_tokens is None


def test_a_stream_begins_with_an_estimate_of_its_prompt_as_agents_show_it_while_it_runs():
    it = asked_translation({"messages": [{"role": "user", "content": "x" * 4000}]})
    start = events_of(translated(stream(*HELLO, chunk({}, "stop"), usage(900, 2)), it))[0]
    assert 800 <= start["message"]["usage"]["input_tokens"] <= 820


def test_calls_that_come_one_after_the_other_leave_as_they_come():
    chunks = [
        chunk({"role": "assistant", "content": None}),
        chunk(call(0, "", id="call_1", type="function", name="get_weather")),
        *(chunk(call(0, piece)) for piece in ('{"ci', 'ty": "Ber', 'lin"}')),
        chunk(call(1, "", id="call_2", type="function", name="get_weather")),
        chunk(call(1, OSLO)),
        chunk({}, "tool_calls"),
        usage(10, 20),
    ]
    transform = asked_translation().stream()
    got = [kinds(events_of(transform.feed(stream(item, done=False)))) for item in chunks]
    assert got == [
        ["message_start"],
        ["start 0 tool_use"],
        ["delta 0 input_json_delta"],
        ["delta 0 input_json_delta"],
        ["delta 0 input_json_delta"],
        ["stop 0", "start 1 tool_use"],
        ["delta 1 input_json_delta"],
        [],
        [],
    ]
    message = final(translated(stream(*chunks)))
    assert [(b.type, b.id, b.name, b.input) for b in message.content] == [
        ("tool_use", "call_1", "get_weather", {"city": "Berlin"}),
        ("tool_use", "call_2", "get_weather", {"city": "Oslo"}),
    ]
    assert message.stop_reason == "tool_use"


def test_parallel_calls_that_are_interleaved_come_out_one_after_the_other():
    """praxis-proxy/ai #266, and others: pieces of one call in another's block."""
    pieces = [(0, '{"city"'), (1, '{"ci'), (0, ': "Ber'), (1, 'ty": "Os'), (0, 'lin"}'), (1, 'lo"}')]
    data = stream(
        chunk({"role": "assistant", "content": "I look."}),
        chunk(
            {
                "tool_calls": [
                    {
                        "index": i,
                        "id": f"call_{i}",
                        "type": "function",
                        "function": {"name": "get", "arguments": ""},
                    }
                    for i in (0, 1)
                ]
            }
        ),
        *(chunk(call(index, piece)) for index, piece in pieces),
        chunk({}, "tool_calls"),
    )
    events = events_of(translated(data))
    assert_order(events)
    text, *calls = final(translated(data)).content
    assert text.text == "I look."
    assert [(b.id, b.input) for b in calls] == [("call_0", {"city": "Berlin"}), ("call_1", {"city": "Oslo"})]


@pytest.mark.parametrize(
    "deltas",
    [
        [call(0, BERLIN, id="a", name="get"), call(0, OSLO, id="b", name="get")],
        [call(None, BERLIN, id="a", name="get"), call(None, OSLO, id="b", name="get")],
        [call(0, BERLIN, id="a", name="get"), call(1, OSLO, id="b", name="get")],
        [
            {
                "tool_calls": call(0, BERLIN, id="a", name="get")["tool_calls"]
                + call(1, OSLO, id="b", name="get")["tool_calls"]
            }
        ],
        [
            call(0, BERLIN, id="a", name="get"),
            call(0, BERLIN, id="a", name="get"),
            call(1, OSLO, id="b", name="get"),
        ],
        [call(0, None, id="a"), call(0, "", name="get"), call(0, BERLIN), call(1, OSLO, id="b", name="get")],
        [call(0, BERLIN, id="a", name="get"), call(0, "", id="", name=""), call(1, OSLO, id="b", name="get")],
    ],
    ids=[
        "all-numbered-0",
        "not-numbered",
        "whole",
        "in-one-chunk",
        "repeated",
        "name-later",
        "empty-after-the-end",
    ],
)
def test_calls_are_told_apart_as_servers_number_them(deltas):
    data = stream(chunk({"role": "assistant"}), *(chunk(delta) for delta in deltas), chunk({}, "tool_calls"))
    events = events_of(translated(data))
    assert_order(events)
    message = final(translated(data))
    assert [(b.id, b.name, b.input) for b in message.content] == [
        ("a", "get", {"city": "Berlin"}),
        ("b", "get", {"city": "Oslo"}),
    ]


def test_calls_without_ids_get_some_and_a_name_after_whole_arguments_is_another_call():
    data = stream(chunk(call(0, BERLIN, name="get")), chunk(call(0, OSLO, name="get")), chunk({}, "stop"))
    message = final_without_ids(data)
    assert [b.input["city"] for b in message.content] == ["Berlin", "Oslo"]
    assert len({b.id for b in message.content}) == 2
    assert all(b.id.startswith("toolu_") for b in message.content)
    assert message.stop_reason == "tool_use"  # Ollama and others say "stop"


def final_without_ids(data):
    return messages(translated(data))[0]


@pytest.mark.parametrize(
    ("pieces", "given"),
    [
        ([], {}),
        ([""], {}),
        (["null"], {}),
        ([" ", "{", "}"], {}),
        (['{"a": "}', "\\", '"', '{"}', "junk"], {"a": '}"{'}),
        (['{"a": [1, {"b": 2}]}', '{"a": 3}'], {"a": [1, {"b": 2}]}),
        (["Ber", "lin"], {"invalid_arguments": "Berlin"}),
        (["[1]"], {"invalid_arguments": "[1]"}),
    ],
)
def test_a_tools_input_is_an_object_whatever_the_arguments_are(pieces, given):
    deltas = [call(0, id="a", name="get"), *(call(0, piece) for piece in pieces)]
    data = stream(*(chunk(delta) for delta in deltas), chunk({}, "tool_calls"))
    out = translated(data)
    assert final(out).content[0].input == given
    deltas = [event["delta"] for event in events_of(out) if event["type"] == "content_block_delta"]
    assert json.loads("".join(delta["partial_json"] for delta in deltas) or "{}") == given  # as it stands


def test_arguments_that_are_an_object_already_are_taken():
    delta = {
        "tool_calls": [{"index": 0, "id": "a", "function": {"name": "get", "arguments": {"city": "Rome"}}}]
    }
    assert final(translated(stream(chunk(delta), chunk({}, "stop")))).content[0].input == {"city": "Rome"}


def test_a_call_that_is_cut_off_by_the_limit_is_as_long_as_it_came():
    data = stream(chunk(call(0, '{"city": "Berlin", "day": "to', id="a", name="get")), chunk({}, "length"))
    message = final(translated(data))
    assert (message.stop_reason, message.content[0].input) == ("max_tokens", {"city": "Berlin"})


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "both", "parts"])
def test_reasoning_is_a_thinking_block_with_a_signature_before_the_text(name):
    def thinks(text):
        if name == "parts":  # Mistral
            return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}
        return {"reasoning_content": text, "reasoning": text} if name == "both" else {name: text}

    data = stream(
        chunk({"role": "assistant", "content": ""}),
        chunk(thinks("Hm, ")),
        chunk(thinks("well.")),
        chunk({"content": "42", "reasoning_content": None}),
        chunk({}, "stop"),
    )
    events = events_of(translated(data))
    assert kinds(events) == [
        "message_start",
        "start 0 thinking",
        "delta 0 thinking_delta",
        "delta 0 thinking_delta",
        "delta 0 signature_delta",
        "stop 0",
        "start 1 text",
        "delta 1 text_delta",
        "stop 1",
        "message_delta",
        "message_stop",
    ]
    thinking, text = final(translated(data)).content
    assert (thinking.thinking, thinking.signature, text.text) == ("Hm, well.", SIGNATURE, "42")


def test_who_wants_no_thinking_sees_none():
    it = asked_translation({"thinking": {"type": "disabled"}})
    data = stream(chunk({"reasoning_content": "Hm."}), chunk({"content": "42"}), chunk({}, "stop"))
    assert [block.type for block in final(translated(data, it)).content] == ["text"]


def test_blank_text_before_a_call_is_no_block_as_anthropic_refuses_it_in_a_history():
    data = stream(
        chunk({"content": "\n\n"}), chunk(call(0, BERLIN, id="a", name="get")), chunk({}, "tool_calls")
    )
    assert [block.type for block in final(translated(data)).content] == ["tool_use"]
    data = stream(chunk({"content": "\n\n"}), chunk({"content": "Hi"}), chunk({}, "stop"))
    assert final(translated(data)).content[0].text == "\n\nHi"


@pytest.mark.parametrize(
    ("choice", "reason", "sequence"),
    [
        ({"finish_reason": "stop"}, "end_turn", None),
        ({"finish_reason": "length"}, "max_tokens", None),
        ({"finish_reason": "content_filter"}, "refusal", None),
        ({"finish_reason": "model_length"}, "model_context_window_exceeded", None),
        ({"finish_reason": "stop", "stop_reason": "END"}, "stop_sequence", "END"),  # vLLM
        ({"finish_reason": "stop", "stop_reason": 128009}, "end_turn", None),
        ({"finish_reason": "stop", "matched_stop": "END"}, "stop_sequence", "END"),  # SGLang
        ({"finish_reason": "something new"}, "end_turn", None),
    ],
)
def test_why_it_ended(choice, reason, sequence):
    last = chunk() | {"choices": [{"index": 0, "delta": {}, **choice}]}
    message = final(translated(stream(*HELLO, last)))
    assert (message.stop_reason, message.stop_sequence) == (reason, sequence)
    assert (message.stop_details is not None) == (reason == "refusal")


def test_a_refusal_is_text_and_the_reason():
    data = stream(
        chunk({"role": "assistant"}),
        chunk({"refusal": "I can't "}),
        chunk({"refusal": "do that."}),
        chunk({}, "stop"),
    )
    message = final(translated(data))
    assert (message.content[0].text, message.stop_reason) == ("I can't do that.", "refusal")


def test_azures_first_chunk_is_not_the_messages_begin():
    first = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []}
    events = events_of(translated(stream(first, *HELLO, chunk({}, "stop"))))
    assert events[0]["message"]["id"] == "chatcmpl-1"
    assert_order(events)


def test_a_stream_without_its_terminator_is_whole_if_it_said_why_it_ended():
    events = events_of(translated(stream(*HELLO, chunk({}, "stop"), usage(10, 2), done=False)))
    assert_order(events)
    assert events[-2]["usage"]["input_tokens"] == 10


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_a_stream_that_is_cut_off_ends_with_an_error_and_never_as_if_it_were_whole(cut):
    data = translated(stream(*HELLO[:cut], done=False))
    events = events_of(data)
    assert events[-1] == {
        "type": "error",
        "error": {"type": "api_error", "message": "the upstream's answer broke off"},
    }
    assert "message_stop" not in [event["type"] for event in events]
    with pytest.raises(anthropic.APIStatusError, match="broke off"):
        messages(data)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error": {"message": "no", "type": "server_error", "code": None}}, "api_error"),
        ({"error": {"message": "no", "type": "rate_limit_exceeded"}}, "rate_limit_error"),
        ({"error": {"message": "no", "code": 429}}, "rate_limit_error"),  # OpenRouter
        ({"error": {"message": "no", "code": 502}, "choices": []}, "api_error"),
        (
            {"object": "error", "message": "no", "type": "BadRequestError", "code": 400},
            "invalid_request_error",
        ),
        ({"error": "no"}, "api_error"),
    ],
)
def test_an_error_in_the_stream_is_an_error_event_and_the_last(error, kind):
    data = translated(stream(*HELLO, error, chunk({"content": "more"}), chunk({}, "stop")))
    events = events_of(data)
    assert events[-1] == {"type": "error", "error": {"type": kind, "message": "no"}}
    assert [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"] == [
        "Hi ",
        "there",
    ]
    with pytest.raises(anthropic.APIStatusError, match="no"):
        messages(data)


@pytest.mark.parametrize("reason", ["insufficient_system_resource", "error"])
def test_a_finish_that_is_a_failure_is_an_error(reason):
    events = events_of(translated(stream(*HELLO, chunk({}, reason))))
    assert events[-1]["type"] == "error"
    assert reason in events[-1]["error"]["message"]


def test_comments_that_keep_the_connection_open_become_pings():
    data = (
        b": OPENROUTER PROCESSING\n\n"
        + stream(*HELLO[:2], done=False)
        + b": x\n\n"
        + stream(chunk({}, "stop"))
    )
    events = events_of(translated(data))
    assert [event["type"] for event in events].count("ping") == 2
    assert_order(events)
    assert final(translated(data)).content[0].text == "Hi "


def test_geminis_signature_comes_back_with_the_call_it_belongs_to():
    extra = {"google": {"thought_signature": "c2ln+/8="}}
    delta = call(0, BERLIN, id="function-call-123", type="function", name="get", extra_content=extra)
    block = final(translated(stream(chunk(delta), chunk({}, "stop")))).content[0]
    history = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": [block.model_dump()]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": block.id, "content": "21"}]},
    ]
    _, said, result = sent({"messages": history}, "gemini-3-pro", "gemini")["messages"]
    assert said["tool_calls"][0]["extra_content"] == extra
    assert said["tool_calls"][0]["id"] == result["tool_call_id"] == "function-call-123"


def test_a_name_that_was_shortened_is_the_clients_again():
    name = "mcp__plugin_youtube-analytics__get_video_enhanced_transcript_of_a_channel"
    it = asked_translation({"tools": [{"name": name, "input_schema": {"type": "object"}}]})
    tool = sent({"tools": [{"name": name, "input_schema": {"type": "object"}}]})["tools"][0]["function"]
    assert len(tool["name"]) <= 64
    data = stream(chunk(call(0, "{}", id="a", name=tool["name"])), chunk({}, "stop"))
    assert final(translated(data, it)).content[0].name == name


def test_what_is_no_chunk_is_passed_over():
    data = b"data: {broken\n\ndata: 7\n\nevent: x\n\n" + stream(*HELLO, {"foo": 1}, chunk({}, "stop"))
    assert final(translated(data)).content[0].text == "Hi there"


def test_what_openrouter_wants_back_of_reasoning_returns_to_the_model_that_said_it():
    """musistudio/claude-code-router #1057: Gemini by OpenRouter refuses calls without it."""
    said = [
        {"reasoning": "Hm, ", "reasoning_details": [{"type": "reasoning.text", "text": "Hm, ", "index": 0}]},
        {
            "reasoning": "well.",
            "reasoning_details": [{"type": "reasoning.text", "text": "well.", "index": 0}],
        },
        {"content": "I look."},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "c2ln", "id": "a", "index": 1}]},
        call(0, BERLIN, id="a", name="get"),
    ]
    data = stream(*(chunk(delta) for delta in said), chunk({}, "tool_calls"))
    it = asked_translation(model="google/gemini-3-pro", provider="openrouter")
    message = final(translated(data, it))
    assert [block.type for block in message.content] == ["thinking", "text", "thinking", "tool_use"]
    history = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": [block.to_dict() for block in message.content]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "21"}]},
    ]
    again = sent({"messages": history}, "google/gemini-3-pro", "openrouter")["messages"][1]
    assert again["reasoning_details"] == [
        {"type": "reasoning.text", "text": "Hm, well.", "index": 0},
        {"type": "reasoning.encrypted", "data": "c2ln", "id": "a", "index": 1},
    ]
    assert "reasoning_content" not in again
    other = sent({"messages": history}, "qwen/qwen3", "openrouter")["messages"][1]
    assert (other.get("reasoning_details"), other["reasoning_content"]) == (None, "Hm, well.")
