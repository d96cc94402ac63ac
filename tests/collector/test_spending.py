"""What client keys have spent: each call once, whatever is sent again, dies, is deleted or priced anew."""

from datetime import date, timedelta
from importlib.resources import files

import duckdb
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from lessllm_collector import migrations, spending
from lessllm_collector.interpret import Prices
from lessllm_collector.ledger import Ledger
from lessllm_collector.migrations import migrate
from lessllm_collector.reanalyze import reanalyze
from lessllm_collector.spending import Spending, booking
from lessllm_shared.config import sections
from lessllm_shared.wire import Expect, Spent

from .running import DAY, PRICES, Running, record

EPOCH = date(1970, 1, 1)
TODAY = date(2026, 3, 2)
KEYS = ("a", "b")


def row(key, day, usd=None, tokens=None, price_source="configured", **columns):
    names = [f"{kind}_{of}_tokens" for kind in ("actual", "estimated") for of in ("prompt", "completion")]
    return {
        **dict.fromkeys(names),
        "client_key": key,
        "timestamp": ((day - EPOCH).days * 86_400 + 5) * 10**6,
        "estimated_cost_usd": usd,
        "actual_total_tokens": tokens,
        "price_source": price_source,
        **columns,
    }


ROWS = st.builds(
    row,
    st.sampled_from((*KEYS, None)),
    st.sampled_from([TODAY - timedelta(days) for days in (0, 1, 2, 29, 30, 31, 59, 60, 400)]),
    st.one_of(st.none(), st.integers(0, 1000).map(lambda n: n / 1024)),  # sums of these are exact
    st.one_of(st.none(), st.integers(0, 10**6)),
    st.sampled_from(("configured", "unknown_model", "no_usage")),
)


