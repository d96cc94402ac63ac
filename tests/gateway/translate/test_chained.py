"""Responses asked of a provider that speaks Anthropic messages: two translations, nothing lost between."""

import json

import pytest
from gateway.translate.responses import MODEL, events, types
from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.chained import ResponsesToMessages
from lessllm_gateway.translate.translation import Wanted

USAGE = {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 4}
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


def test_what_is_left_out_by_either_is_named():
    it = Wanted(MODEL, streaming=True, includes_usage=False, drops=True)
    body = {"model": "m", "input": "Hello", "truncation": "auto", "logit_bias": {"5": 1}}
    ResponsesToMessages(it).request(json.dumps(body).encode())
    assert {b"truncation", b"logit_bias"} <= set(it.dropped_header().split(b", "))
    with pytest.raises(Rejection) as caught:
        translated(logit_bias={"5": 1})
    assert caught.value.message.startswith("logit_bias")
