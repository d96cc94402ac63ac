"""Anthropic message streams, after docs.anthropic.com, "Streaming messages"."""

import json

from anthropic.lib.streaming._messages import accumulate_event
from hypothesis import given
from hypothesis import strategies as st
from lessllm_shared.record import ApiFormat
from lessllm_shared.sse import Event
from lessllm_shared.streams import Brings, stream_reader

START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-5-20251101",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 25,
            "cache_creation_input_tokens": 100,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 1,
            "service_tier": "standard",
        },
    },
}
STOP = {"type": "message_stop"}


def ending(stop_reason="end_turn", **usage):
    return {
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason, "stop_sequence": None},
        "usage": {"output_tokens": 15, **usage},
    }


def block(index, start, *deltas):
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(value):
    return {"type": "text_delta", "text": value}


def tool_input(value):
    return {"type": "input_json_delta", "partial_json": value}


def read(*events):
    reader = stream_reader(ApiFormat.MESSAGES)
    brings = [reader.add(Event(data["type"], json.dumps(data).encode(), b"", 0)) for data in events]
    return reader, [int(b) for b in brings]


def test_text_becomes_a_message_with_cumulative_usage():
    reader, brings = read(
        START,
        *block(0, {"type": "text", "text": ""}, text("Hello"), text(""), text("!")),
        {"type": "ping"},
        ending(input_tokens=None, cache_read_input_tokens=7, server_tool_use={"web_search_requests": 1}),
        STOP,
    )
    assert brings == [0, 0, 2, 0, 2, 0, 0, 0, 0]
    assert reader.finished
    assert reader.unknown_events == 0
    assert reader.answer() == {
        **START["message"],
        "content": [{"type": "text", "text": "Hello!"}],
        "stop_reason": "end_turn",
        "usage": {
            **START["message"]["usage"],
            "output_tokens": 15,
            "cache_read_input_tokens": 7,
            "server_tool_use": {"web_search_requests": 1},
        },
    }


def test_thinking_with_its_signature_then_a_tool_call():
    reader, brings = read(
        START,
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Let me"},
            {"type": "thinking_delta", "thinking": " see"},
            {"type": "signature_delta", "signature": "EqQB"},
        ),
        *block(1, {"type": "redacted_thinking", "data": "EmwK"}),
        *block(
            2,
            {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}},
            tool_input(""),
            tool_input('{"location": "San'),
            tool_input(' Francisco"}'),
        ),
        *block(3, {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}, tool_input("")),
        ending("tool_use"),
        STOP,
    )
    assert brings[1:6] == [0, 1, 1, 0, 0]
    assert brings[6] == Brings.REASONING  # redacted thinking comes whole
    assert brings[8:12] == [0, 0, 2, 2]
    assert reader.answer()["content"] == [
        {"type": "thinking", "thinking": "Let me see", "signature": "EqQB"},
        {"type": "redacted_thinking", "data": "EmwK"},
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"location": "San Francisco"}},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
    ]


def test_server_tools_and_citations():
    citation = {"type": "web_search_result_location", "url": "https://example.com", "cited_text": "x"}
    result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"title": "t"}]}
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    reader, _ = read(
        START,
        *block(0, search, tool_input('{"query": "x"}')),
        *block(1, result),
        *block(
            2,
            {"type": "text", "text": "", "citations": []},
            {"type": "citations_delta", "citation": citation},
            text("So"),
        ),
        ending(),
        STOP,
    )
    assert reader.answer()["content"] == [
        {**search, "input": {"query": "x"}},
        result,
        {"type": "text", "text": "So", "citations": [citation]},
    ]


def test_unknown_fields_of_message_delta_are_kept_and_nulls_change_nothing():
    started = json.loads(json.dumps(START))
    started["message"]["container"] = {"id": "c1"}
    end = ending("refusal")
    end["delta"] |= {"stop_details": {"category": "cyber"}, "container": None, "novelty": 1}
    end["context_management"] = {"applied_edits": []}
    answer = read(started, end, STOP)[0].answer()
    assert answer["stop_reason"] == "refusal"
    assert answer["stop_details"] == {"category": "cyber"}
    assert answer["container"] == {"id": "c1"}
    assert answer["novelty"] == 1
    assert answer["context_management"] == {"applied_edits": []}


