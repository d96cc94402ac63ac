"""The views beside api_calls: what users may ask of them, and that their sums are those of the calls."""

import pytest
from lessllm_collector.formats import records
from lessllm_collector.query import Question, ask
from lessllm_collector.reports import VIEWS

from .conftest import add, call


def asked(store, sql):
    with store.cursor() as connection:
        return records(ask(connection, Question(sql), 1000))


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_can_be_queried_and_described(store, name):
    described = [one["column_name"] for one in asked(store, f"DESCRIBE {name}")]
    assert described == list(VIEWS[name].comments)
    asked(store, f"SELECT * FROM {name}")


@pytest.mark.parametrize("name", VIEWS)
def test_every_column_has_a_comment(store, name):
    with store.cursor() as connection:
        found = connection.execute(
            "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index",
            [name],
        ).fetchall()
    assert found == list(VIEWS[name].comments.items())


@pytest.mark.parametrize("name", ["cost_by_day", "cost_by_model", "cost_by_user"])
def test_sums_over_a_view_are_those_over_the_calls(store, name):
    (found,) = asked(
        store,
        "SELECT sum(calls)::BIGINT AS calls, sum(unpriced_calls)::BIGINT AS unpriced,"
        " sum(total_tokens)::BIGINT AS tokens, round(sum(cost_usd), 12) AS cost,"
        f" round(sum(cache_savings_usd), 12) AS saved FROM {name}",
    )
    (expected,) = asked(
        store,
        "SELECT count(*) AS calls, count(*) FILTER (price_source = 'unknown_model') AS unpriced,"
        " sum(actual_total_tokens)::BIGINT AS tokens, round(sum(estimated_cost_usd), 12) AS cost,"
        " round(sum(cache_savings_usd), 12) AS saved FROM api_calls",
    )
    assert found == expected and found["calls"] == 5 and found["cost"] > 0


def test_cost_by_user_and_day(empty_store):
    add(empty_store, [call(0), call(1), call(24), call(0, user_id="bob")])
    found = asked(empty_store, "SELECT day, user_id, calls FROM cost_by_user ORDER BY day, user_id")
    assert [tuple(one.values()) for one in found] == [
        ("2026-11-01", "ann", 2),
        ("2026-11-01", "bob", 1),
        ("2026-11-02", "ann", 1),
    ]


def test_cost_by_session_says_when_it_was(empty_store):
    add(empty_store, [call(0, session_id="s"), call(3, session_id="s"), call(1)])
    (found,) = asked(empty_store, "SELECT * FROM cost_by_session")
    assert (found["session_id"], found["user_id"], found["calls"]) == ("s", "ann", 2)
    assert (found["first_call"], found["last_call"]) == (
        "2026-11-01T12:00:00.000000Z",
        "2026-11-01T15:00:00.000000Z",
    )


def test_streaming_is_compared_by_model(empty_store):
    add(empty_store, [call(0), call(1), call(2, streaming=True)])
    found = asked(empty_store, "FROM streaming_compared ORDER BY streaming")
    assert [(one["streaming"], one["calls"], one["latency_ms_p50"]) for one in found] == [
        (False, 2, pytest.approx(405.5)),
        (True, 1, pytest.approx(407)),
    ]
