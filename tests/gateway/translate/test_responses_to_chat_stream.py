"""A chat stream as a response's events: in the documented order, and never with an end that it has not."""

import json
import sys

import pytest
from gateway.translate.responses import DONE, answered, chunk, events, streamed, translation, types
from lessllm_gateway.translate.responses_to_chat import stream as stream_module
from lessllm_gateway.translate.responses_to_chat.output import MAX_ITEMS
from lessllm_shared import sse

BEGIN = ["created", "in_progress"]
TEXT = [
    "output_item.added",
    "content_part.added",
    "output_text.delta",
    "output_text.done",
    "content_part.done",
    "output_item.done",
]
FUNCTION = [
    "output_item.added",
    "function_call_arguments.delta",
    "function_call_arguments.done",
    "output_item.done",
]
ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk({}, "stop")
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def call(text, name=None, call_id=None, index=0):
    function = {"arguments": text} | ({"name": name} if name else {})
    entry = {"index": index, "function": function} | ({"id": call_id, "type": "function"} if call_id else {})
    return chunk({"tool_calls": [entry]})


def test_a_text():
    used = b'data: {"choices":[],"usage":%b}\n\n' % json.dumps(USAGE).encode()
    found = streamed(ROLE, chunk({"content": "Hel"}), chunk({"content": "lo"}), STOP, used, DONE)
    assert types(found) == [*BEGIN, *TEXT[:3], *TEXT[2:], "completed"]
    created, _, added, part, one, two, done, part_done, item_done, completed = found
    assert (created["response"]["status"], created["response"]["output"]) == ("in_progress", [])
    assert added["item"]["content"] == []
    assert added["item"]["status"] == "in_progress"
    assert part["part"] == {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    for event in (part, one, two, done, part_done):
        assert (event["item_id"], event["output_index"], event["content_index"]) == (
            added["item"]["id"],
            0,
            0,
        )
    assert (one["delta"], two["delta"], done["text"]) == ("Hel", "lo", "Hello")
    assert part_done["part"]["text"] == "Hello"
    assert item_done["item"]["status"] == "completed"
    response = completed["response"]
    assert response["output"] == [item_done["item"]]
    assert (response["usage"]["input_tokens"], response["usage"]["output_tokens"]) == (3, 2)
    assert len({event["response"]["id"] for event in found if "response" in event}) == 1


def test_thinking_then_text_then_calls():
    found = streamed(
        chunk({"reasoning_content": "Hm"}),
        chunk({"content": "I look."}),
        call("", "get_weather", "c1"),
        call('{"a":1}'),
        call('{"b":2}', "get_time", "c2", index=1),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert types(found) == [
        *BEGIN,
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        *TEXT,
        *FUNCTION[:2],
        *FUNCTION[:2],
        *FUNCTION[2:],
        *FUNCTION[2:],
        "completed",
    ]
    output = found[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call", "function_call"]
    assert [item.get("arguments") for item in output[2:]] == ['{"a":1}', '{"b":2}']
    done = [event for event in found if event["type"] == "response.function_call_arguments.done"]
    assert [(event["name"], event["output_index"]) for event in done] == [("get_weather", 2), ("get_time", 3)]
    ended = {event["output_index"]: event["item"] for event in found if event["type"].endswith("item.done")}
    assert [ended[index] for index in sorted(ended)] == output


def test_thinking_as_a_summary():
    asked = {"reasoning": {"summary": "auto"}}
    found = streamed(chunk({"reasoning_content": "Hm"}), chunk({"content": "Hi"}), STOP, DONE, asked=asked)
    assert types(found)[2:8] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    assert found[4]["summary_index"] == 0


def test_a_refusal():
    found = streamed(chunk({"refusal": "I "}), chunk({"refusal": "won't."}), STOP, DONE)
    assert types(found)[2:] == [
        "output_item.added",
        "content_part.added",
        "refusal.delta",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert found[6]["refusal"] == "I won't."


def test_a_refusal_after_text_is_a_part_of_its_own():
    found = streamed(chunk({"content": "Well, "}), chunk({"refusal": "no."}), STOP, DONE)
    assert types(found)[2:] == [
        *TEXT[:5],
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [found[index]["content_index"] for index in (4, 9)] == [0, 1]


def test_a_custom_tools_call():
    asked = {"tools": [{"type": "custom", "name": "patch"}]}
    pieces = [call('{"inp', "patch", "c1"), call('ut":"+'), call('x"}')]
    found = streamed(*pieces, chunk({}, "tool_calls"), DONE, asked=asked)
    assert types(found)[2:6] == [
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
    ]
    assert (found[3]["delta"], found[4]["input"], found[5]["item"]["input"]) == ("+x", "+x", "+x")


def test_deltas_of_several_calls_may_come_mixed():
    found = streamed(
        call('{"a"', "f", "c1"),
        call('{"b"', "g", "c2", index=1),
        call(":1}"),
        call(":2}", index=1),
        STOP,
        DONE,
    )
    assert [item["arguments"] for item in found[-1]["response"]["output"]] == ['{"a":1}', '{"b":2}']


def test_calls_that_are_all_numbered_0_are_told_apart_by_their_ids():
    found = streamed(call("{}", "f", "c1"), call("{}", "f", "c2"), STOP, DONE)
    assert [item["call_id"] for item in found[-1]["response"]["output"]] == ["c1", "c2"]


def test_a_call_is_told_of_once_its_name_is_known():
    found = streamed(call('{"a"', None, "c1"), call(":1}", "f"), STOP, DONE)
    assert found[2]["item"]["name"] == "f"
    assert [event["delta"] for event in found if event["type"].endswith(".delta")] == ['{"a"', ":1}"]


def test_text_after_calls_is_another_message():
    found = streamed(chunk({"content": "a"}), call("{}", "f", "c1"), chunk({"content": "b"}), STOP, DONE)
    assert [item["type"] for item in found[-1]["response"]["output"]] == [
        "message",
        "function_call",
        "message",
    ]


def test_signatures_of_thinking_come_in_pieces():
    found = streamed(
        chunk(
            {
                "reasoning_content": "H",
                "thinking_blocks": [{"index": 0, "type": "thinking", "thinking": "H"}],
            }
        ),
        chunk({"reasoning_content": "m", "thinking_blocks": [{"index": 0, "thinking": "m"}]}),
        chunk({"thinking_blocks": [{"index": 0, "signature": "sig"}]}),
        chunk({"content": "Hello"}),
        STOP,
        DONE,
    )
    blocks = [{"type": "thinking", "thinking": "Hm", "signature": "sig"}]
    plain = answered({"reasoning_content": "Hm", "thinking_blocks": blocks, "content": "Hello"})
    done = next(event for event in found if event["type"] == "response.output_item.done")
    assert done["item"]["encrypted_content"] == plain["output"][0]["encrypted_content"]


def test_logprobs_of_the_text():
    token = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}
    choice = {"index": 0, "delta": {"content": "Hi"}, "logprobs": {"content": [token]}}
    found = streamed(b"data: %b\n\n" % json.dumps({"choices": [choice]}).encode(), STOP, DONE)
    assert found[4]["logprobs"] == [token]
    assert found[-1]["response"]["output"][0]["content"][0]["logprobs"] == [token]


def test_sources():
    citation = {"url": "https://x", "title": "X", "start_index": 0, "end_index": 5}
    note = {"annotations": [{"type": "url_citation", "url_citation": citation}]}
    found = streamed(chunk({"content": "Hello"}), chunk(note), STOP, DONE)
    assert found[5]["type"] == "response.output_text.annotation.added"
    assert (found[5]["annotation_index"], found[5]["annotation"]["url"]) == (0, "https://x")


def test_an_answer_that_met_the_limit_is_incomplete():
    used = b'data: {"choices":[],"usage":%b}\n\n' % json.dumps(USAGE).encode()
    found = streamed(chunk({"content": "Hel"}), chunk({}, "length"), used, chunk({}), DONE)
    assert types(found)[-2:] == ["output_item.done", "incomplete"]
    response = found[-1]["response"]
    assert (response["status"], response["incomplete_details"]["reason"]) == (
        "incomplete",
        "max_output_tokens",
    )
    assert response["output"][0]["status"] == "incomplete"
    assert response["usage"]["total_tokens"] == 5


@pytest.mark.parametrize(
    "report",
    [
        {"usage": USAGE, "choices": []},
        {"choices": [{"index": 0, "delta": {}, "usage": USAGE}]},
        {"x_groq": {"usage": USAGE}, "choices": []},
    ],
    ids=["openai", "kimi", "groq"],
)
def test_usage_is_found_where_providers_put_it(report):
    last = b"data: %b\n\n" % json.dumps(report).encode()
    assert streamed(chunk({"content": "x"}), STOP, last, DONE)[-1]["response"]["usage"]["input_tokens"] == 3


def test_some_leave_out_the_terminator():
    assert types(streamed(chunk({"content": "x"}), STOP))[-1] == "completed"


def test_an_event_without_its_blank_line_counts():
    assert types(streamed(chunk({"content": "x"}), STOP, b"data: [DONE]"))[-1] == "completed"


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ((), "broke off"),
        ((DONE,), "broke off"),
        ((ROLE,), "broke off"),
        ((chunk({"content": "Hel"}),), "broke off"),
        ((call('{"a"', "f", "c1"),), "broke off"),
        (
            (chunk({"content": "Hel"}), b'data: {"error":{"message":"overloaded","code":"o"}}\n\n'),
            "overloaded",
        ),
        ((b'event: error\ndata: {"message":"no"}\n\n',), "no"),
        ((b'data: {"object":"error","message":"no"}\n\n', DONE), "no"),
        ((chunk({"content": "Hel"}), b"data: {oops\n\n", STOP, DONE), "no JSON object"),
        ((b"data: 5\n\n",), "no JSON object"),
    ],
)
def test_what_has_no_clean_end_fails(chunks, message):
    found = streamed(*chunks)
    assert types(found)[:2] == BEGIN
    assert types(found)[-1] == "failed"
    assert not set(types(found)) & {"completed", "incomplete"}
    response = found[-1]["response"]
    assert response["status"] == "failed"
    assert message in response["error"]["message"]
    assert response["error"]["code"]


def test_a_failed_response_has_what_came_until_then():
    response = streamed(chunk({"content": "Hel"}), b'data: {"error":{"message":"no"}}\n\n')[-1]["response"]
    assert response["output"][0]["content"][0]["text"] == "Hel"
    assert response["output"][0]["status"] == "in_progress"


def test_nothing_comes_after_the_end():
    after = chunk({"content": "more"})
    assert types(streamed(chunk({"content": "x"}), STOP, DONE, after, DONE))[-1] == "completed"
    assert types(streamed(b"data: x\n\n", after, STOP, DONE))[-1] == "failed"


def test_an_answer_without_end_fails_instead_of_growing(monkeypatch):
    monkeypatch.setattr(stream_module, "MAX_STREAM_BYTES", 10_000)
    endless = [chunk({"content": "x"})] * 1000
    assert types(streamed(*endless, STOP, DONE))[-1] == "failed"


def test_calls_without_end_fail_instead_of_growing():
    endless = [call("{}", "f", f"c{number}") for number in range(MAX_ITEMS + 1)]
    found = streamed(*endless, STOP, DONE)
    assert types(found)[-1] == "failed"
    assert len(found[-1]["response"]["output"]) == MAX_ITEMS


def test_an_event_without_end_fails_instead_of_growing(monkeypatch):
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    stream = translation().stream()
    found = events(stream.feed(b"data: " + b"x" * 200) + stream.feed(STOP) + stream.finish())
    assert types(found) == [*BEGIN, "failed"]


def test_nesting_that_can_be_read_and_not_written_fails():
    said = set()
    for depth in range(500, sys.getrecursionlimit()):
        nested = b"[" * depth + b"]" * depth
        raw = chunk({"content": "x", "annotations": [{"url_citation": {"a": "here"}}]})
        stream = translation().stream()
        told = [stream.feed(part) for part in (raw.replace(b'"here"', nested), STOP, DONE)]
        whole = b"".join(told) + stream.finish()
        said |= {what for what in (b"no JSON object", b"nested too deeply") if what in whole}
    assert said == {b"no JSON object", b"nested too deeply"}
