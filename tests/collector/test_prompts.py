"""How a prompt begins, in each format that a request may have."""

import json

import pytest
from lessllm_collector.prompts import LONGEST, beginning


@pytest.mark.parametrize(
    "request_",
    [
        {"messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello  there"}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "hello\nthere"}]}
            ]
        },
        {
            "system": "be kind",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hello there"}]}],
        },
        {"input": "hello there"},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hello there"}]}]},
        {"contents": [{"parts": [{"text": "hello there"}]}]},
        {"prompt": "hello there"},
        {"input": ["hello there", "and more"]},
    ],
)
def test_what_the_user_said_first(request_):
    assert beginning(json.dumps(request_).encode()) == "hello there"


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"",
        b'{"messages": [{"role": "user", "conte',
        b"[1]",
        b"\xff\x00",
        b'{"messages": 7, "input": {"a": 1}, "prompt": [[1, 2]]}',
        b'{"messages": [{"role": "user", "content": [7, null, {"text": 3}]}, 9]}',
        b'{"messages": [{"role": "system", "content": "only this"}]}',
    ],
)
def test_nothing_where_there_is_no_text(body):
    assert beginning(body) is None


def test_long_ones_are_cut():
    assert beginning(json.dumps({"prompt": "ab " * 500}).encode()) == ("ab " * 500)[:LONGEST]
