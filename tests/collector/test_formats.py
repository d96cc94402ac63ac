"""A result in each format: every type has a form that programs can read."""

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_collector.formats import ARROW, CSV, JSON, PARQUET, accepted, encode, records
from lessllm_collector.query import run


@pytest.fixture
def connection(store):
    with store.cursor() as cursor:
        yield cursor


def ask(connection, sql, max_rows=1000):
    return run(connection, sql, None, max_rows)


@pytest.mark.parametrize(
    ("expression", "name", "value"),
    [
        ("NULL::INT", "INTEGER", None),
        ("true", "BOOLEAN", True),
        ("9223372036854775807", "BIGINT", 9223372036854775807),
        ("18446744073709551615::UBIGINT", "UBIGINT", 18446744073709551615),
        ("sum(1)", "HUGEINT", 1),
        ("170141183460469231731687303715884105727", "HUGEINT", "170141183460469231731687303715884105727"),
        ("-9223372036854775809::HUGEINT", "HUGEINT", "-9223372036854775809"),
        ("0.1", "DECIMAL(2,1)", 0.1),
        ("-123456789012.345", "DECIMAL(15,3)", -123456789012.345),
        ("1234567890123.4567", "DECIMAL(17,4)", "1234567890123.4567"),
        ("5::DECIMAL(38,10)", "DECIMAL(38,10)", 5.0),
        ("1e-7::DECIMAL(38,20)", "DECIMAL(38,20)", 1e-7),
        ("1.5::FLOAT", "FLOAT", 1.5),
        ("'NaN'::DOUBLE", "DOUBLE", None),
        ("'-inf'::DOUBLE", "DOUBLE", None),
        ("'é\n\"'", "VARCHAR", 'é\n"'),
        ("'\\xFF\\x00'::BLOB", "BLOB", "/wA="),
        ("'{\"a\": 1}'::JSON", "JSON", '{"a": 1}'),
        ("'01a21063-3a69-7343-999c-e17d73b36454'::UUID", "UUID", "01a21063-3a69-7343-999c-e17d73b36454"),
        ("DATE '2026-11-25'", "DATE", "2026-11-25"),
        ("TIME '10:00:00.5'", "TIME", "10:00:00.500000"),
        ("TIMESTAMP '2026-11-25 10:00:00'", "TIMESTAMP", "2026-11-25T10:00:00.000000"),
        ("TIMESTAMPTZ '2026-11-25 10:00:00+02'", "TIMESTAMP WITH TIME ZONE", "2026-11-25T08:00:00.000000Z"),
        ("TIMESTAMP_NS '2026-11-25 10:00:00.123456789'", "TIMESTAMP_NS", "2026-11-25T10:00:00.123456789"),
        ("INTERVAL '1 year 2 days 3.5 seconds'", "INTERVAL", "P12M2DT3.5S"),
        ("INTERVAL '-3 hours'", "INTERVAL", "P0M0DT-10800S"),
        ("[1, NULL]", "INTEGER[]", [1, None]),
        ("[0.1, 10.25::DECIMAL(4,2)]", "DECIMAL(4,2)[]", [0.1, 10.25]),
        ("[TIMESTAMPTZ '2026-11-25 10:00:00Z']", None, ["2026-11-25T10:00:00.000000Z"]),
        ("{'a': DATE '2026-11-25', 'b': ['\\xFF'::BLOB]}", None, {"a": "2026-11-25", "b": ["/w=="]}),
        ("{'a': 1}", "STRUCT(a INTEGER)", {"a": 1}),
        ("{'a': NULL::TIMESTAMP}", None, {"a": None}),
        ("MAP {1.5: DATE '2026-11-25'}", "MAP(DECIMAL(2,1), DATE)", {"1.5": "2026-11-25"}),
        ("MAP {'a': 1}", "MAP(VARCHAR, INTEGER)", {"a": 1}),
        ("NULL::STRUCT(a TIMESTAMPTZ)[]", None, None),
    ],
)  # fmt: skip
def test_json_has_a_form_for_every_type(connection, expression, name, value):
    (text,) = [b"".join(encode(JSON, ask(connection, f"SELECT {expression} AS x")))]
    answer = json.loads(text, parse_constant=pytest.fail)
    assert answer["rows"] == [[value]]
    assert type(answer["rows"][0][0]) is type(value)
    assert answer["columns"][0]["name"] == "x"
    assert name is None or answer["columns"][0]["type"] == name


