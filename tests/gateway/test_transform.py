"""Bytes changed as little as the job needs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_gateway.transform import StripUsage, rewrite_request

TEXT = b'data: {"choices":[{"delta":{"content":"\\"usage\\" and \\"choices\\""}}],"usage":null}\n\n'
AZURE = b'data: {"choices":[],"prompt_filter_results":[]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3}}\r\n\r\n'
SPOILT = b'data: {"choices":[],"usage":{\n\n'
DONE = b"data: [DONE]\n\n"


def test_a_request_that_needs_no_change_is_the_same_bytes():
    body = b'{ "model": "m",\n "stream": true }'
    assert rewrite_request(body, model=None, ask_for_usage=False) is body


def test_all_that_is_not_changed_keeps_its_bytes():
    body = b'{"model":"m", "temperature": 1.0e0, "x":{"a" : [1,  2]},"big":12345678901234567890123}'
    sent = rewrite_request(body, model="n", ask_for_usage=True, stream=True)
    assert b'"temperature":1.0e0' in sent
    assert b'{"a" : [1,  2]}' in sent
    assert b"12345678901234567890123" in sent
    fields = json.loads(sent)
    assert (fields["model"], fields["stream"], fields["stream_options"]) == (
        "n",
        True,
        {"include_usage": True},
    )


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (b"null", {"include_usage": True}),
        (b"{}", {"include_usage": True}),
        (
            b'{"include_usage":false,"include_obfuscation":false}',
            {"include_usage": True, "include_obfuscation": False},
        ),
    ],
)
def test_the_clients_own_stream_options_stay(options, sent):
    body = b'{"model":"m","stream_options":%b}' % options
    assert json.loads(rewrite_request(body, model=None, ask_for_usage=True))["stream_options"] == sent


@given(st.lists(st.sampled_from([TEXT, AZURE, USAGE, SPOILT, DONE, b": ping\n\n"])), st.data())
def test_only_the_usage_chunk_is_dropped_wherever_reads_end(events, data):
    stream = b"".join(events)
    strip, out = StripUsage(), b""
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        out += strip.feed(stream[:size])
        stream = stream[size:]
    assert out + strip.finish() == b"".join(event for event in events if event != USAGE)


def test_a_stream_that_ends_without_its_blank_line_loses_nothing():
    strip = StripUsage()
    assert strip.feed(b"data: half") + strip.finish() == b"data: half"
