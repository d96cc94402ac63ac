"""A backup is one moment of a database that is being written to, whole, and nothing of it stays behind."""

import asyncio
import os
import shutil
import sys
import threading
from types import SimpleNamespace

import duckdb
import pytest
from lessllm_collector import backup, pieces
from lessllm_collector.backup import Backups
from lessllm_collector.errors import Refusal
from lessllm_collector.inbox import Batch
from lessllm_collector.store import Store
from lessllm_shared.config.sections import Query
from starlette.requests import ClientDisconnect

from .running import DAY, Running, record
from .test_export import SCOPE, Client

TABLES = (
    "internal.calls",
    "internal.deliveries",
    "internal.lost",
    "internal.quarantine",
    "internal.spent",
    "main.lessllm_schema",
)


@pytest.fixture
async def running(tmp_path):
    running = Running(tmp_path / "calls.duckdb")
    await running.add(*(record(DAY, request_body=os.urandom(5000)) for _ in range(300)))
    await running.writer.checkpoint()
    await running.add(*(record(DAY, request_body=os.urandom(5000)) for _ in range(300)))  # in the log only
    await running.inbox.put(Batch("g", 601, 602, None))
    await running.inbox.put(Batch("g", 603, 603, [b"\xc1junk"]))
    await running.ask("SELECT 1")
    yield running
    await running.close()


@pytest.fixture
def backups(running):
    return Backups(running.store, lambda: running.writer)


async def save(backups, path):
    client = Client()
    response = await backups.start()
    await response(SCOPE, client.receive, client.send)
    path.write_bytes(client.body)
    assert response.headers["content-length"] == str(path.stat().st_size)
    return response


def content(connection):
    return {
        name: connection.execute(f"SELECT * FROM {name} ORDER BY ALL").to_arrow_table().to_pylist()
        for name in TABLES
    }


def names(folder):
    return {file.name for file in folder.iterdir()} - {"calls.duckdb.wal"}


async def test_it_holds_every_table_as_it_is(running, backups, tmp_path):
    before = content(running.store.cursor())
    assert [len(rows) for rows in before.values()][:4] == [600, 1, 1, 1]
    (tmp_path / "elsewhere").mkdir()
    response = await save(backups, tmp_path / "elsewhere/copy.duckdb")
    assert response.headers["x-lessllm-rows"] == "600"
    assert names(tmp_path) == {"calls.duckdb", "elsewhere"}
    with duckdb.connect(tmp_path / "elsewhere/copy.duckdb", read_only=True) as copy:
        assert content(copy) == before
        assert copy.execute("SELECT count(*) FROM api_calls").fetchone() == (600,)
    store = Store(tmp_path / "elsewhere/copy.duckdb", Query())
    assert store.committed() == {"g": 603}
    store.close()


async def test_the_database_stays_locked(running, backups, tmp_path):
    await save(backups, tmp_path / "copy.duckdb")
    command = f"import duckdb; duckdb.connect({str(running.path)!r})"
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", command, stderr=asyncio.subprocess.PIPE
    )
    _, said = await other.communicate()
    assert b"Conflicting lock" in said


async def test_it_is_one_moment_though_rows_come_change_and_go(running, backups, tmp_path, monkeypatch):
    monkeypatch.setattr(backup, "_PIECE_BYTES", 64 * 1024)
    copying, done = threading.Event(), threading.Event()
    write_part = backup.Backup._write

    def slowly(self, target, read, size_bytes):
        write_part(self, target, read, size_bytes)
        copying.set()
        assert done.wait(20)

    async def write():
        await asyncio.to_thread(copying.wait)
        running._last = 603
        for _ in range(20):
            await running.add(*(record(DAY, request_body=os.urandom(30_000)) for _ in range(40)))
            await running.writer.checkpoint()  # held off
        await running.ask("UPDATE internal.calls SET request_body = NULL WHERE sequence < 100")
        await running.ask("DELETE FROM internal.calls WHERE sequence BETWEEN 200 AND 300")
        await running.ask("SELECT 1")
        done.set()

    monkeypatch.setattr(backup.Backup, "_write", slowly)
    before = content(running.store.cursor())
    await asyncio.gather(save(backups, tmp_path / "copy.duckdb"), write())
    with duckdb.connect(tmp_path / "copy.duckdb", read_only=True) as copy:
        assert content(copy) == before
    assert (tmp_path / "calls.duckdb.wal").stat().st_size > 16_000_000
    await running.writer.checkpoint()
    assert not (tmp_path / "calls.duckdb.wal").exists() or not (tmp_path / "calls.duckdb.wal").stat().st_size


