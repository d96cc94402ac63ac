"""Event sequences as Anthropic documents them become chat streams, and OpenAI's SDK reads each of them.

Where a known bug of another gateway is held off, its number stands at the test.
"""

import json

import httpx2
import openai
import pytest
from gateway.translate import asking_claude
from gateway.translate.asking_claude import (
    FORMAT,
    HELLO,
    MODEL,
    NOW_UNIX_S,
    SCHEMA,
    WEATHER,
    called,
    chunks,
    closed,
    delta,
    deltas,
    ended,
    opened,
    result,
    said,
    start,
    streamed,
    thought,
    turns,
    wire,
)
from openai.lib.streaming.chat import ContentDoneEvent, FunctionToolCallArgumentsDoneEvent

PING = {"type": "ping"}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
TEXT = wire(start(), *said(0, "Hello", "!"), *ended())
CALL = wire(
    start(),
    *said(0, "Okay", ", let's check:"),
    *called(1, "toolu_1", "get_weather", '{"location":', ' "San', " Francisc", 'o, CA"}'),
    *ended("tool_use"),
)
CALLS = wire(
    start(),
    *called(0, "toolu_1", "get_weather", '{"city": "Ber', 'lin"}'),
    *called(1, "toolu_2", "now"),
    *called(2, "toolu_3", "get_weather", '{"city": "Oslo"}'),
    *ended("tool_use"),
)
THINKING = wire(
    start(),
    *thought(0, "sig1", "I need", " to think."),
    opened(1, "redacted_thinking", data="gAAA"),
    closed(1),
    *said(2, "Step one."),
    *thought(3, "sig2", "And more."),
    *called(4, "toolu_1", "get_weather", "{}"),
    *ended("tool_use", {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}),
)
OMITTED = wire(start(), *thought(0, "sig"), *said(1, "42."), *ended())
REFUSED = wire(
    start(),
    *ended(
        "refusal", stop_details={"type": "refusal", "category": "bio", "explanation": "This could do harm."}
    ),
)
SERVER_TOOL = wire(
    start(),
    *said(0, "I'll check."),
    opened(1, "server_tool_use", id="srvtoolu_1", name="web_search", input={}),
    delta(1, "input_json_delta", partial_json='{"query": "weather"}'),
    closed(1),
    opened(2, "web_search_tool_result", tool_use_id="srvtoolu_1", content=[{"type": "web_search_result"}]),
    closed(2),
    *said(3, "Sunny."),
    *ended("pause_turn"),
)
STREAMS = {
    "text": TEXT,
    "call": CALL,
    "calls": CALLS,
    "thinking": THINKING,
    "omitted": OMITTED,
    "refused": REFUSED,
    "server-tool": SERVER_TOOL,
}


