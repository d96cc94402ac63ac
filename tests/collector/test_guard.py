"""What a user's SQL may be: only reading, only api_calls. The bounds on its size: test_guard_bounds."""

import json

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lessllm_collector.allowed import FUNCTIONS, TABLE_FUNCTIONS, TYPES
from lessllm_collector.errors import Refusal
from lessllm_collector.guard import judge

MARKER = "s3cret-marker"


@pytest.fixture
def connection(store):
    with store.cursor() as cursor:
        cursor.execute("INSERT INTO internal.deliveries VALUES (?, 1, now())", [MARKER])
    with store.cursor() as cursor:
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        yield cursor


def refused(connection, sql):
    with pytest.raises(Refusal) as refusal:
        judge(connection, sql)
    assert refusal.value.status == 400
    return refusal.value


def lines(text):
    return [line.strip() for line in text.strip().splitlines()]


WANTED = """
    FROM api_calls
    TABLE main.API_calls;
    DESCRIBE api_calls
    SUMMARIZE SELECT model, total_latency_ms FROM api_calls
    VALUES (1, 'a'), (2, 'b')
    SELECT 1; -- one statement
    SELECT /* ; DROP TABLE x */ ';'
    SELECT * EXCLUDE (tags) REPLACE (upper(model) AS model) FROM api_calls
    SELECT COLUMNS('actual_.*') FROM api_calls
    SELECT count(*) FILTER (end_reason = 'complete') / count(*) FROM api_calls WHERE model LIKE 'gpt-%'
    SELECT model, quantile_cont(total_latency_ms, [0.5, 0.99]) FROM api_calls GROUP BY ALL ORDER BY ALL
    SELECT time_bucket(INTERVAL 15 minutes, timestamp) t, count(*) FROM api_calls GROUP BY t
    SELECT timestamp AT TIME ZONE 'Europe/Paris', extract(hour FROM timestamp) FROM api_calls
    SELECT CAST(raw_request AS JSON)->'messages'->0->>'role', raw_request->>'$.model' FROM api_calls
    SELECT m->>'content' FROM api_calls, unnest(json_extract(raw_request, '$.messages[*]')) t(m)
    SELECT count(*) OVER w, lag(model) OVER w FROM api_calls WINDOW w AS (ORDER BY timestamp)
    SELECT * FROM api_calls QUALIFY row_number() OVER (PARTITION BY model ORDER BY timestamp DESC) = 1
    WITH a AS (SELECT * FROM api_calls), b AS (SELECT * FROM a) SELECT * FROM b JOIN a USING (request_id)
    WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT * FROM t
    SELECT d FROM range(DATE '2026-11-01', DATE '2026-11-05', INTERVAL 1 DAY) t(d) LEFT JOIN api_calls ON true
    SELECT list_transform([1, 2], lambda x: x + 1), [x * 2 FOR x IN [1, 2] IF x > 1]
    SELECT model FROM api_calls UNION BY NAME SELECT 'x' AS model EXCEPT SELECT NULL
    SELECT 'a' IN (SELECT model FROM api_calls), EXISTS (FROM api_calls), (SELECT 1)
    SELECT replace(model, 'gpt-', ''), regexp_replace(model, '[0-9]+', '#', 'g'), concat_ws(' ', model, 'a')
    SELECT {'a': 1}.a, [1, 2][1], model[1:3], TRY(CAST(model AS INT)), MAP {'a': 1}['a'] FROM api_calls
    SELECT x::DECIMAL(3, 1)[], x::STRUCT(a INT, b JSON[]), x::MAP(VARCHAR, TIMESTAMPTZ)
    SELECT ?::INT + $1
    SELECT * FROM api_calls USING SAMPLE 10 ROWS
"""


@pytest.mark.parametrize("sql", lines(WANTED))
def test_what_users_ask_passes(connection, sql):
    judge(connection, sql)


