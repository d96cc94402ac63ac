"""Whatever comes, however it is cut: the same events, nothing lost there and back, no surprise."""

import json
import re
from base64 import b64decode

import pytest
from gateway.translate.responses import (
    DONE,
    answered,
    chat_messages,
    chunk,
    completion,
    events,
    translation,
    wanted,
)
from hypothesis import given
from hypothesis import strategies as st
from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.responses_to_chat import ResponsesToChat

texts = st.text(min_size=1, max_size=12)
ids = st.from_regex(r"call_[a-z0-9]{1,8}", fullmatch=True)
calls = st.lists(
    st.builds(
        lambda call_id, name, arguments: {
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        },
        ids,
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        st.dictionaries(texts, texts, max_size=2).map(json.dumps),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda call: call["id"],
)
blocks = st.lists(
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": texts, "signature": texts}),
    min_size=1,
    max_size=2,
)
messages = st.fixed_dictionaries(
    {},
    optional={
        "reasoning_content": texts,
        "thinking_blocks": blocks,
        "content": texts,
        "tool_calls": calls,
    },
).filter(lambda message: message.get("content") or message.get("tool_calls"))
usages = st.fixed_dictionaries(
    {"prompt_tokens": st.integers(0, 10**6), "completion_tokens": st.integers(0, 10**6)}
)
_IDS = re.compile(r"(?<=_)[0-9a-f]{24}")
_PACKED = re.compile('"lessllm-([^"]+)"')
_TIMES = re.compile(r'"(created_at|completed_at)": \d+')


def normal(value):
    """Without what no two translations have in common, and with what is carried unpacked."""
    text = _TIMES.sub(r'"\1": 0', _IDS.sub("", json.dumps(value)))
    return json.loads(_PACKED.sub(lambda found: b64decode(found[1]).decode(), text))


@st.composite
def pieces(draw, message, usage):
    """The message as a stream of chunks."""
    chunks = []

    def cut(text):
        at = sorted(draw(st.lists(st.integers(0, len(text)), max_size=2)))
        return [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]

    chunks += [chunk({"reasoning_content": text}) for text in cut(message.get("reasoning_content", ""))]
    for index, block in enumerate(message.get("thinking_blocks", ())):
        entry = {"index": index, "type": "thinking", "thinking": ""}
        chunks.append(chunk({"thinking_blocks": [entry]}))
        for name in ("thinking", "signature"):
            chunks += [chunk({"thinking_blocks": [{"index": index, name: t}]}) for t in cut(block[name])]
    chunks += [chunk({"content": text}) for text in cut(message.get("content", ""))]
    for index, call in enumerate(message.get("tool_calls", ())):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        function = {"name": name, "arguments": ""}
        head = {"index": index, "id": call["id"], "type": "function", "function": function}
        chunks.append(chunk({"tool_calls": [head]}))
        tails = [{"index": index, "function": {"arguments": text}} for text in cut(arguments)]
        chunks += [chunk({"tool_calls": [tail]}) for tail in tails]
    return [*chunks, chunk({}, "stop", usage=usage), DONE]


@given(st.data(), messages, usages, st.booleans())
def test_a_stream_ends_with_what_the_plain_answer_is_wherever_it_is_cut(data, message, usage, as_summary):
    asked = {"reasoning": {"summary": "auto"}} if as_summary else {}
    raw = b"".join(data.draw(pieces(message, usage)))
    at = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    whole, cut = (translation(**asked).stream() for _ in range(2))
    expected = events(whole.feed(raw) + whole.finish())
    parts = [raw[a:b] for a, b in zip([0, *at], [*at, len(raw)], strict=True)]
    found = events(b"".join([*map(cut.feed, parts), cut.finish()]))
    assert normal(found) == normal(expected)
    assert found[-1]["type"] == "response.completed"
    plain = answered(message, asked=asked, usage=usage)
    assert normal(found[-1]["response"]) == normal(plain)


@given(messages)
def test_what_was_said_comes_back_as_it_was(message):
    it = wanted(reasoning="kept")
    output = answered(message, it=it)["output"]
    assistant = chat_messages([{"role": "user", "content": "?"}, *output], it)[1]
    expected = {"role": "assistant", "content": None, **message}
    if "thinking_blocks" in message:
        expected.pop("reasoning_content", None)  # the blocks have it
    assert assistant == expected
    assert it.dropped_header() == b""


@given(usages, st.integers(0, 10**6), st.integers(0, 10**6))
def test_counts_come_through(usage, cached, reasoning):
    details = {
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    found = answered({"content": "x"}, usage={**usage, **details})["usage"]
    assert found["input_tokens"] == usage["prompt_tokens"]
    assert found["output_tokens"] == usage["completion_tokens"]
    assert found["input_tokens_details"]["cached_tokens"] == cached
    assert found["output_tokens_details"]["reasoning_tokens"] == reasoning


WORDS = """
    type role content id call_id name arguments input output text summary message user assistant reasoning
    function_call function_call_output input_text encrypted_content lessllm-e30= input_image image_url refusal
    function custom
"""
FIELDS = """
    input instructions tools tool_choice reasoning text include top_logprobs store max_output_tokens user n x
    parallel_tool_calls truncation service_tier metadata
"""
DELTA = """
    content reasoning_content reasoning refusal tool_calls function_call annotations thinking_blocks
    extra_content role
"""
words = st.sampled_from(WORDS.split())
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | words | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=20,
)
fields = st.sampled_from(FIELDS.split())


@given(st.dictionaries(fields, json_values, max_size=6), st.booleans())
def test_no_request_raises_anything_but_a_rejection(body, drops):
    made = ResponsesToChat(wanted(drops=drops, thought_signatures=True, reasoning="always"))
    try:
        chat = json.loads(made.request(json.dumps(body).encode()))
    except Rejection as rejection:
        assert rejection.status == 400  # noqa: PT017 - what it may raise
        return
    assert chat["messages"]
    response = made.answer(completion({"content": "Hello"}))
    assert response["output"][0]["content"][0]["text"] == "Hello"


deltas = st.dictionaries(
    st.sampled_from(DELTA.split()),
    json_values
    | st.lists(
        st.dictionaries(st.sampled_from(["index", "id", "function", "custom", "extra_content"]), json_values),
        max_size=3,
    ),
    max_size=4,
)
chunks = st.one_of(
    deltas.map(chunk),
    json_values.map(lambda value: b"data: %b\n\n" % json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(["choices", "usage", "error", "created", "model"]), json_values).map(
        lambda value: b"data: %b\n\n" % json.dumps(value).encode()
    ),
    st.binary(max_size=20),
    st.sampled_from([DONE, b"\n\n", b": ping\n\n", b"event: error\n"]),
)


@given(st.lists(chunks, max_size=8))
def test_every_stream_begins_and_ends_as_the_api_documents(sent):
    stream = translation().stream()
    found = events(b"".join([*map(stream.feed, sent), stream.finish()]))
    kinds = [event["type"] for event in found]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] in {"response.completed", "response.incomplete", "response.failed"}
    lifecycle = [event["response"] for event in found if "response" in event]
    assert len(lifecycle) == 3
    added = [event["item"]["id"] for event in found if event["type"] == "response.output_item.added"]
    done = [event["item"]["id"] for event in found if event["type"] == "response.output_item.done"]
    assert len(set(added)) == len(added)
    assert set(done) <= set(added)
    if kinds[-1] != "response.failed":
        assert set(done) == set(added) == {item["id"] for item in lifecycle[-1]["output"]}


@given(json_values | deltas.map(completion))
def test_no_plain_answer_raises_anything_but_a_value_error(upstream):
    try:
        response = translation().answer(upstream)
    except ValueError as error:
        assert "not a chat completion" in str(error)  # noqa: PT017 - what it may raise
        return
    json.dumps(response)
    assert response["status"] in {"completed", "incomplete"}


@given(
    st.binary(max_size=50) | json_values.map(lambda value: json.dumps(value).encode()), st.integers(400, 599)
)
def test_every_error_becomes_one_of_openais(body, status):
    code, error = translation().error(status, body)
    assert code == status
    assert isinstance(json.loads(error)["error"]["message"], str)


@pytest.mark.parametrize("depth", [200, 2000, 100_000])
def test_a_request_nested_deeply_is_refused_or_sent(depth):
    body = b'{"input":"x","metadata2":' + b"[" * depth + b"]" * depth + b"}"
    try:
        ResponsesToChat(wanted()).request(body)
    except (Rejection, ValueError):
        assert depth > 200
