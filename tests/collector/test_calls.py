"""The latest calls, page by page, and one call whole."""

import json

import msgspec
import pytest
from lessllm_collector.calls import latest, whole
from lessllm_collector.errors import Refusal
from lessllm_collector.filters import METRICS, Filter, parse_filters
from lessllm_collector.schema import COLUMNS
from lessllm_shared.record import ApiFormat

from .conftest import add, call


@pytest.fixture
def connection(store):
    with store.cursor() as cursor:
        yield cursor


def listed(connection, *parameters, before=None, limit=50):
    return latest(connection, parse_filters(parameters), before, limit)


def sequences(page):
    return [one["sequence"] for one in page["calls"]]


def as_json(value):
    return json.loads(msgspec.json.encode(value))


def test_the_newest_call_comes_first_without_bodies(connection):
    page = listed(connection)
    assert (sequences(page), page["next"]) == ([5, 4, 3, 2, 1], None)
    assert page["calls"][4].keys() == METRICS.keys()
    assert page["calls"][4]["timestamp"] == "2026-11-01T12:00:00.000000Z"
    assert page["calls"][4]["actual_total_tokens"] == 1010
    assert page["calls"][0]["actual_total_tokens"] is None


def test_pages_follow_each_other_without_gaps(connection):
    seen, before = [], None
    while True:
        page = listed(connection, before=before, limit=2)
        seen += sequences(page)
        before = page["next"]
        if before is None:
            break
    assert seen == [5, 4, 3, 2, 1]


def test_calls_of_the_same_moment_are_on_one_page_each(empty_store):
    add(empty_store, [call(0, request_id=f"id-{n}") for n in range(5)])
    with empty_store.cursor() as connection:
        first = listed(connection, limit=3)
        second = listed(connection, before=first["next"], limit=3)
    assert [one["request_id"] for one in first["calls"] + second["calls"]] == [
        f"id-{n}" for n in (4, 3, 2, 1, 0)
    ]
    assert (first["next"], second["next"]) == ("id-2", None)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ([("model", "gpt-4o")], [4, 2, 1]),
        ([("end_reason", "rejected"), ("end_reason", "client_cancelled")], [5, 4]),
        ([("user_id", "ann"), ("session_id", "s")], [2]),
        ([("since", "2026-11-01T15:00:00Z")], [5, 4]),
    ],
)
def test_filters_choose(connection, parameters, expected):
    assert sequences(listed(connection, *parameters)) == expected


def test_filters_and_pages_go_together(connection):
    page = listed(connection, ("model", "gpt-4o"), limit=2)
    assert sequences(page) == [4, 2]
    assert sequences(listed(connection, ("model", "gpt-4o"), before=page["next"])) == [1]


def test_a_page_after_an_unknown_call_is_refused(connection):
    with pytest.raises(Refusal) as refusal:
        listed(connection, before="nobody")
    assert (refusal.value.status, refusal.value.code) == (404, "unknown_call")


def test_a_whole_call_has_every_column_and_json_as_json(connection):
    request_id = listed(connection)["calls"][4]["request_id"]
    found = as_json(whole(connection, request_id))
    assert found.keys() == {column.name for column in COLUMNS}
    assert found["raw_request"] == {"messages": [{"role": "user", "content": "hello"}]}
    assert found["response_body"]["usage"]["prompt_tokens"] == 1000
    assert found["request_headers"] == [["content-type", "application/json"]]
    assert found["clock_marks"]["end_ns"] == 405_000_000
    assert found["tags"] is None and found["decoded_response"] is None
    assert (found["sequence"], found["estimated_ttft_ms"]) == (1, None)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"a": 1.0, "a": 10000000000000000000000}', {"a": 10000000000000000000000}),
        (b' [1, "\\ud83d\\ude00"]\n', [1, "😀"]),
        (b"data: {}\n\n", "data: {}\n\n"),
        (b'{"a": ', '{"a": '),
        (b"{'a': 1}", "{'a': 1}"),
        (b'{"a": NaN}', '{"a": NaN}'),
        (b"{} {}", "{} {}"),
        (b"null", "null"),
        (b"12", "12"),
        ("é".encode(), "é"),
        (b"\x00\xff", {"base64": "AP8="}),
        (b'{"a": "\xff"}', {"base64": "eyJhIjogIv8ifQ=="}),
        (b"[" * 100_000 + b"]" * 100_000, "[" * 100_000 + "]" * 100_000),
    ],
    ids=range(13),
)
def test_a_body_is_shown_as_json_else_as_text_else_as_base64(empty_store, body, shown):
    add(empty_store, [call(0, request_id="x", request_body=body, api_format=ApiFormat.OTHER)])
    with empty_store.cursor() as connection:
        found = as_json(whole(connection, "x"))
    assert found["request_body"] == shown
    is_text = not (isinstance(shown, dict) and "base64" in shown)
    assert found["raw_request"] == (shown if is_text else None)


@pytest.mark.parametrize("request_id", ["nobody", "", "x' OR 'a' = 'a"])
def test_a_call_that_is_not_there_is_said_to_be_unknown(connection, request_id):
    with pytest.raises(Refusal) as refusal:
        whole(connection, request_id)
    assert (refusal.value.status, refusal.value.code) == (404, "unknown_call")


def test_without_calls_the_list_is_empty(empty_store):
    with empty_store.cursor() as connection:
        assert latest(connection, Filter(), None, 50) == {"calls": [], "next": None}
