"""Event streams cut into events: at any split of the bytes, with every line ending."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_shared import sse
from lessllm_shared.sse import Event, EventParser, EventTooLargeError, format_event

line_ends = st.sampled_from(["\n", "\r\n", "\r"])
# A few bytes that matter, so that chance finds their combinations.
soup = st.lists(
    st.sampled_from(
        [b"\n", b"\r", b"\r\n", b"data: a", b"data:b", b"event: e", b": c", b"x", b"\xff", b"\xef\xbb\xbf"]
    )
).map(b"".join)


def parse(chunks) -> list[Event]:
    parser = EventParser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return events + parser.flush()


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(soup, st.lists(st.integers(0, 1000)))
def test_any_split_of_the_bytes_gives_the_same_events(data, cuts):
    assert parse(split(data, cuts)) == parse([data])


@given(soup)
def test_bytes_one_by_one_give_the_same_events(data):
    assert parse(bytes([byte]) for byte in data) == parse([data])


@given(soup, st.lists(st.integers(0, 1000)))
def test_the_events_raw_bytes_are_the_stream_again(data, cuts):
    events = parse(split(data, cuts))
    raw = b"".join(event.raw for event in events)
    assert data.startswith(raw)
    assert not data[len(raw) :].strip()  # flush gives only what holds data
    ends = [event.end for event in events]
    assert ends == [sum(len(event.raw) for event in events[: i + 1]) for i in range(len(events))]


@given(
    st.lists(
        st.tuples(st.text(alphabet="abc", max_size=3), st.text(alphabet="{}: x", min_size=1)), min_size=1
    ),
    line_ends,
    st.lists(st.integers(0, 1000)),
)
def test_every_line_ending_is_understood(wanted, line_end, cuts):
    text = "".join(f"event: {name}{line_end}data: {data}{line_end}{line_end}" for name, data in wanted)
    events = parse(split(text.encode(), cuts))
    assert [(event.name, event.data) for event in events] == [(name, data.encode()) for name, data in wanted]


@pytest.mark.parametrize(
    "boundary", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n", b"\n\r", b"\r\r\n", b"\r\n\r"]
)
def test_line_endings_may_be_mixed(boundary):
    events = parse([b"data: 1" + boundary + b"data: 2\n\n"])
    assert [event.data for event in events] == [b"1", b"2"]


def test_an_event_is_given_with_the_read_that_completes_it():
    parser = EventParser()
    assert parser.feed(b"data: 1\n") == []
    (event,) = parser.feed(b"\ndata: 2\n")
    assert event == Event("", b"1", b"data: 1\n\n", 9)
    assert [event.data for event in parser.feed(b"\ndata: 3\n\n")] == [b"2", b"3"]


def test_a_boundary_that_may_still_grow_is_waited_for():
    parser = EventParser()
    assert parser.feed(b"data: 1\r\n\r") == []
    assert [event.raw for event in parser.feed(b"\n")] == [b"data: 1\r\n\r\n"]


def test_an_event_without_its_blank_line_comes_with_flush():
    parser = EventParser()
    assert parser.feed(b"data: 1\n\ndata: [DONE]") != []
    assert [(event.data, event.end) for event in parser.flush()] == [(b"[DONE]", 21)]
    assert parser.flush() == []


def test_white_space_at_the_end_is_no_event():
    assert [event.data for event in parse([b"data: 1\n\n\n\n  \n"])] == [b"1", b""]
    parser = EventParser()
    parser.feed(b"\n")
    assert parser.flush() == []


def test_data_over_several_lines_is_joined_and_other_fields_are_skipped():
    (event,) = parse([b": comment\nid: 7\nretry: 10\nevent:  x\ndata:a\ndata\ndata:  b\nDATA: c\n\n"])
    assert event.name == " x"
    assert event.data == b"a\n\n b"


def test_a_comment_is_an_event_without_data():
    (event,) = parse([b": OPENROUTER PROCESSING\n\n"])
    assert (event.name, event.data, event.raw) == ("", b"", b": OPENROUTER PROCESSING\n\n")


def test_a_byte_order_mark_is_skipped_at_the_start_only():
    events = parse([b"\xef\xbb\xbfdata: 1\n\n\xef\xbb\xbfdata: 2\n\n"])
    assert [event.data for event in events] == [b"1", b""]


def test_a_stream_without_blank_lines_does_not_grow(monkeypatch):
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    parser = EventParser()
    parser.feed(b"data: 1\n\n" + b"x" * 1000)
    with pytest.raises(EventTooLargeError, match="1001 bytes"):
        parser.feed(b"x")


def test_what_is_formatted_is_parsed_again():
    assert format_event(b"{}", "ping") == b"event: ping\ndata: {}\n\n"
    assert parse([format_event(b"{}", "ping"), format_event(b"[DONE]")]) == [
        Event("ping", b"{}", b"event: ping\ndata: {}\n\n", 22),
        Event("", b"[DONE]", b"data: [DONE]\n\n", 36),
    ]
