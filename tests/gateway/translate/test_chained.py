"""Responses asked of a provider that speaks Anthropic messages: two translations, nothing lost between."""

import json

import pytest
from gateway.translate.responses import MODEL, events, types
from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.chained import ResponsesToMessages
from lessllm_gateway.translate.translation import Wanted

USAGE = {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 4}
TOOLS = [{"type": "function", "name": "get_weather", "parameters": {"type": "object"}, "strict": False}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "Hi there"}],
    "stop_reason": "end_turn",
    "usage": USAGE,
}


def translated(*, drops=False, **body):
    """The translation after its request, and the messages request."""
    it = ResponsesToMessages(Wanted(MODEL, streaming=True, includes_usage=False, drops=drops))
    asked = {"model": "alias", "input": "Hello", **body}
    return it, json.loads(it.request(json.dumps(asked).encode()))


def event(kind, **fields):
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())


STREAM = [
    event("message_start", message={**MESSAGE, "content": [], "usage": {**USAGE, "output_tokens": 1}}),
    event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    event("ping"),
    event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi "}),
    event("content_block_delta", index=0, delta={"type": "text_delta", "text": "there"}),
    event("content_block_stop", index=0),
    event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 4}),
    event("message_stop"),
]


def test_a_request():
    items = [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
    _, request = translated(input=items, instructions="Be brief.", max_output_tokens=50, temperature=0.5)
    assert request["model"] == MODEL
    assert request["max_tokens"] == 50
    assert request["temperature"] == 0.5
    assert request["stream"] is True
    assert "Be brief." in json.dumps(request["system"])
    assert "Be kind." in json.dumps(request["system"])
    assert [message["role"] for message in request["messages"]] == ["user"]


def test_a_plain_answer():
    it, _ = translated()
    response = it.answer(MESSAGE)
    assert response["output"][0]["content"][0]["text"] == "Hi there"
    assert response["status"] == "completed"
    assert response["usage"]["input_tokens"] == 9
    assert response["usage"]["input_tokens_details"]["cached_tokens"] == 2


def test_a_stream():
    it, _ = translated()
    stream = it.stream()
    found = events(b"".join([*map(stream.feed, STREAM), stream.finish()]))
    assert types(found)[0] == "created"
    assert types(found)[-1] == "completed"
    assert [event["delta"] for event in found if event["type"].endswith("text.delta")] == ["Hi ", "there"]
    response = found[-1]["response"]
    assert (response["model"], response["usage"]["output_tokens"]) == ("claude-x", 4)


@pytest.mark.parametrize("end", range(1, len(STREAM)))
def test_a_stream_that_is_cut_off_has_no_clean_end(end):
    it, _ = translated()
    stream = it.stream()
    found = events(b"".join([*map(stream.feed, STREAM[:end]), stream.finish()]))
    assert types(found)[-1] == "failed"


def test_an_error_within_a_stream():
    it, _ = translated()
    stream = it.stream()
    broken = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    found = events(b"".join([*map(stream.feed, [*STREAM[:4], broken]), stream.finish()]))
    assert types(found)[-1] == "failed"
    assert "Overloaded" in found[-1]["response"]["error"]["message"]


def test_an_error():
    it, _ = translated()
    detail = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}
    status, error = it.error(429, json.dumps(detail).encode())
    assert status == 429
    assert json.loads(error)["error"]["message"] == "slow down"


def test_what_is_left_out_by_either_is_named_as_the_client_knows_it():
    it = Wanted(MODEL, streaming=True, includes_usage=False, drops=True)
    body = {"model": "m", "input": "Hello", "truncation": "auto", "text": {"verbosity": "low"}}
    ResponsesToMessages(it).request(json.dumps(body).encode())
    assert it.dropped_header() == b"truncation, text.verbosity"
    with pytest.raises(Rejection) as caught:
        translated(text={"verbosity": "low"})
    assert caught.value.message.startswith("text.verbosity")


def block(index, start, *deltas):
    return [
        event("content_block_start", index=index, content_block=start),
        *(event("content_block_delta", index=index, delta=delta) for delta in deltas),
        event("content_block_stop", index=index),
    ]


