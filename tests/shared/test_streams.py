"""What holds of every stream reader."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_shared.record import ApiFormat
from lessllm_shared.sse import Event
from lessllm_shared.streams import Brings, stream_reader
from lessllm_shared.tolerant_json import dumps

FORMATS = [ApiFormat.CHAT, ApiFormat.COMPLETIONS, ApiFormat.RESPONSES, ApiFormat.MESSAGES, ApiFormat.GEMINI]

# Values of the wrong type in the right places find more than random bytes.
names = st.sampled_from(
    [
        "type",
        "index",
        "delta",
        "choices",
        "content",
        "text",
        "tool_calls",
        "function",
        "arguments",
        "usage",
        "error",
        "message",
        "content_block",
        "role",
        "id",
        "reasoning_content",
        "audio",
        "input_json_delta",
        "partial_json",
        "item",
        "output_index",
        "content_index",
        "part",
        "response",
        "output",
        "candidates",
        "parts",
        "thought",
        "finishReason",
        "promptFeedback",
        "logprobs",
        "object",
        "annotations",
        "citation",
        "summary",
        "x_groq",
    ]
)
words = st.sampled_from(
    [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "message_delta",
        "message_stop",
        "error",
        "text_delta",
        "input_json_delta",
        "citations_delta",
        "signature_delta",
        "response.created",
        "response.completed",
        "response.output_item.added",
        "text",
        "fallback",
        "response.content_part.added",
        "response.output_text.delta",
        "response.function_call_arguments.delta",
        "a",
        "�",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.just(10**30) | st.just(float("nan")) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(names, values, max_size=5)


@pytest.mark.parametrize("api_format", FORMATS)
@given(events=st.lists(objects, max_size=6))
def test_no_json_makes_a_reader_raise(api_format, events):
    reader = stream_reader(api_format)
    for data in events:
        assert isinstance(reader.add(Event("", json.dumps(data).encode(), b"", 0)), Brings)
        dumps(reader.answer())


@pytest.mark.parametrize("api_format", FORMATS)
@given(name=st.text(max_size=5), data=st.binary())
def test_no_bytes_make_a_reader_raise(api_format, name, data):
    reader = stream_reader(api_format)
    assert reader.add(Event(name, data, b"", 0)) is Brings.NOTHING
    dumps(reader.answer())


@pytest.mark.parametrize("api_format", FORMATS)
def test_nesting_beyond_all_bounds_is_skipped_and_counted(api_format):
    reader = stream_reader(api_format)
    reader.add(Event("", b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"", 0))
    assert reader.unknown_events == 1


def test_deep_nesting_that_is_still_json_is_read():
    reader = stream_reader(ApiFormat.CHAT)
    deep = b'{"a":' * 500 + b"1" + b"}" * 500
    for _ in range(3):
        reader.add(
            Event("", b'{"choices":[{"index":0,"delta":{"content":"a","deep":' + deep + b"}}]}", b"", 0)
        )
    assert reader.answer()["choices"][0]["message"]["content"] == "aaa"


@pytest.mark.parametrize(
    ("api_format", "event"),
    [
        (ApiFormat.CHAT, {"choices": [{"index": 0, "delta": {"content": "x" * 50}}]}),
        (
            ApiFormat.CHAT,
            {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "x" * 50}}]}}]},
        ),
        (ApiFormat.COMPLETIONS, {"choices": [{"index": 0, "text": "x" * 50}]}),
        (ApiFormat.RESPONSES, {"type": "response.output_text.delta", "delta": "x" * 50}),
        (ApiFormat.GEMINI, {"candidates": [{"content": {"parts": [{"text": "x" * 50}]}}]}),
    ],
)
def test_a_long_answer_costs_no_more_than_its_length(api_format, event):
    reader = stream_reader(api_format)
    one = Event("", json.dumps(event).encode(), b"", 0)
    start = time.process_time()
    for _ in range(20_000):
        reader.add(one)
    reader.answer()
    # Copying the text at each event would be 10 GB: many seconds instead of a fraction of one.
    assert time.process_time() - start < 3


def test_formats_without_streams_have_no_reader():
    assert stream_reader(ApiFormat.EMBEDDINGS) is None
    assert stream_reader(ApiFormat.OTHER) is None