def test_moments_beyond_the_calendar_are_no_failure(connection):
    sql = "SELECT 'infinity'::TIMESTAMPTZ AS t, '-infinity'::DATE AS d, ['infinity'::TIMESTAMP] AS l"
    (row,) = json.loads(b"".join(encode(JSON, ask(connection, sql))))["rows"]
    assert "out of range" in row[0] and "out of range" in row[1]


def test_json_over_several_batches_is_one_array(connection):
    answer = json.loads(
        b"".join(encode(JSON, ask(connection, "SELECT i, i * 2 FROM range(5000) t(i)", 10_000)))
    )
    assert answer["rows"] == [[i, i * 2] for i in range(5000)]
    assert answer["truncated"] is False and answer["elapsed_ms"] >= 0
    answer = json.loads(b"".join(encode(JSON, ask(connection, "SELECT 1 WHERE false"))))
    assert answer["rows"] == []


def test_csv_is_quoted_and_has_a_header(connection):
    sql = (
        "SELECT 'a,\"b\"\n' AS \"the,text\", NULL AS nothing, [1, 2] list, true AS yes, 'NaN'::DOUBLE AS nan"
    )
    text = b"".join(encode(CSV, ask(connection, f"{sql} FROM range(3000)", 5000))).decode()
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert header == ["the,text", "nothing", "list", "yes", "nan"]
    assert rows == [['a,"b"\n', "", "[1,2]", "true", ""]] * 3000


def test_arrow_and_parquet_keep_the_types(connection):
    sql = "SELECT *, INTERVAL 1 DAY AS pause, sum(1) OVER () AS total FROM api_calls"
    table = pa.ipc.open_stream(b"".join(encode(ARROW, ask(connection, sql)))).read_all()
    assert table.num_rows == 5
    assert table.schema.field("timestamp").type == pa.timestamp("us", "UTC")
    table = pq.read_table(io.BytesIO(b"".join(encode(PARQUET, ask(connection, sql)))))
    assert table.num_rows == 5
    assert table.schema.field("timestamp").type == pa.timestamp("us", "UTC")
    assert table.column("pause").to_pylist() == ["P0M1DT0S"] * 5


@pytest.mark.parametrize("kind", [ARROW, CSV, PARQUET])
def test_no_rows_still_have_columns(connection, kind):
    data = b"".join(encode(kind, ask(connection, "SELECT model FROM api_calls WHERE false")))
    if kind == CSV:
        assert data == b"model\n"
    elif kind == ARROW:
        assert pa.ipc.open_stream(data).read_all().column_names == ["model"]
    else:
        assert pq.read_table(io.BytesIO(data)).column_names == ["model"]


def test_records_are_dicts(connection):
    assert records(ask(connection, "SELECT 1 AS a, DATE '2026-11-25' AS b")) == [{"a": 1, "b": "2026-11-25"}]


@pytest.mark.parametrize(
    ("header", "media_type"),
    [
        ("*/*", JSON),
        ("application/json", JSON),
        ("application/*", JSON),
        ("TEXT/CSV; charset=utf-8", CSV),
        ("text/*", CSV),
        (ARROW, ARROW),
        (PARQUET, PARQUET),
        ("text/html, text/csv;q=0.5, application/json;q=0.1", CSV),
        (f"application/json;q=0.9, {ARROW}", ARROW),
        ("text/html", None),
        ("application/json;q=0", None),
        ("application/json;q=x", None),
        ("", None),
    ],
)
def test_the_format_is_the_one_that_is_wanted_most(header, media_type):
    assert accepted(header) == media_type


@given(st.text(max_size=80))
def test_any_accept_header_is_understood_or_not(header):
    assert accepted(header) in (None, JSON, CSV, ARROW, PARQUET)