class Books(RuleBasedStateMachine):
    """A gateway's rows in order, sent again and again, and a collector that is killed at any moment."""

    @initialize()
    def begin(self):
        self.database = duckdb.connect()
        migrate(self.database)
        self.rows = []  # all there ever were, committed or not
        self.committed = 0
        self.restart()

    @rule()
    def restart(self):
        """The collector knows what its database says."""
        found = self.database.execute("SELECT committed FROM internal.deliveries").fetchone()
        self.committed = found[0] if found else 0
        self.ledger = Ledger({"g": self.committed})
        self.spending = Spending(self.read(), lambda: TODAY)

    @rule(
        new=st.lists(ROWS, max_size=4),
        back=st.integers(-1, 6),
        dies=st.sampled_from((None, "before", "after")),
    )
    def send(self, new, back, dies):
        """A frame that begins before, at or beyond what is committed; the process may die at the commit."""
        self.rows += new
        first, last = self.committed + 1 - back, len(self.rows)
        if not 1 <= first <= last:
            return
        repeated = self.ledger.repeated("g", first, last)
        if isinstance(repeated, Expect):
            assert back < 0
            return
        rest = self.rows[first - 1 + repeated : last]
        if not rest:
            return
        booked = booking(rest)
        self.database.begin()
        spending.book(self.database, booked)
        self.database.execute(
            "INSERT INTO internal.deliveries VALUES ('g', ?, now())"
            " ON CONFLICT (gateway_id) DO UPDATE SET committed = excluded.committed",
            [last],
        )
        if dies == "before":
            self.database.rollback()
            self.restart()
            return
        self.database.commit()
        if dies == "after":
            self.restart()
            return
        self.ledger.take("g", last)
        self.ledger.commit("g", last)
        self.committed = last
        self.spending.add(booked)

    @rule(at=st.integers(0, 20), usd=st.integers(0, 1000))
    def work_out_again(self, at, usd):
        """A price became known."""
        if at >= self.committed:
            return
        before = self.rows[at]
        self.rows[at] = {**before, "estimated_cost_usd": usd / 1024, "price_source": "configured"}
        booked = booking([self.rows[at]], minus=[before])
        spending.book(self.database, booked)
        self.spending.add(booked)

    @invariant()
    def each_committed_call_is_counted_once(self):
        for name in KEYS:
            for period, found in zip(("2026-03-02", "2026-03"), self.spending.of([name]), strict=True):
                mine = [one for one in self.rows[: self.committed] if one["client_key"] == name]
                calls = [one for one in mine if self.day(one).isoformat().startswith(period)]
                costly = [
                    one
                    for one in calls
                    if one["estimated_cost_usd"] is not None
                    or one["price_source"] == "unknown_model"
                    or one["actual_total_tokens"]
                ]
                assert found == Spent(
                    name,
                    period,
                    len(costly),
                    sum(one["estimated_cost_usd"] or 0 for one in costly),
                    sum(one["actual_total_tokens"] or 0 for one in costly),
                    sum(one["price_source"] == "unknown_model" for one in costly),
                )

    def read(self):
        found = self.database.execute("FROM internal.spent").fetchall()
        return {(key, day): spending.Sums(*sums) for key, day, *sums in found}

    def day(self, one):
        return EPOCH + timedelta(one["timestamp"] // (86_400 * 10**6))


Books.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestBooks = Books.TestCase


def test_what_a_cut_off_stream_is_estimated_to_have_used_counts():
    cut = row("a", TODAY, 0.5, actual_prompt_tokens=100, estimated_completion_tokens=20)
    assert booking([cut]) == {("a", TODAY): spending.Sums(1, 0.5, 120, 0)}


@pytest.mark.parametrize(
    "odd",
    [
        row("a", TODAY, float("inf"), 5),
        row("a", TODAY, float("nan"), 5),
        row("a", TODAY, 0.0, 2**63 - 1),
        row("a", TODAY, 0.0, -(2**63)),
        {**row("a", TODAY, 1.0, 5), "timestamp": 2**63 - 1},
        {**row("a", TODAY, 1.0, 5), "timestamp": -(2**63)},
    ],
)
def test_no_figure_makes_the_books_useless(odd):
    with duckdb.connect() as database:
        migrate(database)
        for _ in range(3):
            spending.book(database, booking([odd, row("a", TODAY, 1.0, 10)]))
        ((usd, tokens),) = database.execute("SELECT usd, tokens FROM internal.spent").fetchall()
    assert usd == 3.0
    assert 30 <= tokens <= 3 * (10 + spending.MOST_TOKENS)


def test_another_month_forgets_what_no_budget_asks_for():
    today = [date(2026, 1, 31)]
    books = Spending(today=lambda: today[0])
    books.add(booking([row("a", date(2026, 1, 31), 1.0), row("a", date(2025, 11, 30), 1.0)]))
    assert [one.usd for one in books.of(["a"])] == [1.0, 1.0]
    today[0] = date(2026, 2, 1)
    assert [one.usd for one in books.of(["a", "b"])] == [0.0] * 4
    today[0] = date(2026, 3, 1)
    books.add({})
    assert books._sums == {"a": {}}


async def test_what_was_spent_outlives_restarts_and_retention_and_follows_prices(tmp_path):
    running = Running(tmp_path / "calls.duckdb")
    try:
        new, old = record(0 * DAY, client_key="a"), record(90 * DAY, client_key="a")
        await running.add(new, old, record(0 * DAY))
        said = running.writer.spending.of(["a"])
        assert [one.calls for one in said] == [1, 1]
        await running.retention(calls=0 * DAY).run_once()
        assert await running.ask("SELECT count(*) FROM internal.calls") == [(0,)]
    finally:
        await running.close()
    running = Running(tmp_path / "calls.duckdb")
    try:
        assert running.writer.spending.of(["a"]) == said
        assert await running.ask("SELECT count(*) FROM internal.spent WHERE day < current_date - 80") == [
            (0,)
        ]
        await running.add(record(0 * DAY, client_key="b"))
        dear = Prices({"m": sections.Price(input_usd_per_mtok=10, output_usd_per_mtok=10)})
        cost = running.writer.spending.of(["b"])[0].usd
        for prices, factor in ((dear, 10), (dear, 10), (PRICES, 1)):
            await reanalyze(running.writer, prices, None)
            assert running.writer.spending.of(["b"])[0].usd == pytest.approx(factor * cost)
            ((booked,),) = await running.ask("SELECT usd FROM internal.spent WHERE client_key = 'b'")
            assert booked == pytest.approx(factor * cost)
    finally:
        await running.close()


def test_an_older_databases_calls_are_booked_when_it_is_opened():
    with duckdb.connect() as database:
        migrate(database)
        database.execute("DROP TABLE internal.spent")
        database.executemany(
            "INSERT INTO internal.calls (request_id, timestamp, gateway_id, sequence, client_key,"
            " estimated_cost_usd, actual_total_tokens, price_source) VALUES ('r', ?, 'g', 1, ?, ?, ?, ?)",
            [
                ["2026-03-01 23:59:59.9+00", "a", 0.5, 10, "configured"],
                ["2026-03-02 00:00:00+00", "a", None, 7, "unknown_model"],
                ["2026-03-02 00:00:01+00", "a", None, None, "no_usage"],
                ["2026-03-02 00:00:01+00", None, 0.5, 10, "configured"],
            ],
        )
        database.execute((files(migrations) / "0005_spent.sql").read_text("utf-8"))
        assert database.execute("FROM internal.spent ORDER BY day").fetchall() == [
            ("a", date(2026, 3, 1), 1, 0.5, 10, 0),
            ("a", date(2026, 3, 2), 1, 0.0, 7, 1),
        ]