REFUSED = {
    "unknown_table": """
        SELECT * FROM internal.calls
        SELECT * FROM main.lessllm_schema
        SELECT * FROM lessllm_schema
        SELECT * FROM calls.internal.deliveries
        SELECT * FROM calls.main.api_calls
        SELECT * FROM "INTERNAL"."calls"
        SELECT * FROM '/etc/passwd'
        FROM 'https://evil.test/x.parquet'
        SELECT * FROM sqlite_master
        SELECT * FROM information_schema.tables
        SELECT * FROM pg_catalog.pg_class
        SELECT * FROM api_calls, internal.calls
        SELECT * FROM api_calls POSITIONAL JOIN internal.calls
        SELECT 1 WHERE EXISTS (FROM internal.calls)
        SELECT max((SELECT max(gateway_id) FROM internal.calls)) OVER () FROM api_calls
        SELECT 1 ORDER BY (SELECT 1 FROM internal.calls)
        SELECT 1 LIMIT (SELECT sequence FROM internal.calls)
        SELECT 1 UNION (SELECT 2 FROM internal.calls)
        SELECT * FROM unnest((SELECT list(gateway_id) FROM internal.calls))
        SELECT CASE WHEN true THEN (SELECT 1 FROM internal.calls) END
        SELECT count(*) FILTER (WHERE 1 IN (SELECT 1 FROM internal.calls))
        SELECT * REPLACE ((SELECT 1 FROM internal.calls) AS model) FROM api_calls
        VALUES ((SELECT 1 FROM internal.calls))
        DESCRIBE internal.calls
        SUMMARIZE 'x.csv'
        SELECT * FROM api_calls AT (VERSION => 1)
        SELECT * FROM df
        WITH a AS (FROM sqlite_master), sqlite_master AS (SELECT 1) FROM a
        WITH sqlite_master AS (FROM sqlite_master) FROM sqlite_master
        WITH RECURSIVE sqlite_master AS (FROM sqlite_master UNION SELECT 1) FROM sqlite_master
        FROM sqlite_master, (WITH sqlite_master AS (SELECT 1) FROM sqlite_master)
        WITH sqlite_master AS (SELECT 1) FROM main.sqlite_master
    """,
    "function_not_allowed": """
        SELECT * FROM enable_logging(storage = 'file')
        SELECT * FROM query_table('internal.calls')
        SELECT * FROM query('SELECT 1')
        SELECT * FROM read_text('/etc/passwd')
        SELECT * FROM read_csv_auto('x')
        SELECT * FROM glob('*')
        SELECT * FROM duckdb_settings()
        SELECT * FROM duckdb_secrets()
        SELECT * FROM pragma_table_info('internal.calls')
        SELECT * FROM checkpoint()
        SELECT * FROM force_checkpoint()
        SELECT * FROM histogram(internal.calls, model)
        SELECT * FROM json_execute_serialized_sql('{}')
        SELECT * FROM arrow_scan(1, 2, 3)
        SELECT * FROM python_map_function()
        SELECT * FROM repeat('x', 10)
        SELECT * FROM upper('x')
        SELECT json_execute_serialized_sql('{}')
        SELECT write_log('x')
        SELECT getenv('HOME')
        SELECT current_setting('memory_limit')
        SELECT getvariable('x')
        SELECT nextval('x')
        SELECT setseed(0.5)
        SELECT repeat('x', 4000000000)
        SELECT ('x').repeat(4000000000)
        SELECT lpad('x', 4000000000, 'y'), rpad('x', 1, 'y')
        SELECT printf('%1000000000d', 1)
        SELECT format('{:1000000000}', 1)
        SELECT bar(1, 0, 1, 1000000000)
        SELECT range(1000000000)
        SELECT * FROM unnest(generate_series(1, 1000000000))
        SELECT list_resize([1], 1000000000)
        SELECT list_reduce(['x'], lambda a, b: a || a)
        SELECT list_aggregate([1], 'sum')
        SELECT levenshtein(raw_request, raw_response) FROM api_calls
        SELECT json_structure(raw_request) FROM api_calls
        SELECT json_merge_patch(raw_request, '{}') FROM api_calls
        SELECT * FROM json_tree('[]')
        SELECT sleep_ms(100000), pg_sleep(100)
        SELECT row_number() OVER (), internal.f() OVER ()
        SELECT system.main.sum(1)
        SELECT internal.sum(1)
        SELECT replace(model, 'a', model) FROM api_calls
        SELECT array_to_string(['a'], raw_request) FROM api_calls
        SELECT concat_ws(raw_request, model, model) FROM api_calls
    """,
    "type_not_allowed": """
        SELECT CAST(raw_request::JSON AS VARIANT) FROM api_calls
        SELECT NULL::INT[1000000000]
        SELECT NULL::STRUCT(a VARIANT[])[]
        SELECT 'x'::inet
        SELECT 'x'::geometry
        SELECT 'x'::internal.mine
        SELECT 'a'::ENUM('a')
    """,
    "read_only": """
        INSERT INTO api_calls VALUES (1)
        DELETE FROM internal.calls
        CREATE TABLE x AS SELECT 1
        CREATE MACRO f() AS TABLE FROM internal.calls
        DROP VIEW api_calls
        COPY api_calls TO 'x.csv'
        COPY (SELECT 1) TO 'x.csv'
        EXPORT DATABASE 'x'
        ATTACH 'x.duckdb'
        USE internal
        SET memory_limit = '100GB'
        RESET threads
        PRAGMA memory_limit = '100GB'
        CALL enable_logging()
        CHECKPOINT
        VACUUM
        INSTALL httpfs
        LOAD httpfs
        BEGIN
        COMMIT
        PREPARE p AS SELECT 1
        EXECUTE p
        EXPLAIN ANALYZE SELECT 1
        PIVOT api_calls ON model USING count(*)
        SELECT 1; DROP VIEW api_calls
    """,
    "not_allowed": """
        PIVOT api_calls ON model IN ('a') USING count(*)
        FROM (UNPIVOT api_calls ON model INTO NAME n VALUE v)
        SHOW TABLES
        SHOW ALL TABLES
        FROM (SHOW DATABASES)
        SELECT DEFAULT
    """,
    "one_statement": """
        SELECT 1; SELECT 2
         ;; -- nothing
    """,
    "sql_error": """
        SELCT 1
        SELECT 'a
        WITH x AS (INSERT INTO api_calls VALUES (1)) SELECT 1
    """,
}


