"""`lessllm backup` and `lessllm compact`: a copy that can be restored, and a file that gets smaller."""

import signal
import subprocess

import duckdb
import pytest
import yaml
from lessllm.state import ServerState
from lessllm_collector.store import Store
from lessllm_shared.config.sections import Query

DUCKDB = "application/vnd.duckdb"


def files(folder):
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture
def database(tmp_path):
    """Of no server: `lessllm.duckdb` in the working folder."""
    store = Store(tmp_path / "lessllm.duckdb", Query())
    store.cursor().execute("INSERT INTO internal.deliveries VALUES ('g', 7, now())")
    store.close()
    return store.path


class TestWithAServer:
    @pytest.fixture(autouse=True)
    def _here(self, recorded, tmp_path):
        (tmp_path / "lessllm.yaml").write_text(yaml.safe_dump(recorded.configuration))

    def test_a_backup_is_the_whole_database(self, run, recorded, tmp_path):
        result = run("backup", "copy.duckdb")
        assert (result.code, result.out) == (0, "")
        assert result.err.startswith("copy.duckdb: 16 calls, ")
        assert files(tmp_path) == ["copy.duckdb", "lessllm.yaml"]
        with duckdb.connect(tmp_path / "copy.duckdb", read_only=True) as copy:
            ids = copy.execute("SELECT request_id FROM api_calls ORDER BY 1").fetchall()
        assert ids == [
            (row["request_id"],) for row in recorded.query("SELECT request_id FROM api_calls ORDER BY 1")
        ]

    def test_a_terminal_shows_its_progress(self, terminal):
        result = terminal("backup", "copy.duckdb")
        assert result.code == 0
        assert "copy.duckdb: 16 calls, " in result.out

    def test_what_is_there_is_replaced_only_when_told_so(self, run, tmp_path):
        (tmp_path / "copy.duckdb").write_text("yesterday's")
        result = run("backup", "copy.duckdb")
        assert (result.code, result.out) == (1, "")
        assert result.err == "lessllm: copy.duckdb is there already: --force replaces it\n"
        assert (tmp_path / "copy.duckdb").read_text() == "yesterday's"
        assert run("backup", "copy.duckdb", "--force").code == 0
        assert (tmp_path / "copy.duckdb").read_bytes()[8:12] == b"DUCK"

    def test_a_database_in_use_is_never_replaced(self, run, recorded):
        result = run("backup", recorded.database, "--force")
        assert result.code == 1
        assert (
            result.err == f"lessllm: {recorded.database} is a database in use, and stays: name another file\n"
        )
        assert len(recorded.query("SELECT 1 FROM api_calls")) == 16

    def test_a_backup_to_nowhere_is_one_line(self, run):
        result = run("backup", "nowhere/copy.duckdb")
        assert result.code == 1
        assert result.err == "lessllm: nowhere/copy.duckdb: can't be written: No such file or directory\n"

    def test_compacting_waits_for_nobody(self, run, recorded):
        result = run("compact")
        assert (result.code, result.out) == (1, "")
        assert "a server uses it" in result.err and f"{recorded.url}): stop it first" in result.err


@pytest.mark.parametrize("pieces", [[b"half", None], [b"half", b"whole"]])
def test_a_copy_that_does_not_arrive_whole_is_not_there(run, stub, tmp_path, pieces):
    stub.answers_with("GET", "/backup", pieces, content_type=DUCKDB, x_lessllm_rows="7")
    result = run("backup", "copy.duckdb", "--url", stub.url)
    arrived = pieces[-1] is not None
    assert result.code == (0 if arrived else 1)
    assert files(tmp_path) == (["copy.duckdb"] if arrived else [])
    assert all(file.stat().st_mode & 0o077 == 0 for file in tmp_path.iterdir())


def test_a_refusal_is_said_and_leaves_no_file(run, stub, tmp_path):
    error = {"error": {"code": "disk_full", "message": "the copy takes 900 MB beside the database"}}
    stub.answers_with("GET", "/backup", error, status=507)
    result = run("backup", "copy.duckdb", "--url", stub.url)
    assert (result.code, result.err) == (1, "lessllm: the copy takes 900 MB beside the database\n")
    assert files(tmp_path) == []


def test_an_answer_of_somebody_else_is_no_backup(run, stub, tmp_path):
    stub.answers_with("GET", "/backup", b"<html>", content_type="text/html")
    result = run("backup", "copy.duckdb", "--url", stub.url)
    assert result.code == 1
    assert "is the URL right?" in result.err
    assert files(tmp_path) == []


def test_the_collectors_key_is_sent(run, stub, tmp_path):
    (tmp_path / "lessllm.yaml").write_text("collector: {api_key: k3y}")
    stub.answers_with("GET", "/backup", b"a database", content_type=DUCKDB)
    assert run("backup", "copy.duckdb", "--url", stub.url).code == 0
    assert stub.last[2]["authorization"] == "Bearer k3y"


def test_without_a_server_the_database_is_copied_all_the_same(run, database, tmp_path):
    assert run("backup", "copy.duckdb").err.startswith("copy.duckdb: 0 calls, ")
    assert files(tmp_path) == ["copy.duckdb", "lessllm.duckdb", "lessllm.duckdb.cache"]
    assert not ServerState(database).is_taken()


def test_compacting_says_how_large_it_was_and_is(run, database, tmp_path):
    result = run("compact")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"{database}: ") and " MB, was " in result.out
    assert files(tmp_path) == ["lessllm.duckdb"]
    assert not ServerState(database).is_taken()
    store = Store(database, Query())
    assert store.committed() == {"g": 7}
    store.close()


def test_where_there_is_no_database_there_is_nothing_to_compact(run, tmp_path):
    result = run("compact")
    assert (result.code, result.out) == (1, "")
    assert result.err == f"lessllm-collector: {tmp_path / 'lessllm.duckdb'}: there is no database\n"


def test_a_wrong_configuration_ends_compacting_with_2(run, database, tmp_path):
    (tmp_path / "lessllm.yaml").write_text("logging: {retention: {bodies: 30}}")
    result = run("compact")
    assert result.code == 2
    assert "logging.retention.bodies: must be like 30d" in result.err
    assert database.exists()


def test_a_stopped_command_leaves_no_process_and_no_half_file(lessllm_command, database, tmp_path):
    with duckdb.connect(database) as connection:
        connection.execute(
            "INSERT INTO internal.calls BY NAME SELECT 'r' || range AS request_id, now() AS timestamp,"
            " 'g' AS gateway_id, range AS sequence, repeat(md5(range::VARCHAR), 2000)::BLOB AS request_body,"
            " 64000 AS request_body_bytes FROM range(3000)"
        )
    with subprocess.Popen([lessllm_command, "compact"], stderr=subprocess.PIPE) as process:
        while not any(name.endswith(".part") for name in files(tmp_path)):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert process.returncode == 128 + signal.SIGTERM
    assert files(tmp_path) == ["lessllm.duckdb"]
    subprocess.run([lessllm_command, "compact"], check=True, stdout=subprocess.DEVNULL)
