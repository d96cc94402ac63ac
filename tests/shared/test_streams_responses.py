"""Streams of OpenAI's responses API."""

import json

import pytest
from lessllm_shared.record import ApiFormat
from lessllm_shared.sse import Event
from lessllm_shared.streams import stream_reader
from openai import Omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1763000000,
    "status": "in_progress",
    "model": "gpt-5.4",
    "output": [],
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "usage": None,
}
USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 14,
}
MESSAGE = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
TEXT = {"type": "output_text", "text": "", "annotations": []}
WHOLE_MESSAGE = {**MESSAGE, "status": "completed", "content": [{**TEXT, "text": "Hello"}]}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "in_progress",
    "call_id": "call_1",
    "name": "f",
    "arguments": "",
}
IN_MESSAGE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
IN_CALL = {"item_id": "fc_1", "output_index": 1}

EVENTS = [
    {"type": "response.created", "response": RESPONSE},
    {"type": "response.in_progress", "response": RESPONSE},
    {"type": "response.output_item.added", "output_index": 0, "item": MESSAGE},
    {"type": "response.content_part.added", **IN_MESSAGE, "part": TEXT},
    {"type": "response.output_text.delta", **IN_MESSAGE, "delta": "Hel", "logprobs": [], "obfuscation": "x"},
    {"type": "response.output_text.delta", **IN_MESSAGE, "delta": "lo", "logprobs": []},
    {"type": "response.output_text.done", **IN_MESSAGE, "text": "Hello", "logprobs": []},
    {"type": "response.content_part.done", **IN_MESSAGE, "part": {**TEXT, "text": "Hello"}},
    {"type": "response.output_item.done", "output_index": 0, "item": WHOLE_MESSAGE},
    {"type": "response.output_item.added", "output_index": 1, "item": CALL},
    {"type": "response.function_call_arguments.delta", **IN_CALL, "delta": '{"a":'},
    {"type": "response.function_call_arguments.delta", **IN_CALL, "delta": "1}"},
    {"type": "response.function_call_arguments.done", **IN_CALL, "arguments": '{"a":1}', "name": "f"},
    {
        "type": "response.output_item.done",
        "output_index": 1,
        "item": {**CALL, "status": "completed", "arguments": '{"a":1}'},
    },
]
OUTPUT = [WHOLE_MESSAGE, {**CALL, "status": "completed", "arguments": '{"a":1}'}]
COMPLETED = {
    "type": "response.completed",
    "response": {**RESPONSE, "status": "completed", "output": OUTPUT, "usage": USAGE},
}


def read(*events):
    reader = stream_reader(ApiFormat.RESPONSES)
    brings = [reader.add(Event(data["type"], json.dumps(data).encode(), b"", 0)) for data in events]
    return reader, [int(b) for b in brings]


def test_the_object_of_the_last_event_is_the_answer():
    reader, brings = read(*EVENTS, COMPLETED)
    assert reader.finished
    assert reader.unknown_events == 0
    assert reader.answer() == COMPLETED["response"]
    assert brings == [0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0]


def test_the_answer_is_what_the_official_sdk_gathers():
    state = ResponseStreamState(input_tools=Omit(), text_format=Omit())
    adapter = TypeAdapter(ResponseStreamEvent)
    for number, data in enumerate([*EVENTS, COMPLETED]):
        events = state.handle_event(adapter.validate_python({**data, "sequence_number": number}))
    theirs = events[-1].response.to_dict()
    ours = read(*EVENTS, COMPLETED)[0].answer()
    for item in theirs["output"]:
        item.pop("parsed_arguments", None)
        for part in item.get("content", ()):
            part.pop("parsed", None)
    assert theirs["output"] == ours["output"]
    assert theirs["usage"] == ours["usage"]


@pytest.mark.parametrize("end", range(len(EVENTS)))
def test_cut_off_anywhere_the_answer_is_what_came(end):
    reader, _ = read(*EVENTS[: end + 1])
    assert not reader.finished
    answer = reader.answer()
    assert answer["id"] == "resp_1"
    text = "".join(part["text"] for item in answer["output"] for part in item.get("content", ()))
    assert "Hello".startswith(text)
    assert text == "".join(event["delta"] for event in EVENTS[4 : min(end + 1, 6)])


def test_the_official_sdk_has_the_same_snapshot_of_a_cut_off_call():
    reader, _ = read(*EVENTS[:11])
    assert reader.answer()["output"] == [WHOLE_MESSAGE, {**CALL, "arguments": '{"a":'}]


def test_a_last_object_without_output_is_filled_from_the_items():
    last = {
        "type": "response.incomplete",
        "response": {**COMPLETED["response"], "output": None, "status": "incomplete"},
    }
    reader, _ = read(*EVENTS, last)
    assert reader.finished
    assert reader.answer()["output"] == OUTPUT
    assert reader.answer()["status"] == "incomplete"


def test_reasoning_and_its_summary_are_reasoning():
    item = {"id": "rs_1", "type": "reasoning", "summary": []}
    where = {"item_id": "rs_1", "output_index": 0}
    reader, brings = read(
        EVENTS[0],
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {
            "type": "response.reasoning_summary_part.added",
            **where,
            "summary_index": 0,
            "part": {"type": "summary_text", "text": ""},
        },
        {"type": "response.reasoning_summary_text.delta", **where, "summary_index": 0, "delta": "I think"},
        {"type": "response.reasoning_text.delta", **where, "content_index": 0, "delta": "hm"},
    )
    assert brings == [0, 0, 0, 1, 1]
    (item,) = reader.answer()["output"]
    assert item["summary"] == [{"type": "summary_text", "text": "I think"}]
    assert item["content"] == [{"text": "hm"}]


@pytest.mark.parametrize(
    "kind",
    [
        "refusal",
        "custom_tool_call_input",
        "mcp_call_arguments",
        "code_interpreter_call_code",
        "shell_call_command",
        "audio",
    ],
)
def test_what_a_model_generates_is_content(kind):
    reader, brings = read(EVENTS[0], {"type": f"response.{kind}.delta", "output_index": 0, "delta": "x"})
    assert brings == [0, 2]
    assert read({"type": f"response.{kind}.delta", "output_index": 0, "delta": ""})[1] == [0]
    assert reader.unknown_events == 0


def test_a_failed_response_is_an_error_with_its_answer():
    error = {"code": "server_error", "message": "The model failed to generate a response."}
    failed = {"type": "response.failed", "response": {**RESPONSE, "status": "failed", "error": error}}
    reader, _ = read(EVENTS[0], failed)
    assert reader.finished
    assert reader.error == failed
    assert reader.answer()["error"] == error


def test_an_error_event_is_kept_as_it_came():
    error = {
        "type": "error",
        "code": "rate_limit_exceeded",
        "message": "slow down",
        "param": None,
        "sequence_number": 1,
    }
    reader, _ = read(error)
    assert reader.error == error
    assert reader.answer() is None


def test_progress_of_tools_is_known_and_novelties_are_counted():
    reader, brings = read(
        {"type": "response.web_search_call.searching", "output_index": 0},
        {"type": "response.image_generation_call.partial_image", "output_index": 0},
        {"type": "response.output_text.annotation.added", "output_index": 0},
        {"type": "keepalive"},
        {"type": "response.novelty.happened"},
    )
    assert set(brings) == {0}
    assert reader.unknown_events == 1
