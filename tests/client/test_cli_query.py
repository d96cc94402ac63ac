"""`lessllm query` and `lessllm export`, over recorded calls."""

import csv
import io
import json
import os
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from lessllm.state import ServerState
from lessllm_collector.store import Store
from lessllm_shared.config.sections import Query

COUNTS = "SELECT model, count(*) AS calls FROM api_calls GROUP BY model ORDER BY calls DESC, model"


@pytest.fixture
def here(recorded, tmp_path):
    """The working folder has the configuration of the server that runs."""
    (tmp_path / "lessllm.yaml").write_text(yaml.safe_dump(recorded.configuration))


@pytest.mark.usefixtures("here")
class TestHere:
    def test_a_table_is_for_people(self, run, recorded):
        result = run("query", COUNTS)
        assert result.code == 0
        assert result.out.splitlines()[0].split() == ["model", "calls"]
        assert result.out.splitlines()[2].split() == ["gpt-4.1-mini", "6"]
        assert result.err == f"({len(recorded.query(COUNTS))} rows)\n"

    def test_json_is_an_object_for_each_row(self, run, recorded):
        result = run("query", "--format", "json", COUNTS)
        assert json.loads(result.out) == list(recorded.query(COUNTS))
        assert len(result.out.splitlines()) == len(recorded.query(COUNTS))
        assert json.loads(run("query", "SELECT 1 AS a, 2 AS a", "--format", "json").out) == [
            {"a": 1, "a_2": 2}
        ]
        assert json.loads(run("query", "SELECT 1 AS a WHERE false", "--format", "json").out) == []

    def test_csv_has_a_heading_and_is_whole(self, run, recorded):
        rows = list(csv.DictReader(io.StringIO(run("query", "--format", "csv", COUNTS).out)))
        assert [row["model"] for row in rows] == [row["model"] for row in recorded.query(COUNTS)]

    def test_arrow_is_a_stream_for_programs_and_not_for_a_terminal(self, lessllm_command, recorded, terminal):
        command = [lessllm_command, "query", "--format", "arrow", COUNTS]
        answer = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        assert pa.ipc.open_stream(answer.stdout).read_all().to_pylist() == list(recorded.query(COUNTS))
        refused = terminal("query", "--format", "arrow", COUNTS)
        assert refused.code == 2
        assert "arrow is not for a terminal" in refused.out

    def test_sql_may_come_from_a_file(self, run):
        assert json.loads(run("query", "-", "--format", "json", stdin="SELECT 7 AS n").out) == [{"n": 7}]

    def test_wrong_sql_is_said_in_the_databases_words(self, run):
        result = run("query", "SELECT mdoel FROM api_calls")
        assert (result.code, result.out) == (1, "")
        assert result.err.startswith('lessllm: Binder Error: Referenced column "mdoel" not found')
        assert "Traceback" not in result.err

    def test_rows_that_were_left_out_are_mentioned(self, run):
        result = run("query", "SELECT 1 AS a FROM api_calls", "--max-rows", "2")
        assert "there are more rows" in result.err
        assert len(result.out.splitlines()) == 4

    @pytest.mark.parametrize("columns", [40, 80, 120])
    def test_in_a_terminal_nothing_is_wider_than_it(self, terminal, columns):
        result = terminal("query", "SELECT * FROM api_calls", columns=columns)
        assert result.code == 0
        assert max(map(len, result.out.splitlines())) <= columns

    def test_an_export_is_a_parquet_file_of_all_columns(self, run, tmp_path):
        result = run("export", "calls.parquet", "--model", "gpt-4.1-mini")
        assert (result.code, result.out) == (0, "")
        assert result.err.startswith("calls.parquet: 6 calls, ")
        table = pq.read_table(tmp_path / "calls.parquet")
        assert set(table["model"].to_pylist()) == {"gpt-4.1-mini"}
        assert {"request_body", "actual_usage", "timestamp"} <= set(table.column_names)

    def test_a_terminal_shows_the_exports_progress(self, terminal):
        result = terminal("export", "calls.parquet")
        assert result.code == 0
        assert "calls.parquet: 16 calls, " in result.out

    def test_an_export_to_nowhere_is_one_line(self, run):
        result = run("export", "nowhere/calls.parquet")
        assert result.code == 1
        assert result.err == "lessllm: nowhere/calls.parquet: can't be written: No such file or directory\n"

    def test_a_wrong_date_leaves_no_file(self, run):
        result = run("export", "calls.parquet", "--start-date", "yesterday")
        assert result.code == 1
        assert "start_date" in result.err
        assert "calls.parquet" not in os.listdir()  # noqa: PTH208 - the working folder


def test_a_database_is_read_though_no_server_runs(run, tmp_path):
    """By a collector that lives as long as the question, and needs no provider's key."""
    Store(tmp_path / "calls.duckdb", Query()).close()
    (tmp_path / "lessllm.yaml").write_text(
        "logging: {db_path: calls.duckdb}\nproviders: {openai: {api_key: '${NOT_SET}'}}"
    )
    result = run("query", "SELECT count(*) AS calls FROM api_calls", "--format", "json")
    assert (result.code, json.loads(result.out), result.err) == (0, [{"calls": 0}], "")
    assert not ServerState(tmp_path / "calls.duckdb").is_taken()


def test_a_file_that_is_no_database_is_said_to_be_none(run, tmp_path):
    (tmp_path / "lessllm.duckdb").write_text("my thesis")
    result = run("query", "SELECT 1")
    assert (result.code, result.out) == (1, "")
    assert "is not a DuckDB file" in result.err
    assert (tmp_path / "lessllm.duckdb").read_text() == "my thesis"
