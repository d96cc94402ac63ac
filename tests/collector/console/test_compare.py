"""Models side by side: what is counted, and how near percentiles are."""

import random
from html.parser import HTMLParser

import pytest
from collector.conftest import add, call
from lessllm_collector.console import compare
from lessllm_shared.record import EndReason

MS = 1_000_000
EVER = {"from": "2026-11-01", "to": "2027-11-01"}


class Rows(HTMLParser):
    """The tables' rows as texts."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.is_in = [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        del attrs
        if tag == "tr":
            self.rows.append([])
        self.is_in = tag in {"th", "td", "a", "bdi"}

    def handle_data(self, data):
        if self.is_in and self.rows:
            self.rows[-1].append(data)


async def test_each_model_has_a_strip_for_each_figure_that_it_has(visit, store):
    records = [call(n, model=f"m{n % 2}", upstream_model="gpt-4o", end_ns=(400 + n) * MS) for n in range(10)]
    records += [call(11, model="failed", end_reason=EndReason.UPSTREAM_ERROR)]
    add(store, records)
    async with visit() as visitor:
        page = await visitor.get(compare.PATH, params=EVER)
        one = await visitor.get(compare.PATH, params={**EVER, "name": "m1"})
        none = await visitor.get(compare.PATH, params={"period": "24h"})
    rows = [row for row in Rows(page.text).rows if row and row[0].startswith("m")]
    assert [row[0] for row in rows] == ["m0", "m1"] * 5  # there are no times of a stream
    assert {[text for text in row if text.strip()][-1] for row in rows} == {"5"}
    assert {row[0] for row in Rows(one.text).rows if row and row[0].startswith("m")} == {"m1"}
    assert "No calls in this period" in none.text and "m0" not in none.text


@pytest.mark.parametrize("by", ["provider", "upstream_model", "model; DROP TABLE"])
async def test_others_than_models_can_be_compared(visit, store, by):
    add(store, [call(0), call(1, provider="other")])
    async with visit() as visitor:
        page = await visitor.get(compare.PATH, params={**EVER, "by": by})
    names = {row[0] for row in Rows(page.text).rows if len(row) > 3}
    assert page.status_code == 200
    assert names >= ({"openai", "other"} if by == "provider" else {"gpt-4o"})


def test_percentiles_of_bins_are_near_those_of_the_figures(store):
    seed = random.randrange(10**9)
    chance = random.Random(seed)
    latencies = sorted(chance.lognormvariate(6, 1) for _ in range(400))
    add(store, [call(0, request_id=f"c{n}", end_ns=int(ms * MS)) for n, ms in enumerate(latencies)])
    with store.cursor() as connection:
        period = compare.Period("custom", *(compare.periods.moment("", day) for day in EVER.values()))
        found = compare._look(connection, period, "model", [])
    (bins,) = found.bins["total_latency_ms"].values()
    for name, share in {"p50": 0.5, "p90": 0.9, "p99": 0.99}.items():
        exact = latencies[int(share * 400) - 1]
        assert compare._percentiles(bins)[name] == pytest.approx(exact, rel=0.016), (seed, name)


async def test_of_very_many_calls_one_in_so_many_is_counted_and_the_page_says_so(visit, store, monkeypatch):
    monkeypatch.setattr(compare, "COUNTED", 4)
    add(store, [call(0, request_id=f"c{n}") for n in range(20)])
    async with visit() as visitor:
        page = await visitor.get(compare.PATH, params=EVER)
    assert "one in 5 is counted" in page.text and "20 calls" in page.text
    (row, *_) = [row for row in Rows(page.text).rows if len(row) > 3 and row[0] == "gpt-4o"]
    assert [text for text in row if text.strip()][-1] == "4"