@pytest.mark.parametrize(("code", "sql"), [(code, sql) for code in REFUSED for sql in lines(REFUSED[code])])
def test_anything_else_is_refused(connection, code, sql):
    assert refused(connection, sql).code == code


@pytest.mark.parametrize(
    ("code", "sql"),
    [
        ("unknown_table", "WITH duc\u212adb_tables AS (SELECT 1) FROM duckdb_tables"),  # the Kelvin sign
        ("function_not_allowed", f"SELECT replace(model, 'a', '{'b' * 101}') FROM api_calls"),
        ("one_statement", ""),
        ("sql_error", "SELECT 1\0; DROP VIEW api_calls"),
        ("sql_error", "SELECT '\ud800'"),
        ("sql_too_long", f"SELECT '{'x' * 64 * 1024}'"),
        ("sql_too_long", f"SELECT '{'é' * 33 * 1024}'"),
    ],
)
def test_odd_texts_are_refused(connection, code, sql):
    assert refused(connection, sql).code == code


def test_a_refusal_names_what_is_wrong_and_the_nearest_right(connection):
    sql = "SELECT date_trunk('day', timestamp) FROM api_calls"
    assert refused(connection, sql).message == "date_trunk() is not allowed; did you mean date_trunc()?"
    assert "did you mean api_calls?" in refused(connection, "FROM calls").message
    assert (
        "the tables are api_calls, delivery_gaps, cost_by_day," in refused(connection, "FROM users").message
    )
    assert "did you mean recent?" in refused(connection, "WITH recent AS (SELECT 1) FROM recnt").message
    assert "line 2, column 6" in refused(connection, "SELECT 'é' ü,\n  ä, , ö").message
    assert "start with SELECT" in refused(connection, "UPDATE api_calls SET model = 1").message


@pytest.mark.parametrize(
    ("known", "unknown", "code"),
    [
        ('"SELECT_NODE"', '"NEW_NODE"', "not_allowed"),
        ('"EMPTY"', '"NEW_REF"', "not_allowed"),
        ('"FUNCTION"', '"NEW_EXPRESSION"', "not_allowed"),
        ('"ORDER_MODIFIER"', '"NEW_MODIFIER"', "not_allowed"),
        ('"INTEGER"', '"NEW_TYPE"', "type_not_allowed"),
    ],
)
def test_what_a_newer_parser_might_make_is_refused(connection, known, unknown, code):
    class Newer:
        def execute(self, sql, params):
            (self.tree,) = connection.execute(sql, params).fetchone()
            return self

        def fetchone(self):
            assert known in self.tree
            return (self.tree.replace(known, unknown),)

    assert refused(Newer(), "SELECT abs(1) ORDER BY 1").code == code


def test_every_allowed_name_exists(connection):
    rows = connection.execute("SELECT function_name FROM duckdb_functions()").fetchall()
    known = {name.lower() for (name,) in rows}
    assert known >= (FUNCTIONS | TABLE_FUNCTIONS) - {"unnest"}  # that one is the binder's own
    assert not TYPES & {"VARIANT", "ARRAY", "ENUM", "UNION"}


