"""Opening the file: tables, view, lock-down, and the words when it can't be opened."""

import math
import random
from importlib.resources import files

import duckdb
import pytest
from lessllm_collector import migrations
from lessllm_collector import store as store_module
from lessllm_collector.migrations import migrate
from lessllm_collector.schema import COLUMNS, STORED
from lessllm_collector.store import Store, StoreError
from lessllm_shared.config.sections import Query

from .running import eventually, held, largest_file


@pytest.fixture
def path(tmp_path):
    return tmp_path / "calls.duckdb"


@pytest.fixture
def store(path):
    store = Store(path, Query())
    yield store
    store.close()


def test_the_view_has_every_column_in_order_with_its_type_and_comment(store):
    found = (
        store.cursor()
        .execute(
            "SELECT column_name, comment FROM duckdb_columns()"
            " WHERE table_name = 'api_calls' ORDER BY column_index"
        )
        .fetchall()
    )
    assert found == [(column.name, column.comment) for column in COLUMNS]


def test_the_table_has_every_stored_column_with_its_type(store):
    found = (
        store.cursor()
        .execute(
            "SELECT column_name, data_type FROM duckdb_columns()"
            " WHERE schema_name = 'internal' AND table_name = 'calls'"
        )
        .fetchall()
    )
    types = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
    expected = [(column.name, types.get(column.sql_type, column.sql_type)) for column in STORED]
    assert sorted(found) == sorted(expected)  # columns of later migrations stand at the table's end


def test_dates_are_utc_whatever_the_machine_thinks(path, monkeypatch):
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    store = Store(path, Query())
    sql = "SELECT date(TIMESTAMPTZ '2026-01-01 23:30:00+00')::VARCHAR"
    assert store.cursor().execute(sql).fetchone() == ("2026-01-01",)
    store.close()


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO 'out.csv'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "ATTACH 'other.duckdb'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '20GB'",
        "SET TimeZone = 'Asia/Tokyo'",
    ],
)
def test_nothing_outside_is_in_reach_and_no_setting_can_be_changed(store, sql):
    with pytest.raises(duckdb.Error):
        store.cursor().execute(sql)


def test_a_python_variable_is_no_table(store):
    secrets = store.cursor().execute("SELECT 1 AS a").to_arrow_table()
    with pytest.raises(duckdb.CatalogException):
        store.cursor().execute("SELECT * FROM secrets")
    assert secrets.num_rows == 1


def test_a_second_start_finds_what_the_first_one_wrote(path):
    first = Store(path, Query())
    first.cursor().execute("INSERT INTO internal.deliveries VALUES ('g', 7, now())")
    first.close()
    second = Store(path, Query())
    assert second.committed() == {"g": 7}
    second.close()


def test_migrating_twice_changes_nothing():
    connection = duckdb.connect()
    migrate(connection)
    migrate(connection)
    versions = connection.execute("SELECT version FROM main.lessllm_schema").fetchall()
    assert versions == [(number,) for number in range(1, len(versions) + 1)]


def test_a_database_of_the_first_version_opens_with_its_calls(path):
    first = files(migrations).joinpath("0001_calls.sql").read_text("utf-8")
    with duckdb.connect(path) as database:
        database.execute("CREATE TABLE main.lessllm_schema AS SELECT 1 AS version")
        database.execute(first)
        database.execute(
            "INSERT INTO internal.calls (request_id, timestamp, gateway_id, sequence, model)"
            " VALUES ('r', now(), 'g', 1, 'm')"
        )
    store = Store(path, Query())
    found = store.cursor().execute("SELECT model, input_usd_per_mtok, raw_request FROM api_calls").fetchall()
    assert found == [("m", None, None)]
    store.close()


def test_a_database_of_a_newer_version_is_refused(path):
    store = Store(path, Query())
    store.cursor().execute("INSERT INTO main.lessllm_schema VALUES (9999)")
    store.close()
    with pytest.raises(StoreError, match="schema version 9999"):
        Store(path, Query())


def test_a_file_that_is_no_database_is_named_and_left_alone(path):
    path.write_bytes(b"my shopping list, which is longer than any header" * 400)
    with pytest.raises(StoreError, match=r"calls\.duckdb: is not a DuckDB file: move it away"):
        Store(path, Query())
    assert path.read_bytes().startswith(b"my shopping list")


def test_a_folder_that_can_not_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't be opened"):
        Store(tmp_path / "file" / "calls.duckdb", Query())


def test_a_database_in_use_names_the_process_that_has_it(path):
    with held(path) as pid, pytest.raises(StoreError, match=f"in use by process {pid}: stop it"):
        Store(path, Query())


def test_what_the_database_keeps_of_its_file_in_memory_is_counted(path):
    before = Store(path, Query())
    before.cursor().execute("CREATE TABLE internal.much AS SELECT random() AS x FROM range(1_000_000)")
    before.close()
    store = Store(path, Query())
    unread = store.memory_bytes(cache=True)
    store.cursor().execute("SELECT sum(x) FROM internal.much").fetchall()
    assert store.memory_bytes(cache=True) - unread > 7_000_000  # a million doubles, as they are on the disk
    store.close()
    assert math.isnan(store.memory_bytes(cache=True))


def fail(store):
    """A checkpoint finds no room, for which DuckDB gives the database up."""
    cursor = store.cursor()
    cursor.execute(
        "INSERT INTO internal.quarantine VALUES ('g', 1, now(), 'odd', ?)",
        [random.Random(1).randbytes(2_000_000)],
    )
    with largest_file(store.size_bytes()), pytest.raises(duckdb.FatalException) as raised:
        cursor.execute("CHECKPOINT")
    return raised.value


async def test_a_database_that_failed_is_opened_again_with_all_that_was_committed(store, monkeypatch):
    monkeypatch.setattr(store_module, "RETRY_S", 0.01)
    idle = store.cursor()
    with pytest.raises(StoreError, match="failed and is opened again: FATAL Error: Failed to create check"):
        store.check(fail(store))
    with pytest.raises(StoreError, match="failed and is opened again"):
        store.cursor()
    await eventually(lambda: store.trouble is None)
    found = store.cursor().execute("SELECT sequence, octet_length(record) FROM internal.quarantine")
    assert found.fetchall() == [(1, 2_000_000)]
    with pytest.raises(duckdb.ConnectionException, match="closed"):
        idle.execute("SELECT 1")


async def test_a_database_that_can_not_be_opened_again_says_why_until_it_can(store, path, monkeypatch):
    monkeypatch.setattr(store_module, "RETRY_S", 0.01)
    error = fail(store)
    away = path.rename(path.with_name("away"))
    path.mkdir()
    with pytest.raises(StoreError):
        store.check(error)
    await eventually(lambda: "is a folder" in (store.trouble or ""))
    path.rmdir()
    away.rename(path)
    await eventually(lambda: store.trouble is None)


def test_an_error_that_is_not_the_end_of_the_database_changes_nothing(store):
    store.check(duckdb.FatalException("FATAL Error: not this one"))
    assert store.trouble is None


def test_closing_a_database_that_failed_lets_go_of_it(path, caplog):
    store = Store(path, Query())
    with pytest.raises(StoreError):
        store.check(fail(store))
    store.close()
    assert "what was committed stays in" in caplog.text
    again = Store(path, Query())
    assert again.cursor().execute("SELECT count(*) FROM internal.quarantine").fetchone() == (1,)
    again.close()
