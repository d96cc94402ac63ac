"""Compacting gives space back, changes nothing else, and is done whole or not at all."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_collector import compact as module
from lessllm_collector.compact import CompactError, compact, groups
from lessllm_collector.inbox import Batch
from lessllm_collector.retention import STEP_BYTES, STEP_ROWS, Step
from lessllm_collector.store import Store, StoreError
from lessllm_shared.config.sections import Query

from .running import DAY, Running, held, record
from .test_backup import content, names

COMMAND = [sys.executable, "-m", "lessllm_collector.compact", "--config", "-"]


def silent(done, calls):
    pass


@pytest.fixture
async def path(tmp_path):
    """A database of which most was deleted."""
    running = Running(tmp_path / "calls.duckdb")
    for age in (400 * DAY, 40 * DAY, DAY):
        for session in range(5):
            some = {"session_id": f"s{session}", "request_body": os.urandom(40_000)}
            await running.add(*(record(age, **some) for _ in range(50)))
    await running.inbox.put(Batch("g", 751, 752, None))
    await running.inbox.put(Batch("g", 753, 753, [b"\xc1junk"]))
    await running.ask("SELECT 1")
    await running.writer.checkpoint()
    await running.retention().run_once()
    await running.close()
    return running.path


def read(path):
    with duckdb.connect(path, read_only=True) as database:
        return content(database)


def test_space_is_given_back_and_nothing_is_lost(path):
    path.chmod(0o640)
    before, size_bytes, told = read(path), path.stat().st_size, []
    assert len(before["internal.calls"]) == 500
    assert compact(path, Query(), lambda *progress: told.append(progress)) == (
        size_bytes,
        path.stat().st_size,
    )
    assert path.stat().st_size < 0.7 * size_bytes
    assert told[0] == (0, 500) and told[-1] == (500, 500)
    assert read(path) == before
    assert names(path.parent) == {"calls.duckdb"}
    assert path.stat().st_mode & 0o777 == 0o640
    with duckdb.connect(path, read_only=True) as database:
        assert database.execute("SELECT count(request_body) FROM api_calls").fetchone() == (250,)
    store = Store(path, Query())
    assert store.committed() == {"g": 753}
    store.close()


def test_what_a_crash_left_in_the_log_comes_along(path):
    killed = (
        "import os, pathlib\n"
        "from lessllm_collector.store import Store; from lessllm_shared.config.sections import Query\n"
        f"store = Store(pathlib.Path({str(path)!r}), Query())\n"
        "store.cursor().execute(\"INSERT INTO internal.deliveries VALUES ('h', 7, now())\"); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == 9
    assert path.with_name("calls.duckdb.wal").stat().st_size
    compact(path, Query(), silent)
    assert {row["gateway_id"] for row in read(path)["internal.deliveries"]} == {"g", "h"}


def test_a_link_to_the_database_stays_one(path, tmp_path):
    link = tmp_path / "link.duckdb"
    link.symlink_to(path)
    compact(link, Query(), silent)
    assert link.is_symlink() and names(tmp_path) == {"calls.duckdb", "link.duckdb"}


def test_what_is_not_written_as_it_was_is_thrown_away(path, monkeypatch):
    before, digest = read(path), module._digest
    wrong = lambda connection, table: (  # noqa: E731
        None if table == "compacted.internal.calls" else digest(connection, table)
    )
    monkeypatch.setattr(module, "_digest", wrong)
    with pytest.raises(CompactError, match=r"what was written of internal\.calls is not what was there"):
        compact(path, Query(), silent)
    assert read(path) == before
    assert names(path.parent) == {"calls.duckdb"}


@pytest.mark.parametrize(
    "error", [duckdb.IOException("disk full"), OSError(28, "disk full"), KeyboardInterrupt]
)
def test_whatever_ends_it_the_database_is_as_it_was(path, monkeypatch, error):
    def fail(done, _):
        if done:
            raise error

    before = read(path)
    monkeypatch.setattr(module, "_GROUP_BYTES", 1_000_000)
    with pytest.raises((CompactError, KeyboardInterrupt)):
        compact(path, Query(), fail)
    assert read(path) == before
    assert names(path.parent) == {"calls.duckdb"}


def test_nobody_can_write_into_what_is_being_replaced(path):
    def write(*_):
        command = f"import duckdb; duckdb.connect({str(path)!r})"
        said = subprocess.run([sys.executable, "-c", command], capture_output=True, check=False).stderr
        assert b"Conflicting lock" in said

    compact(path, Query(), write)


def test_a_database_in_use_is_named_with_who_has_it(path):
    with held(path) as pid, pytest.raises(StoreError, match=f"in use by process {pid}: stop it"):
        compact(path, Query(), silent)


def test_without_room_nothing_is_written(path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**7))
    with pytest.raises(CompactError, match=r"MB are needed beside it, and 10 MB are free there"):
        compact(path, Query(), silent)
    assert names(path.parent) == {"calls.duckdb"}


async def run(document):
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(document.encode())
    return process.returncode, out.decode(), err.decode()


async def test_the_process_says_what_it_did_or_why_not(path, tmp_path):
    code, out, err = await run(f"logging: {{db_path: {path}}}")
    assert code == 0
    assert re.fullmatch(r"([\d,]+ of 500 calls\n)*", err)  # none unless it takes long
    assert out.startswith(f"{path}: ") and " MB, was " in out
    code, out, err = await run(f"logging: {{db_path: {tmp_path / 'nowhere.duckdb'}}}")
    assert (code, out) == (1, "")
    assert err == f"lessllm-collector: {tmp_path / 'nowhere.duckdb'}: there is no database\n"


@given(st.lists(st.tuples(st.integers(1, STEP_ROWS), st.integers(0, 9), st.integers(0, 10**8)), max_size=20))
def test_groups_are_all_the_rows_once_in_order_and_never_too_large(windows):
    start, made = 0, []
    for rows, gap, size_bytes in windows:
        made.append(Step(start + gap, start + gap + rows, size_bytes))
        start += gap + rows
    found = list(groups(made))
    wanted = [row for window in made for row in range(window.start, window.end)]
    rows = set(wanted)
    assert [row for group in found for row in range(group.start, group.end) if row in rows] == wanted
    assert all(one.end <= other.start for one, other in pairwise(found))
    assert all(group.end - group.start <= module._GROUP_ROWS for group in found)
    assert all(group.size_bytes <= STEP_BYTES or group.end == group.start + 1 for group in found)
