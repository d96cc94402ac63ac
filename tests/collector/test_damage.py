"""Files that are damaged, or may not be used: a line that says what to do, or life with what can be read."""

import contextlib
import os
import random
import re
from dataclasses import dataclass

import duckdb
import pytest
from lessllm_collector import query
from lessllm_collector.faults import explain
from lessllm_collector.room import log_of
from lessllm_collector.store import Store, StoreError
from lessllm_shared.config.sections import Query

COMMIT = 50
BLOCK_BYTES = 262_144
HEADERS_BYTES = 3 * 4096


@dataclass
class Files:
    """A database and its log, as a kill -9 leaves them."""

    database: bytes
    log: bytes

    def put(self, folder, database=None, log=None):
        path = folder / "calls.duckdb"
        path.write_bytes(self.database if database is None else database)
        log_of(path).write_bytes(self.log if log is None else log)
        return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Four commits of 50 records, two of them in the file, two in the log."""
    path = tmp_path_factory.mktemp("files") / "calls.duckdb"
    noise = random.Random(1)
    store = Store(path, Query())
    with store.cursor() as connection:
        for number in range(1, 5):
            connection.begin()
            connection.executemany(
                "INSERT INTO internal.quarantine VALUES ('g', ?, now(), 'odd', ?)",
                [[sequence, noise.randbytes(10_000)] for sequence in range(COMMIT)],
            )
            connection.execute(
                "INSERT INTO internal.deliveries VALUES ('g', ?, now())"
                " ON CONFLICT DO UPDATE SET committed = excluded.committed",
                [number * COMMIT],
            )
            connection.commit()
            if number == 2:
                connection.execute("CHECKPOINT")
    made = Files(path.read_bytes(), log_of(path).read_bytes())
    store.close()
    return made


def refusal(path):
    with pytest.raises(StoreError) as raised:
        Store(path, Query())
    text = str(raised.value)
    assert "\n" not in text
    return text


def rows(path):
    """How many a start finds, all of them whole commits."""
    store = Store(path, Query())
    with store.cursor() as connection:
        (found,) = connection.execute("SELECT count(*) FROM internal.quarantine").fetchone()
    assert store.committed() == {"g": found}
    store.close()
    return found


def overwritten(data, at, new):
    return data[:at] + new + data[at + len(new) :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:5000],
        lambda data: data[:HEADERS_BYTES],
        lambda data: overwritten(data, 20, b"noise"),
        lambda data: overwritten(data, 4096 + 20, b"noise"),
        lambda data: data[:HEADERS_BYTES] + bytes(len(data) - HEADERS_BYTES),
    ],
    ids=["half", "less than headers", "headers alone", "main header", "database header", "zeros"],
)
def test_a_file_that_is_damaged_from_the_start_says_to_restore_a_backup(files, tmp_path, damage):
    path = files.put(tmp_path, damage(files.database))
    assert refusal(path).startswith(
        f"{path}: is damaged: put a backup in its place, or move it and calls.duckdb.wal away to begin anew:"
    )


def test_a_query_that_meets_damage_is_told_to_restore_a_backup():
    error = duckdb.IOException("IO Error: Corrupt database file: computed checksum 1 does not match\n\nmore")
    told = query.refusal(error)
    assert (told.status, told.code) == (500, "query_failed")
    assert told.message.startswith("the database's file is damaged, restore a backup: IO Error: Corrupt")


def test_a_log_that_is_torn_anywhere_loses_no_whole_commit_before_that(files, tmp_path):
    seed = random.randrange(10**6)
    places = random.Random(seed)
    ends = [
        0,
        *sorted(places.randrange(len(files.log)) for _ in range(8)),
        len(files.log) - 1,
        len(files.log),
    ]
    found = [rows(files.put(tmp_path, log=files.log[:end])) for end in ends]
    assert found == sorted(found), seed
    assert set(found) <= {2 * COMMIT, 3 * COMMIT, 4 * COMMIT}, seed
    assert (found[0], found[-2], found[-1]) == (2 * COMMIT, 3 * COMMIT, 4 * COMMIT), seed


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda log: overwritten(log, len(log) - 1000, b"noise"), 3),
        (lambda log: log + bytes(4096), 4),  # as a loss of power may leave it
    ],
    ids=["in the last commit", "zeros after it"],
)
def test_a_damaged_log_says_how_to_keep_what_is_before_the_damage(files, tmp_path, damage, left):
    path = files.put(tmp_path, log=damage(files.log))
    text = refusal(path)
    assert text.startswith(f"{log_of(path)}: is damaged: put a backup in the database's place, or `truncate")
    size = int(re.search(r"`truncate -s (\d+) (\S+)`", text)[1])
    os.truncate(log_of(path), size)
    assert rows(path) == left * COMMIT


def test_a_log_that_can_not_be_read_at_all_says_to_move_it_away(files, tmp_path):
    path = files.put(tmp_path, log=overwritten(files.log, 9, b"\xff" * 12))
    assert refusal(path).startswith(
        f"{log_of(path)}: is damaged: put a backup in the database's place, or mo"
    )
    log_of(path).unlink()
    assert rows(path) == 2 * COMMIT


def test_a_file_of_a_newer_database_is_not_called_damaged(files, tmp_path):
    newer = overwritten(files.database, 12, (999).to_bytes(8, "little"))
    with pytest.raises(duckdb.IOException, match="computed checksum") as told:
        duckdb.connect(files.put(tmp_path, newer))
    checksum = int(re.search(r"computed checksum (\d+)", str(told.value))[1])
    path = files.put(tmp_path, overwritten(newer, 0, checksum.to_bytes(8, "little")))
    assert refusal(path) == (
        f"{path}: was written by a version of DuckDB that this one can't read: start the version of LessLLM"
        " that wrote it, or set logging.db_path to another file"
    )


def test_a_folder_is_named(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: is a folder: set logging.db_path to a file"


@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_a_file_of_another_user_is_named(files, tmp_path, mode):
    path = files.put(tmp_path)
    path.chmod(mode)
    with as_nobody():
        assert refusal(path).startswith(f"{path}: this user may not read and write it: change its permiss")


@contextlib.contextmanager
def as_nobody():
    """Root may do everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_disk_that_can_only_be_read_is_named(tmp_path):
    error = duckdb.IOException('IO Error: Cannot open file "/x/calls.duckdb": Read-only file system')
    assert explain(tmp_path, error).startswith(f"{tmp_path}: its disk can't be written to: mount it for wri")
