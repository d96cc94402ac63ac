"""SQL in the browser: what it shows, what it refuses, and files of it."""

import csv
import io
import re
from html import unescape

import pyarrow.parquet as pq
import pytest
from collector.conftest import add, call
from lessllm_collector.console import sql

BY_MODEL = "SELECT model, count(*) AS n FROM api_calls GROUP BY 1 ORDER BY 2 DESC"


@pytest.fixture
def some(store):
    add(store, [call(0), call(24), call(2, model="<b>&'mine\u202e", user_id=None)])


async def asked(visitor, statement, expected=200):
    page = await visitor.get(sql.PATH, params={"q": statement})
    assert page.status_code == expected
    return page.text


@pytest.mark.usefixtures("some")
async def test_a_statement_in_the_url_is_run_and_its_rows_are_shown_as_text_and_drawn(visit):
    async with visit() as visitor:
        page = await asked(visitor, BY_MODEL)
    cells = [unescape(cell) for cell in re.findall("<td[^>]*><bdi>(.*?)</bdi>", page)]
    assert cells == ["gpt-4o", "2", "<b>&'mine[U+202E]", "1"]
    assert '<table class="bars">' in page and "<b>" not in page
    assert unescape(re.search("<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)[1]) == BY_MODEL


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("statement", "chart"),
    [
        ('SELECT "timestamp", total_latency_ms FROM api_calls', 'class="line s1"'),
        ("SELECT day, cost_usd, calls FROM cost_by_day", 'class="line s1"'),
        ("SELECT user_id, count(*) FROM api_calls GROUP BY 1", None),  # one has no name
        ("SELECT count(*) FROM api_calls", None),
        ("SELECT model, user_id FROM api_calls", None),
    ],
)
async def test_a_chart_is_drawn_where_there_is_one_in_it(visit, statement, chart):
    async with visit() as visitor:
        page = await asked(visitor, statement)
    assert ('class="chart"' in page) == (chart is not None)
    assert chart is None or chart in page


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("DROP TABLE api_calls", "read_only"),
        ("SELECT * FROM internal.calls", "unknown_table"),
        ("SELECT 1; SELECT 2", "one_statement"),
        ("SELECT <script>alert(1)</script>", "sql_error"),
        ("SELECT read_text('/etc/passwd')", "function_not_allowed"),
    ],
)
async def test_what_the_api_refuses_is_refused_here_and_the_statement_is_kept(visit, statement, code):
    async with visit() as visitor:
        page = await visitor.get(sql.PATH, params={"q": statement})
        file = await visitor.get(f"{sql.PATH}/result.csv", params={"q": statement})
    assert page.status_code == file.status_code == 400
    assert f"<code>{code}</code>" in page.text and code in file.text
    assert statement in unescape(page.text) and "<script>alert" not in page.text


@pytest.mark.usefixtures("some")
async def test_a_result_can_be_had_as_a_file(visit):
    async with visit() as visitor:
        text, parquet, other = [
            await visitor.get(f"{sql.PATH}/result.{kind}", params={"q": BY_MODEL})
            for kind in ("csv", "parquet", "exe")
        ]
    assert list(csv.reader(io.StringIO(text.text))) == [
        ["model", "n"],
        ["gpt-4o", "2"],
        ["<b>&'mine\u202e", "1"],
    ]
    assert pq.read_table(io.BytesIO(parquet.content)).to_pydict()["n"] == [2, 1]
    assert 'filename="lessllm-result.parquet"' in parquet.headers["content-disposition"]
    assert other.status_code == 404


async def test_long_results_and_cells_are_cut_on_the_page(visit):
    async with visit() as visitor:
        many = await asked(visitor, "SELECT i FROM range(1000) AS t(i)")
        long = await asked(visitor, f"SELECT '{'x' * 5000}'")
    assert many.count("<td") == sql.SHOWN_ROWS and "Only the first 200 are shown" in many
    assert "x" * sql.SHOWN_CHARACTERS + "…</bdi>" in long


async def test_without_a_statement_there_is_an_example_and_every_column_with_its_meaning(visit):
    async with visit() as visitor:
        page = (await visitor.get(sql.PATH)).text
    assert "FROM api_calls" in page and "Result" not in page
    assert all(f'data-column="{column}"' in page for table in sql.SCHEMA.values() for column in table)


async def test_figures_of_different_units_do_not_share_an_axis(visit, store):
    add(store, [call(0), call(24)])
    async with visit() as visitor:
        page = await asked(visitor, "SELECT day, calls, cost_usd, errors FROM cost_by_day ORDER BY 1")
    assert "<figcaption>calls, errors</figcaption>" in page