def test_the_output_tokens_of_message_start_are_a_placeholder():
    reader, _ = read(START, *block(0, {"type": "text", "text": ""}, text("Hel")))
    assert not reader.finished
    answer = reader.answer()
    assert "output_tokens" not in answer["usage"]
    assert answer["usage"]["input_tokens"] == 25
    assert answer["content"] == [{"type": "text", "text": "Hel"}]


def test_a_tool_call_that_was_cut_off_keeps_its_input_as_far_as_it_came():
    tool = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    reader, _ = read(START, *block(0, tool, tool_input('{"a": "b')))
    assert reader.answer()["content"][0]["input"] == '{"a": "b'


def test_an_error_event_is_kept_as_it_came():
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    reader, _ = read(START, error)
    assert reader.error == error
    assert not reader.finished


def test_unknown_events_and_deltas_are_counted_and_skipped():
    reader, brings = read(
        START,
        {"type": "novelty", "x": 1},
        *block(0, {"type": "text", "text": ""}, {"type": "mood_delta", "mood": "good"}),
        {"type": "content_block_delta", "index": 9, "delta": text("nowhere")},
        STOP,
    )
    assert set(brings) == {0}
    assert reader.unknown_events == 3
    assert reader.answer()["content"] == [{"type": "text", "text": "", "mood": "good"}]


def test_a_fallback_names_the_model_that_answered():
    to = {"model": "claude-sonnet-5-5"}
    reader, _ = read(START, *block(0, {"type": "fallback", "to": to}), ending(), STOP)
    assert reader.answer()["model"] == "claude-sonnet-5-5"


def test_nothing_came():
    assert stream_reader(ApiFormat.MESSAGES).answer() is None


pieces = st.lists(st.text(max_size=4), max_size=4)
json_objects = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=3)


@st.composite
def content_blocks(draw, index):
    kind = draw(st.sampled_from(["text", "thinking", "tool_use"]))
    if kind == "text":
        return block(index, {"type": "text", "text": ""}, *map(text, draw(pieces)))
    if kind == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in draw(pieces)]
        start = {"type": "thinking", "thinking": "", "signature": ""}
        return block(index, start, *deltas, {"type": "signature_delta", "signature": draw(st.text())})
    source = json.dumps(draw(json_objects))
    cuts = sorted(draw(st.lists(st.integers(0, len(source)), max_size=3)))
    parts = [source[a:b] for a, b in zip([0, *cuts], [*cuts, len(source)], strict=True)]
    tool = {"type": "tool_use", "id": f"toolu_{index}", "name": "f", "input": {}}
    return block(index, tool, tool_input(""), *map(tool_input, parts))


@st.composite
def conversations(draw):
    blocks = [draw(content_blocks(index)) for index in range(draw(st.integers(0, 4)))]
    usage = draw(
        st.dictionaries(st.sampled_from(["input_tokens", "cache_read_input_tokens"]), st.integers(0, 99))
    )
    return [START, *(event for events in blocks for event in events), ending(**usage), STOP]


@given(conversations())
def test_the_answer_is_what_the_official_sdk_gathers(events):
    snapshot = None
    buffers: dict[int, bytes] = {}
    for event in events:
        snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    theirs = snapshot.to_dict()
    reader, _ = read(*events)
    ours = reader.answer()
    assert ours["content"] == theirs["content"]
    assert {k: v for k, v in theirs["usage"].items() if v is not None} == ours["usage"]
    assert ours["stop_reason"] == theirs["stop_reason"]
    assert {k: v for k, v in theirs.items() if v is not None}.keys() == {
        k: v for k, v in ours.items() if v is not None
    }.keys()
