"""A query's result: a list of dicts that prints as a table."""

import datetime as dt
import io
import pickle
from decimal import Decimal

import pyarrow as pa
import pytest
from lessllm import arrow, columns
from lessllm.result import QueryResult
from lessllm_shared.figures import NULL

NOON = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)


def result(**values):
    return QueryResult(pa.table(values))


def as_stream(table):
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def test_rows_are_dicts_and_null_is_none():
    rows = result(model=["a", None], at=pa.array([NOON, None], pa.timestamp("us", "UTC")))
    assert rows == [{"model": "a", "at": NOON}, {"model": None, "at": None}]
    assert rows.columns == ["model", "at"]


def test_it_prints_as_a_table_with_a_dash_for_null(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    rows = result(model=["a", None], calls=[1200, 3], cost_usd=[0.00012345, None])
    assert repr(rows) == str(rows)
    assert str(rows).splitlines() == [
        "model  calls   cost_usd",
        "───────────────────────",
        "a       1200  $0.000123",
        f"{NULL}          3          {NULL}",
        "(2 rows)",
    ]


def test_an_empty_result_shows_its_columns():
    assert str(result(model=pa.array([], pa.string()))).splitlines()[0] == "model"
    assert str(result(model=pa.array([], pa.string()))).endswith("(0 rows)")


def test_in_a_narrow_terminal_each_row_is_a_block(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    rows = result(**{f"estimated_{name}_ms": [123456.7] for name in ("ttft", "tpot", "total")})
    assert str(rows).count("123,457") == 3


def test_long_results_and_long_texts_are_cut_and_say_so(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    text = str(result(n=range(60)))
    assert text.endswith("(60 rows, the first 50 shown)")
    assert "(4,700 characters more)" in str(result(body=["x" * 5000]))
    assert "limit on rows" in str(QueryResult(pa.table({"n": [1]}), truncated=True))


def test_as_html_nothing_is_markup():
    shown = result(body=["<script>alert(1)</script>"])._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown


def test_it_becomes_arrow_and_pandas():
    rows = result(model=["a", "b"], calls=[1, 2])
    assert rows.to_arrow().column("calls").to_pylist() == [1, 2]
    assert list(rows.to_pandas()["model"]) == ["a", "b"]


def test_it_can_be_sent_to_another_process():
    assert pickle.loads(pickle.dumps(result(n=[1]))) == [{"n": 1}]


def test_sums_of_integers_are_integers_not_decimals():
    sums = pa.array([Decimal(12), None], pa.decimal128(38, 0))
    assert arrow.read(as_stream(pa.table({"s": sums}))).to_pylist() == [{"s": 12}, {"s": None}]
    huge = pa.array([Decimal(2) ** 100], pa.decimal128(38, 0))
    assert arrow.read(as_stream(pa.table({"s": huge}))).to_pylist() == [{"s": Decimal(2) ** 100}]


@pytest.mark.parametrize(
    ("names", "distinct"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", "a", "a"], ["a", "a_2", "a_3"]),
        (["a", "a", "a_2"], ["a", "a_3", "a_2"]),
        (["a_2", "a", "a"], ["a_2", "a", "a_3"]),
    ],
)
def test_columns_of_one_name_are_told_apart(names, distinct):
    assert columns.distinct(names) == distinct