def test_text_is_a_stream_as_openai_documents_it():
    *body, usage, done = chunks(streamed(TEXT))
    head = {"id": "msg_1", "created": int(NOW_UNIX_S), "model": MODEL, "object": "chat.completion.chunk"}

    def chunk(brings, reason=None):
        choice = {"index": 0, "delta": brings, "logprobs": None, "finish_reason": reason}
        return {**head, "choices": [choice], "usage": None}

    assert body == [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        chunk({"content": "Hello"}),
        chunk({"content": "!"}),
        chunk({}, "stop"),
    ]
    used = {"prompt_tokens": 10, "completion_tokens": 15, "total_tokens": 25}
    details = {"prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1}}
    assert usage == {**head, "choices": [], "usage": {**used, **details}}
    assert done == "[DONE]"


def test_usage_comes_only_if_it_was_asked_for():
    *body, done = chunks(streamed(TEXT, usage=False))
    assert done == "[DONE]"
    assert not any("usage" in chunk for chunk in body)


def test_usage_that_did_not_come_is_no_chunk():  # message_start's output tokens are a placeholder
    last = chunks(streamed(wire(start(), *said(0, "Hi"), *ended(usage={}))))[-2]
    assert (last["choices"][0]["finish_reason"], last["usage"]) == ("stop", None)


def test_usage_is_what_was_said_last():  # cumulative, and the input tokens may grow with tools
    usage = {"input_tokens": 100, "cache_read_input_tokens": None, "output_tokens": 20}
    used = chunks(streamed(wire(start(), *said(0, "Hi"), *ended(usage=usage))))[-2]["usage"]
    assert (used["prompt_tokens"], used["completion_tokens"]) == (103, 20)


def test_a_tool_call_begins_with_its_name_and_goes_on_by_its_index():
    first, *more = deltas(streamed(CALL))[2:]
    function = {"name": "get_weather", "arguments": ""}
    assert first == {"tool_calls": [{"index": 0, "id": "toolu_1", "type": "function", "function": function}]}
    assert {json.dumps(sorted(d["tool_calls"][0])) for d in more} == {'["function", "index"]'}
    arguments = "".join(d["tool_calls"][0]["function"]["arguments"] for d in more)
    assert json.loads(arguments) == {"location": "San Francisco, CA"}


def test_parallel_calls_have_indices_of_their_own():  # litellm 5231, bifrost 1961
    indices = [call["index"] for d in deltas(streamed(CALLS)) for call in d["tool_calls"]]
    assert indices == [0, 0, 0, 1, 1, 2, 2]


def test_a_call_without_arguments_has_an_empty_object_once():  # litellm 5063, 4537
    arguments = [
        call["function"]["arguments"]
        for d in deltas(streamed(CALLS))
        for call in d["tool_calls"]
        if call["index"] == 1
    ]
    assert arguments == ["", "{}"]


def test_input_that_comes_with_the_start_is_not_lost():
    events = [opened(0, "tool_use", id="t", name="f", input={"a": 1}), closed(0)]
    brings = deltas(streamed(wire(start(), *events, *ended("tool_use"))))
    assert brings[-1] == {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]}


def test_text_that_comes_with_the_start_is_not_lost():
    assert deltas(streamed(wire(start(), opened(0, "text", text="Hi"), *ended()))) == [{"content": "Hi"}]


def test_thinking_goes_beside_the_content_with_its_signatures():
    brings = deltas(streamed(THINKING))
    assert "".join(d.get("reasoning_content", "") for d in brings) == "I need to think.And more."
    entries = [entry for d in brings for entry in d.get("thinking_blocks", ())]
    assert entries[0] == {"index": 0, "type": "thinking", "thinking": ""}
    assert entries[3] == {"index": 0, "signature": "sig1"}
    assert entries[4] == {"index": 1, "type": "redacted_thinking", "data": "gAAA"}
    assert entries[5] == {"index": 2, "type": "thinking", "thinking": "", "text_before": 9}


def test_the_tool_for_the_answer_is_the_answer():
    stream = wire(start(), *called(0, "t", "weather", '{"city": ', '"Berlin"}'), *ended("tool_use"))
    chat = {"model": "m", "messages": HELLO, "response_format": FORMAT, "stream": True}
    out = streamed(stream, chat, model="claude-opus-4-1")
    assert [d["content"] for d in deltas(out)] == ['{"city": ', '"Berlin"}']
    assert chunks(out)[-3]["choices"][0]["finish_reason"] == "stop"


def test_a_refusal_says_what_anthropic_explains():
    out = streamed(REFUSED)
    assert deltas(out) == [{"refusal": "This could do harm."}]
    assert chunks(out)[-3]["choices"][0]["finish_reason"] == "content_filter"


def test_pings_comments_and_what_is_new_are_passed_over():
    between = (b": a comment\n\n", wire(PING), wire({"type": "something_new", "index": 0}), b"event: odd\n\n")
    citation = delta(0, "citations_delta", citation={"type": "char_location"})
    stray = delta(7, "text_delta", text="of no block")
    events = [
        start(),
        *between,
        opened(0, "text", text=""),
        citation,
        stray,
        *said(0, "Hello", "!"),
        closed(9),
    ]
    assert streamed(wire(*events, *ended())) == streamed(TEXT)