def test_the_parse_tree_has_the_parts_that_are_looked_at(connection):
    """A newer DuckDB that puts expressions elsewhere must be noticed."""

    def tree(sql):
        (text,) = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
        return json.loads(text)["statements"][0]

    statement = tree("SELECT 1 FROM a JOIN b ON true")
    assert set(statement) == {"node", "named_param_map"}
    assert set(statement["node"]) == {
        *("type", "modifiers", "cte_map", "select_list", "from_table", "where_clause", "group_expressions"),
        *("group_sets", "aggregate_handling", "having", "sample", "qualify"),
    }
    reference = {"type", "alias", "sample", "query_location"}
    join = statement["node"]["from_table"]
    assert set(join) == reference | {
        *("left", "right", "condition", "join_type", "ref_type", "using_columns", "delim_flipped"),
        *("duplicate_eliminated_columns", "is_implicit"),
    }
    table = {"schema_name", "table_name", "column_name_alias", "catalog_name", "at_clause"}
    assert set(join["left"]) == reference | table
    table_function = tree("FROM range(1)")["node"]["from_table"]
    assert set(table_function) == reference | {"function", "column_name_alias", "with_ordinality"}
    assert set(tree("SELECT 1 UNION SELECT 2")["node"]) == {
        *("type", "modifiers", "cte_map", "setop_type", "left", "right", "setop_all", "children"),
    }


NAMES = """
    api_calls
    main.api_calls
    "API_CALLS"
    internal.deliveries
    internal.calls
    calls.internal.deliveries
    main.lessllm_schema
    sqlite_master
    duckdb_tables
    recurring.a
    '/etc/hostname'
    a
    b
"""
CTES = """
    a
    b
    sqlite_master
    deliveries
    duckdb_tables
    api_calls
    duc\u212adb_tables
"""
TABLES = """
    duckdb_tables()
    query_table('internal.deliveries')
    query('FROM internal.deliveries')
    range(3)
    unnest([1])
    glob('/etc/*')
    read_text('/etc/hostname')
    duckdb_logs()
    pragma_database_list()
"""
VALUES = """
    1
    *
    COLUMNS(*)
    model
    gateway_id
    count(*)
    upper('a')
    current_setting('threads')
    current_schemas(true)
    NULL::VARIANT
    internal.deliveries.gateway_id
    getvariable('x')
"""


def _larger(query):
    source = st.sampled_from(lines(NAMES)) | st.sampled_from(lines(TABLES)) | query.map("({})".format)
    value = (
        st.sampled_from(lines(VALUES))
        | query.map("(SELECT max(t) FROM ({}) t)".format)
        | query.map("EXISTS ({})".format)
    )
    cte = st.sampled_from(lines(CTES))
    select = st.builds("SELECT {} FROM {}".format, value, source)
    return st.one_of(
        select,
        st.builds(
            "SELECT {}, {} FROM {}, {} WHERE {} IS NOT NULL".format, value, value, source, source, value
        ),
        st.builds("WITH {} AS ({}) {}".format, cte, query, select),
        st.builds("WITH {} AS ({}), {} AS ({}) {}".format, cte, query, cte, query, select),
        st.builds("WITH RECURSIVE {} AS ({} UNION {}) {} LIMIT 3".format, cte, query, query, select),
        st.builds("({}) UNION ALL BY NAME ({})".format, query, query),
        st.builds("FROM {}".format, source),
        st.builds("SELECT * FROM {} JOIN {} ON {} = {}".format, source, source, value, value),
        st.builds("SELECT * FROM (DESCRIBE {})".format, source),
        st.builds("{} ORDER BY {} LIMIT 2".format, select, value),
    )


_statements = st.recursive(st.sampled_from(lines(NAMES)).map("FROM {}".format), _larger, max_leaves=6)
_many = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(_many, max_examples=400)
@given(_statements)
def test_nothing_that_passes_reads_anything_but_calls(connection, sql):
    try:
        judge(connection, sql)
    except Refusal:
        return
    try:
        table = connection.execute(f"SELECT * FROM ({sql}) LIMIT 100").to_arrow_table()
    except duckdb.Error:  # wrong names and types
        connection.execute("ROLLBACK")
        connection.execute("BEGIN TRANSACTION READ ONLY")
        return
    text = str(table.to_pylist())
    assert MARKER not in text and "lessllm_schema" not in text and "deliveries" not in text


TOKENS = "SELECT FROM WITH AS ( ) [ ] { } , ; . :: -> * ' \" $$ -- /* */ api_calls x 1 CASE"


@settings(_many, max_examples=200)
@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(TOKENS.split()) | st.characters(), max_size=40).map(" ".join)
)
def test_any_text_passes_or_is_refused(connection, sql):
    try:
        judge(connection, sql)
    except Refusal as refusal:
        status = refusal.status
    else:
        status = 400
    assert status == 400
