"""The overview's figures are those of the calls in its period, and what is not known of them is a dash."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from collector.conftest import add, call
from lessllm_collector.console import overview
from lessllm_collector.console.period import Period
from lessllm_shared.record import EndReason

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
PERIOD = Period("24h", NOW - DAY, NOW)


def made(hours_ago, **fields):
    t0 = int((NOW - timedelta(hours=hours_ago)).timestamp() * 1e9)
    return call(t0_unix_ns=t0, request_id=f"{hours_ago}", **fields)


@pytest.fixture
def looked(store):
    """What the overview finds in these calls."""

    def look(*calls):
        add(store, calls)
        with store.cursor() as connection:
            return overview.look(connection, PERIOD)

    return look


def test_a_period_has_the_calls_from_its_first_moment_on_and_the_one_before_has_those_before(looked):
    found = looked(made(0), made(1), made(12), made(24), made(24.1), made(47.9), made(48.1))
    assert (found["now"]["calls"], found["before"]["calls"]) == (3, 2)  # the one of its end is in neither
    assert found["now"]["input_tokens"] == 3000 and found["now"]["actual_hit_rate"] == pytest.approx(0.4)


def test_steps_are_in_order_and_add_up_to_the_period(looked):
    failed = {"end_reason": EndReason.UPSTREAM_ERROR, "status_code": 500, "response_body": None}
    found = looked(made(23.9), made(12.1), made(12.2, **failed), made(0.1))
    steps = {
        place: (step["calls"], step["errors"]) for place, step in enumerate(found["steps"]) if step["calls"]
    }
    assert len(found["steps"]) == len(PERIOD.times) == 48  # of half an hour
    assert steps == {0: (1, 0), 23: (2, 1), 47: (1, 0)}
    assert (found["now"]["calls"], found["now"]["errors"]) == (4, 1)
    assert found["steps"][1]["cost_usd"] is None and found["steps"][1]["ttft_ms"] is None


def test_models_and_users_come_with_the_dearest_first_and_unknown_prices_last(looked):
    found = looked(
        made(1, user_id="few"),
        made(2, model="in-house", upstream_model="in-house", provider="local", user_id="many"),
        made(3, user_id="many"),
        made(4, user_id="many"),
        made(5, user_id=None),
    )
    models = [(row["name"], row["cost_usd"] is None) for row in found["models"]]
    assert models == [("gpt-4o", False), ("in-house", True)]
    assert [(row["name"], row["calls"]) for row in found["users"]] == [("many", 3), ("few", 1), (None, 1)]


async def test_nothing_recorded_is_unknown_and_never_0_but_for_numbers_of_calls(visit):
    async with visit() as visitor:
        page = (await visitor.get("/")).text
    values = re.findall(r'<span class="value">([^<]*)</span>', page)
    assert values == ["0", "0", "–", "–", "–", "–", "–"]  # noqa: RUF001 - the dash


async def test_periods_of_any_length_are_shown(visit, store):
    add(store, [made(1), made(30)])
    async with visit() as visitor:
        for query in (
            "period=24h",
            "period=30d",
            "from=2001-01-01",
            "from=2026-11-01T00:00&to=2026-11-01T00:01",
        ):
            assert (await visitor.get(f"/?{query}")).status_code == 200, query
