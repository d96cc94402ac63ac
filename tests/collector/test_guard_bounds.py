"""What is too large to be planned in time is refused at once; what just passes runs in time."""

import subprocess
import sys
import time

import pytest
from lessllm_collector.errors import Refusal
from lessllm_collector.guard import judge


@pytest.fixture
def connection(store):
    with store.cursor() as cursor:
        cursor.execute("SELECT ?", [1]).fetchall()  # the first parameter makes DuckDB import modules
        yield cursor


def nested(opening, middle, closing, depth):
    return opening * depth + middle + closing * depth


def doubled(levels, step):
    sql = "api_calls"
    for _ in range(levels):
        sql = step.format(sql)
    return sql


def aliases(number):
    chain = ", ".join(f"a{n} + a{n} AS a{n + 1}" for n in range(number))
    return f"SELECT total_latency_ms AS a0, {chain} FROM api_calls"


def ctes(number):
    chain = ", ".join(f"c{n + 1} AS (FROM c{n} x JOIN c{n} y USING (model))" for n in range(number))
    return f"WITH c0 AS (FROM api_calls), {chain} FROM c{number}"


def joins(number):
    others = " ".join(
        f"JOIN api_calls a{n} ON a{n}.request_id = a{n - 1}.request_id" for n in range(1, number)
    )
    return f"SELECT count(*) FROM api_calls a0 {others}"


TOO_COMPLEX = {
    "a sum": "SELECT " + "+".join(["status_code"] * 500) + " FROM api_calls",
    "calls": "SELECT " + nested("abs(", "1", ")", 300),
    "lists": "SELECT " + nested("[", "", "]", 900),
    "cases": "SELECT " + nested("CASE WHEN true THEN ", "1", " END", 500),
    "a type": "SELECT NULL::INT" + "[]" * 990,
    "casts": "SELECT 1" + "::INT" * 500,
    "negations": "SELECT " + nested("NOT ", "true", "", 900),
    "joins": joins(41),
    "tables": "SELECT count(*) FROM " + ", ".join(f"api_calls a{n}" for n in range(41)),
    "unions": " UNION ALL ".join(["FROM api_calls"] * 41),
    "stars": "FROM " + doubled(4, "(SELECT *, * FROM {})"),
    "columns": "FROM " + doubled(4, "(SELECT COLUMNS(*), COLUMNS(*) FROM {})"),
    "aliases": aliases(14),
    "ctes": ctes(6),
}
TOO_DEEP_TO_PARSE = {
    "a sum": "SELECT " + "+".join(["1"] * 32_000),
    "parentheses": "SELECT " + nested("(", "1", ")", 30_000),
    "subqueries": nested("(SELECT ", "1", ")", 5_000),
    "more subqueries": "SELECT * FROM " + nested("(SELECT * FROM ", "api_calls", ")", 900),
}


@pytest.mark.parametrize(
    ("code", "sql"),
    [("too_complex", sql) for sql in TOO_COMPLEX.values()]
    + [("sql_error", sql) for sql in TOO_DEEP_TO_PARSE.values()],
    ids=[*TOO_COMPLEX, *(f"parsing {name}" for name in TOO_DEEP_TO_PARSE)],
)
def test_what_would_be_planned_for_long_is_refused_at_once(connection, code, sql):
    start = time.perf_counter()
    with pytest.raises(Refusal) as refusal:
        judge(connection, sql)
    assert refusal.value.code == code
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "+".join(["total_latency_ms"] * 140) + " FROM api_calls",
        joins(40),
        aliases(10),
        "SELECT count(*) FROM " + doubled(3, "(SELECT *, * FROM {})"),
        f"SELECT count(*) FROM api_calls WHERE status_code IN ({', '.join(map(str, range(9000)))})",
    ],
    ids=["sum", "joins", "aliases", "stars", "list"],
)
def test_what_just_passes_runs_in_time(connection, sql):
    judge(connection, sql)
    start = time.perf_counter()
    connection.execute(sql).fetchall()
    assert time.perf_counter() - start < 5


JSON = """
    array_to_json([x])
    from_json(x, '["JSON"]')
    from_json_strict(x, '["JSON"]')
    hash(x::JSON)
    json(x)
    json_array(x::JSON)
    json_array_length(x)
    json_exists(x, '$[0]')
    json_extract(x, '$[*]')
    json_extract(x, '$..a')
    json_extract_path(x, 'a')
    json_extract_path_text(x, 'a')
    json_extract_string(x, '$.a.a')
    json_group_array(x::JSON)
    json_group_object('a', x::JSON)
    json_keys(x)
    json_object('a', x::JSON)
    json_transform(x, '{"a": "JSON"}')
    json_transform_strict(x, '["JSON"]')
    json_type(x)
    json_valid(x)
    json_value(x, '$.a')
    min(x::JSON)
    row_to_json({'x': x::JSON})
    to_json(x::JSON)
    x->'a'->>0
    x::INT[][][]
    x::JSON::MAP(VARCHAR, JSON)
    x::JSON::STRUCT(a JSON)
    x::JSON::VARCHAR[]
"""
EACH_ON_DEEP_NESTING = """
import sys, duckdb
connection = duckdb.connect(config={"memory_limit": "512MB"})
connection.execute("CREATE TABLE t (x VARCHAR)")
depth = 200_000
connection.execute("INSERT INTO t VALUES (?)", ["[" * depth + "]" * depth])
connection.execute("INSERT INTO t VALUES (?)", ['{"a":' * depth + "1" + "}" * depth])
for expression in sys.stdin.read().split("\\n"):
    print(expression, flush=True)
    for source in (f"(SELECT {expression} FROM t)", "t, json_each(x)"):
        try:
            connection.execute(f"SELECT count(*) FROM {source}").fetchall()
            connection.execute(f"FROM {source}").fetchmany(1)
        except duckdb.Error:
            pass
print("survived")
"""


def test_no_allowed_json_function_ends_the_process_on_deep_nesting():
    """Those that DuckDB runs recursively, such as json_structure, do."""
    expressions = "\n".join(line.strip() for line in JSON.strip().splitlines())
    command = [sys.executable, "-c", EACH_ON_DEEP_NESTING]
    run = subprocess.run(command, input=expressions, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-200:] + run.stderr[-500:]
    assert run.stdout.endswith("survived\n")
