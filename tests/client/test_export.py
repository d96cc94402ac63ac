"""An export is a whole file or none."""

import os

import pytest
from lessllm.connection import Connection
from lessllm.errors import QueryError, ServerError
from lessllm.export import save


@pytest.fixture
def connection(stub):
    connection = Connection(collector_url=stub.url, gateway_url=None, api_key=None)
    yield connection
    connection.close()


def names(folder):
    return [file.name for file in folder.iterdir()]


def ignore(received_bytes, rows):
    pass


def test_the_file_arrives_and_its_progress_is_told(stub, connection, tmp_path):
    stub.answers_with("GET", "/export", [b"PAR1" * 100, b"PAR1"], x_lessllm_rows="7")
    seen = []
    rows = save(connection, tmp_path / "a.parquet", {}, lambda size, rows: seen.append((size, rows)))
    assert rows == 7
    assert (tmp_path / "a.parquet").read_bytes() == b"PAR1" * 101
    assert (seen[0], seen[-1]) == ((0, 7), (404, 7))
    assert names(tmp_path) == ["a.parquet"]


def test_a_collector_that_fails_in_the_middle_leaves_the_file_of_before(stub, connection, tmp_path):
    target = tmp_path / "a.parquet"
    target.write_bytes(b"before")
    stub.answers_with("GET", "/export", [b"PAR1", None])
    with pytest.raises(ServerError):
        save(connection, target, {}, ignore)
    assert names(tmp_path) == ["a.parquet"]
    assert target.read_bytes() == b"before"


def test_a_refusal_leaves_no_file(stub, connection, tmp_path):
    error = {"error": {"code": "unknown_filter", "message": "no column is named modle"}}
    stub.answers_with("GET", "/export", error, status=400)
    with pytest.raises(QueryError, match="modle"):
        save(connection, tmp_path / "a.parquet", {"modle": "x"}, ignore)
    assert names(tmp_path) == []


def test_ctrl_c_leaves_no_file(stub, connection, tmp_path):
    stub.answers_with("GET", "/export", [b"PAR1", b"PAR1"])

    def interrupt(received_bytes, rows):
        if received_bytes and rows is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save(connection, tmp_path / "a.parquet", {}, interrupt)
    assert names(tmp_path) == []


def test_a_place_that_cant_be_written_is_an_os_error(stub, connection, tmp_path):
    stub.answers_with("GET", "/export", [b"PAR1"])
    with pytest.raises(FileNotFoundError):
        save(connection, tmp_path / "nowhere" / "a.parquet", {}, ignore)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(FileExistsError, match="is no file"):
            save(connection, tmp_path / name, {}, ignore)
    assert sorted(names(tmp_path)) == ["folder", "pipe"]
    assert (tmp_path / "pipe").is_fifo()


def test_the_file_may_be_read_by_whom_the_users_umask_lets(stub, connection, tmp_path):
    stub.answers_with("GET", "/export", [b"PAR1"])
    before = os.umask(0o027)
    try:
        save(connection, tmp_path / "a.parquet", {}, ignore)
    finally:
        os.umask(before)
    assert (tmp_path / "a.parquet").stat().st_mode & 0o777 == 0o640