def test_a_block_that_is_not_closed_is_closed_by_the_end():
    events = [start(), opened(0, "tool_use", id="t", name="f", input={}), *ended("tool_use")]
    assert deltas(streamed(wire(*events)))[-1] == {
        "tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]
    }


def test_a_block_that_is_not_closed_is_closed_by_the_next_in_its_place():
    events = [start(), opened(0, "tool_use", id="t", name="f", input={}), *said(0, "Hi"), *ended("tool_use")]
    _, arguments, text = deltas(streamed(wire(*events)))
    assert arguments == {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}
    assert text == {"content": "Hi"}


def test_a_delta_that_brings_nothing_is_no_chunk():
    events = [start(), *said(0, "Hello", "", "!"), opened(1, "thinking", thinking="", signature="")]
    brings = deltas(streamed(wire(*events, delta(1, "thinking_delta", thinking=""), closed(1), *ended())))
    assert len(brings) == 3


def test_what_comes_after_the_end_is_no_part_of_it():
    transform = asking_claude.call({"model": "m", "messages": HELLO}, streaming=True)[0].stream()
    assert transform.feed(TEXT) == streamed(TEXT)
    assert (transform.feed(TEXT), transform.finish()) == (b"", b"")
    assert streamed(TEXT + wire(OVERLOADED) + TEXT + b"data: [DONE]\n\n") == streamed(TEXT)


# --- Errors -----------------------------------------------------------------------------------------------


def failure(stream):
    """The error at the end of a chat stream, which nothing follows."""
    *_, last = chunks(stream)
    assert last != "[DONE]"
    assert list(last) == ["error"]
    return last["error"]


def test_an_error_amid_the_stream_is_an_error_event_and_no_clean_end():  # litellm 4562, agent-os 2118
    out = streamed(wire(start(), opened(0, "text", text=""), delta(0, "text_delta", text="Hel"), OVERLOADED))
    assert deltas(out) == [{"content": "Hel"}]
    assert failure(out) == {
        "message": "Overloaded",
        "type": "overloaded_error",
        "param": None,
        "code": "overloaded_error",
    }


def test_an_error_at_once_is_an_error_event():
    assert failure(streamed(wire(OVERLOADED)))["type"] == "overloaded_error"


@pytest.mark.parametrize(
    "events", [[], [start()], [start(), *said(0, "Hi")], [start(), *said(0, "Hi"), ended()[0]]]
)
def test_a_stream_that_breaks_off_is_an_error_event(events):
    assert failure(streamed(wire(*events)))["code"] == "upstream_truncated"


def test_a_spoilt_event_is_an_error_event():
    out = streamed(wire(start(), b'data: {"type": "content_block_st\n\n', *said(0, "Hi"), *ended()))
    assert failure(out)["code"] == "upstream_invalid_answer"


def test_an_event_without_end_is_an_error_event(monkeypatch):
    monkeypatch.setattr("lessllm_shared.sse.MAX_EVENT_BYTES", 1000)
    assert failure(streamed(wire(start()) + b"data: " + b"x" * 2000))["code"] == "upstream_invalid_answer"


def test_blocks_without_end_are_an_error_event():
    events = [opened(index, "text", text="") for index in range(1000)]
    assert failure(streamed(wire(start(), *events, *ended())))["code"] == "upstream_invalid_answer"


# --- OpenAI's SDK -----------------------------------------------------------------------------------------


def serving(stream):
    def answer(request):
        del request
        return httpx2.Response(200, content=stream, headers={"content-type": "text/event-stream"})

    return httpx2.MockTransport(answer)


def sdk(stream):
    client = httpx2.Client(transport=serving(stream))
    return openai.OpenAI(api_key="k", base_url="http://upstream/v1", http_client=client, max_retries=0)


def async_sdk(stream):
    client = httpx2.AsyncClient(transport=serving(stream))
    return openai.AsyncOpenAI(api_key="k", base_url="http://upstream/v1", http_client=client, max_retries=0)


ASKED = {"model": "m", "messages": HELLO, "tools": [WEATHER], "stream_options": {"include_usage": True}}