async def test_a_checkpoint_during_the_copy_is_noticed(running, backups, tmp_path, monkeypatch):
    monkeypatch.setattr(backup, "_HOLD", "SELECT 1")
    write_part = backup.Backup._write

    def meanwhile(self, target, read, size_bytes):
        write_part(self, target, read, size_bytes)
        if target.suffix == ".wal":
            running.store.cursor().execute("CHECKPOINT")

    monkeypatch.setattr(backup.Backup, "_write", meanwhile)
    with pytest.raises(Refusal, match="a checkpoint came in between"):
        await backups.start()
    assert names(tmp_path) == {"calls.duckdb"}


@pytest.mark.parametrize("client", [Client(leaves_after=2), Client(stalls=True), Client(leaves_after=0)])
async def test_one_that_nobody_takes_ends(backups, tmp_path, monkeypatch, client):
    monkeypatch.setattr(pieces, "STALL_S", 0.1)
    response = await backups.start()
    with pytest.raises((OSError, ClientDisconnect)):
        await response(SCOPE, client.receive, client.send)
    assert names(tmp_path) == {"calls.duckdb"}
    await save(backups, tmp_path / "copy.duckdb")


async def test_a_cancelled_one_stops_copying_and_leaves_nothing(backups, tmp_path, monkeypatch):
    copying, copied = asyncio.Event(), threading.Event()
    loop, check = asyncio.get_running_loop(), backup.Backup._check_open

    def slowly(self):
        loop.call_soon_threadsafe(copying.set)
        copied.wait(20)
        check(self)

    monkeypatch.setattr(backup.Backup, "_check_open", slowly)
    monkeypatch.setattr(backup.Backup, "hold", lambda *_: None)
    start = asyncio.create_task(backups.start())
    await copying.wait()
    start.cancel()
    closing = asyncio.get_running_loop().call_later(0.1, copied.set)
    with pytest.raises(asyncio.CancelledError):
        await start
    closing.cancel()
    assert names(tmp_path) == {"calls.duckdb"}


async def test_a_second_one_waits_for_the_first(backups, tmp_path):
    response = await backups.start()
    with pytest.raises(Refusal, match="a backup runs already"):
        await backups.start()
    client = Client()
    await response(SCOPE, client.receive, client.send)
    await save(backups, tmp_path / "copy.duckdb")


async def test_without_room_it_is_refused_before_anything_is_written(backups, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**7))
    with pytest.raises(
        Refusal, match=r"takes \d+ MB beside the database before it is sent, and 10 MB are free"
    ):
        await backups.start()
    assert names(tmp_path) == {"calls.duckdb"}


async def test_a_disk_that_fills_meanwhile_is_named_and_nothing_stays(backups, tmp_path, monkeypatch):
    def full(_self, target, _read, _size_bytes):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(backup.Backup, "_write", full)
        with pytest.raises(Refusal, match="No space left on device"):
            await backups.start()
    assert names(tmp_path) == {"calls.duckdb"}
    await save(backups, tmp_path / "copy.duckdb")


async def test_what_a_killed_one_left_goes_at_the_next_start(tmp_path):
    (tmp_path / ".calls.duckdb.1234abcd.part").write_bytes(b"half")
    (tmp_path / ".calls.duckdb.1234abcd.part.wal").write_bytes(b"half")
    (tmp_path / ".other.duckdb.1234abcd.part").write_bytes(b"somebody else's")
    Store(tmp_path / "calls.duckdb", Query()).close()
    assert names(tmp_path) == {"calls.duckdb", ".other.duckdb.1234abcd.part"}
