"""Which server runs for a database and who uses it: locks that the kernel drops with their process."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from lessllm import state
from lessllm.errors import ServerError

DATABASE = Path("/somewhere/calls.duckdb")


@pytest.fixture
def folder():
    return state.ServerState(DATABASE)


def announced(folder, identity=b"configuration", stays=True):
    claim = folder.claim()
    running = state.announce(
        claim,
        identity=identity,
        url="http://127.0.0.1:8000",
        collector_url="http://127.0.0.1:8001",
        database=DATABASE,
        stays=stays,
    )
    return claim, running


def in_another_process(code):
    """A process that has run `code` and waits to be killed."""
    script = (
        f"from lessllm import state; from pathlib import Path\n{code}\nprint('done', flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "done\n"
    return process


def end(process, number=signal.SIGKILL):
    process.send_signal(number)
    process.communicate(timeout=10)


def test_nobody_runs_before_a_server_is_announced(folder):
    assert folder.running() is None
    assert not folder.is_taken()
    with folder.claim():
        assert folder.is_taken()
        assert folder.running() is None


def test_an_announced_server_is_found_until_it_withdraws(folder):
    claim, running = announced(folder)
    assert folder.running() == running
    assert running in state.all_running()
    state.withdraw(claim)
    assert folder.running() is None
    claim.close()


def test_a_second_server_is_refused_and_told_where_the_first_one_is(folder):
    claim, _ = announced(folder)
    with pytest.raises(ServerError, match=r"runs already at http://127\.0\.0\.1:8000 \(process \d+\)"):
        folder.claim()
    claim.close()


def test_a_claim_waits_for_a_server_that_stops(folder):
    claim = folder.claim()
    threading.Timer(0.1, claim.close).start()
    folder.claim().close()


def test_a_killed_server_leaves_nothing_behind(folder):
    code = (
        f"claim = state.ServerState(Path({str(DATABASE)!r})).claim()\n"
        "state.announce(claim, identity=b'', url='u', collector_url=None, database='d', stays=True)"
    )
    process = in_another_process(code)
    assert folder.running().url == "u"
    end(process)
    assert folder.running() is None
    folder.claim().close()


def test_a_lease_of_another_process_counts_until_that_process_ends(folder):
    process = in_another_process(
        f"lease = state.ServerState(Path({str(DATABASE)!r})).lease(); assert lease.try_shared()"
    )
    assert folder.in_use_by_others()
    end(process)
    assert not folder.in_use_by_others()


def test_after_a_fork_the_lease_lasts_as_long_as_one_of_both_holds_it(folder):
    lease = folder.lease()
    assert lease.try_shared()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write_end)
        os.read(read_end, 1)
        os._exit(0)
    os.close(read_end)
    lease.close()
    assert folder.in_use_by_others()
    os.close(write_end)
    os.waitpid(child, 0)
    assert not folder.in_use_by_others()


def test_a_server_gets_the_lease_when_its_last_user_is_gone(folder):
    first, second, servers = folder.lease(), folder.lease(), folder.lease()
    assert first.try_shared() and second.try_shared()
    assert not servers.try_exclusive()
    first.close()
    assert not servers.try_exclusive()
    second.close()
    assert servers.try_exclusive()


def test_configurations_are_compared_and_never_kept(folder):
    claim, running = announced(folder, identity=b"the key is sk-secret")
    assert running.has_configuration(b"the key is sk-secret")
    assert not running.has_configuration(b"the key is sk-other")
    for file in folder.folder.iterdir():
        assert b"sk-secret" not in file.read_bytes()
    claim.close()


def test_only_one_process_starts_a_server_at_a_time(folder):
    with (
        folder.starting(1.0),
        pytest.raises(ServerError, match="another process is still starting this server"),
        folder.starting(0.1),
    ):
        pass


def test_the_state_is_its_users_alone(tmp_path):
    folder = state.ServerState(DATABASE, {"HOME": str(tmp_path)}).folder
    assert folder.parent == tmp_path / ".local/state/lessllm"
    for private in (folder, folder.parent):
        assert private.stat().st_mode & 0o777 == 0o700


def test_without_a_home_the_state_is_in_the_temporary_folder(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = state.ServerState(DATABASE, {"HOME": "/dev/null/nowhere"}).folder
    assert folder.parent == tmp_path / f"lessllm-{os.getuid()}"


def test_databases_have_folders_of_their_own():
    assert state.ServerState(Path("/a")).folder != state.ServerState(Path("/b")).folder