def seen(completion):
    """What a program goes by."""
    choice = completion.choices[0]
    calls = [
        (c.id, c.function.name, json.loads(c.function.arguments)) for c in choice.message.tool_calls or ()
    ]
    extra = choice.message.model_extra or {}
    thoughts = [
        {name: value for name, value in entry.items() if name != "index"}
        for entry in extra.get("thinking_blocks", ())
    ]
    reasoning = extra.get("reasoning_content")
    return (
        choice.message.content or "",
        choice.message.refusal,
        calls,
        thoughts,
        reasoning,
        choice.finish_reason,
    )


def plain(name):
    """The plain answer to the same message, as the gateway gives it."""
    translation = asking_claude.call({"model": "m", "messages": HELLO})[0]
    from lessllm_gateway.crossing import assemble
    from lessllm_shared.record import ApiFormat
    from openai.types.chat import ChatCompletion

    message = json.loads(assemble(ApiFormat.MESSAGES, STREAMS[name]))
    return ChatCompletion.model_validate(translation.answer(message))


@pytest.mark.parametrize("name", STREAMS)
def test_the_sdk_accumulates_what_the_plain_answer_holds(name):
    with sdk(streamed(STREAMS[name])) as client, client.chat.completions.stream(**ASKED) as stream:
        for _ in stream:
            pass
        completion = stream.current_completion_snapshot  # the final one raises where the answer was cut
    assert seen(completion) == seen(plain(name))
    assert completion.usage == plain(name).usage


@pytest.mark.parametrize("name", STREAMS)
async def test_the_async_sdk_accumulates_what_the_plain_answer_holds(name):
    async with (
        async_sdk(streamed(STREAMS[name])) as client,
        client.chat.completions.stream(**ASKED) as stream,
    ):
        async for _ in stream:
            pass
        completion = stream.current_completion_snapshot
    assert seen(completion) == seen(plain(name))


def test_the_sdks_events_end_each_call_and_each_text_once():
    with sdk(streamed(CALLS)) as client, client.chat.completions.stream(**ASKED) as stream:
        ends = [event for event in stream if isinstance(event, FunctionToolCallArgumentsDoneEvent)]
    assert [(event.index, event.arguments) for event in ends] == [
        (0, '{"city": "Berlin"}'),
        (1, "{}"),
        (2, '{"city": "Oslo"}'),
    ]
    with sdk(streamed(CALL)) as client, client.chat.completions.stream(**ASKED) as stream:
        (text,) = [event.content for event in stream if isinstance(event, ContentDoneEvent)]
    assert text == "Okay, let's check:"


def test_the_sdk_parses_a_structured_answer():
    stream = streamed(wire(start(), *said(0, '{"city": ', '"Berlin"}'), *ended()))
    asked = {
        "model": "m",
        "messages": HELLO,
        "response_format": {"type": "json_schema", "json_schema": {"name": "w", "schema": SCHEMA}},
    }
    with sdk(stream) as client, client.chat.completions.stream(**asked) as events:
        assert json.loads(events.get_final_completion().choices[0].message.content) == {"city": "Berlin"}


@pytest.mark.parametrize(
    "stream", [wire(start(), *said(0, "Hel"), OVERLOADED), wire(start(), *said(0, "Hel"))]
)
def test_the_sdk_raises_what_went_wrong_amid_the_stream(stream):
    with sdk(streamed(stream)) as client, pytest.raises(openai.APIError):
        list(client.chat.completions.create(**ASKED, stream=True))


def test_a_streamed_message_can_be_sent_back_as_it_is():
    with sdk(streamed(THINKING)) as client, client.chat.completions.stream(**ASKED) as stream:
        message = stream.get_final_completion().choices[0].message.model_dump(exclude_unset=True)
    sent = turns(*HELLO, message, result("toolu_1"))[1]["content"]
    assert sent == [
        {"type": "thinking", "thinking": "I need to think.", "signature": "sig1"},
        {"type": "redacted_thinking", "data": "gAAA"},
        {"type": "text", "text": "Step one."},
        {"type": "thinking", "thinking": "And more.", "signature": "sig2"},
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}},
    ]