THOUGHT = [
    {"type": "thinking", "thinking": "Hm", "signature": "sig1"},
    {"type": "text", "text": "I look."},
    {"type": "redacted_thinking", "data": "xyz"},
    {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Rome"}},
]
THOUGHT_STREAM = [
    STREAM[0],
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "H"},
        {"type": "thinking_delta", "thinking": "m"},
        {"type": "signature_delta", "signature": "sig1"},
    ),
    *block(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "I look."}),
    *block(2, {"type": "redacted_thinking", "data": "xyz"}),
    *block(
        3,
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"city":'},
        {"type": "input_json_delta", "partial_json": '"Rome"}'},
    ),
    event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 4}),
    event("message_stop"),
]


def plain_output():
    it, _ = translated(tools=TOOLS)
    return it.answer({**MESSAGE, "content": THOUGHT, "stop_reason": "tool_use"})["output"]


def streamed_output():
    it, _ = translated(tools=TOOLS)
    stream = it.stream()
    return events(b"".join([*map(stream.feed, THOUGHT_STREAM), stream.finish()]))[-1]["response"]["output"]


@pytest.mark.parametrize("output", [plain_output, streamed_output], ids=["plain", "stream"])
def test_claude_gets_back_what_it_said_block_by_block(output):
    said = output()
    call = next(item for item in said if item["type"] == "function_call")
    assert (call["call_id"], json.loads(call["arguments"])) == ("toolu_1", {"city": "Rome"})
    assert next(item for item in said if item["type"] == "reasoning")["content"][0]["text"] == "Hm"
    result = {"type": "function_call_output", "call_id": "toolu_1", "output": "21"}
    _, request = translated(input=[{"role": "user", "content": "?"}, *said, result], tools=TOOLS)
    assert request["messages"][1] == {"role": "assistant", "content": THOUGHT}
    assert request["messages"][2]["content"][0]["tool_use_id"] == "toolu_1"


def test_thinking_of_another_model_does_not_reach_claude():
    said = plain_output()
    other = ResponsesToMessages(Wanted("claude-other", streaming=True, includes_usage=False, drops=False))
    result = {"type": "function_call_output", "call_id": "toolu_1", "output": "21"}
    body = {"model": "m", "input": [{"role": "user", "content": "?"}, *said, result], "tools": TOOLS}
    request = json.loads(other.request(json.dumps(body).encode()))
    assert [block["type"] for block in request["messages"][1]["content"]] == ["text", "tool_use"]


def test_effort_a_schema_and_a_file_by_url():
    content = [
        {"type": "input_text", "text": "Read"},
        {"type": "input_file", "file_url": "https://x/a.pdf"},
        {"type": "input_image", "image_url": "https://x/a.png"},
    ]
    it = ResponsesToMessages(Wanted("claude-opus-5-5", streaming=True, includes_usage=False, drops=False))
    body = {
        "model": "m",
        "input": [{"role": "user", "content": content}],
        "reasoning": {"effort": "high"},
        "text": {"format": {"type": "json_schema", "name": "weather", "schema": SCHEMA, "strict": True}},
        "user": "ann",
    }
    request = json.loads(it.request(json.dumps(body).encode()))
    assert [block["type"] for block in request["messages"][0]["content"]] == ["text", "document", "image"]
    assert request["output_config"]["effort"] == "high"
    assert request["output_config"]["format"]["type"] == "json_schema"
    assert request["thinking"]["type"] == "adaptive"
    assert request["metadata"] == {"user_id": "ann"}


def test_a_custom_tool_reaches_claude_as_a_function():
    it, request = translated(tools=[{"type": "custom", "name": "patch", "description": "Edits"}])
    assert [tool["name"] for tool in request["tools"]] == ["patch"]
    use = {"type": "tool_use", "id": "toolu_1", "name": "patch", "input": {"input": "+x"}}
    (item,) = it.answer({**MESSAGE, "content": [use], "stop_reason": "tool_use"})["output"]
    assert (item["type"], item["input"]) == ("custom_tool_call", "+x")
