"""A JSON array cut into its elements as it comes, at any split."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_shared import json_array
from lessllm_shared.json_array import ArrayParser
from lessllm_shared.sse import EventTooLargeError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('\\"[]{},é:', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('\\"[]{},', max_size=3), inner),
    max_leaves=10,
)


def elements(*chunks):
    parser = ArrayParser()
    found = [event for chunk in chunks for event in parser.feed(chunk)]
    return [json.loads(event.data) for event in found], [event.data for event in parser.flush()]


@given(st.lists(values, max_size=5), st.sampled_from([None, 2]), st.data())
def test_the_elements_are_the_arrays_wherever_it_is_cut(array, indent, data):
    raw = b" " + json.dumps(array, indent=indent).encode() + b"\n"
    at = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=4)))
    chunks = [raw[a:b] for a, b in zip([0, *at], [*at, len(raw)], strict=True)]
    assert elements(*chunks) == (array, [])


def test_an_element_is_there_with_its_last_byte():
    parser = ArrayParser()
    (first,) = parser.feed(b'[{"a":1}')
    assert (first.data, first.end) == (b'{"a":1}', 8)
    assert parser.feed(b"\n,\r\n") == []
    (second,) = parser.feed(b'{"b":2}')
    assert (second.data, second.end) == (b'{"b":2}', 19)
    assert parser.feed(b"]") == parser.flush() == []


def test_an_element_that_was_cut_off_is_left():
    assert elements(b'[{"a":1},{"b"') == ([{"a": 1}], [b'{"b"'])
    assert elements(b'[{"a":1},') == ([{"a": 1}], [])
    assert elements(b"[") == ([], [])
    assert elements(b"") == ([], [])


@given(st.lists(st.binary(max_size=10), max_size=4))
def test_nothing_surprises_it(chunks):
    parser = ArrayParser()
    for chunk in chunks:
        parser.feed(chunk)
    parser.flush()


def test_an_element_without_end_does_not_grow_for_ever(monkeypatch):
    monkeypatch.setattr(json_array, "MAX_EVENT_BYTES", 100)
    parser = ArrayParser()
    parser.feed(b'["' + b"x" * 90)
    with pytest.raises(EventTooLargeError):
        parser.feed(b"x" * 90)
