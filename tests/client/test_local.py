"""A local server between processes: started once, shared, ended with its last user, however that one ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from lessllm import Client, ConfigError, ServerError
from lessllm.state import ServerState

# A process that does what it is told, line by line, until it is told nothing more.
PUPPET = """
import json, os, sys, traceback
import lessllm
for line in sys.stdin:
    try:
        answer = eval(line, {"lessllm": lessllm, "os": os})
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    print(json.dumps(answer, default=str), flush=True)
"""


class Puppet:
    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PUPPET], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, expression):
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def leave(self):
        """Ends as programs do, `atexit` included."""
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0

    def kill(self):
        self.process.kill()
        self.process.communicate(timeout=10)


@contextmanager
def puppet():
    one = Puppet()
    try:
        yield one
    finally:
        one.kill()


@pytest.fixture
def configuration(tmp_path):
    return {
        "gateway": {"port": 0},
        "collector": {"port": 0},
        "logging": {"db_path": str(tmp_path / "calls.duckdb")},
    }


@pytest.fixture
def folder(tmp_path):
    return ServerState(tmp_path / "calls.duckdb")


@contextmanager
def client(configuration=None):
    one = Client()
    try:
        if configuration is not None:
            one.configure(configuration)
        yield one
    finally:
        one.shutdown()


def eventually(condition, timeout_s=30.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def answers(url):
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    except httpx.RequestError:
        return False


def children_of(pid):
    found = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                stat = (process / "stat").read_text()
                command = (process / "cmdline").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found["collector" if "lessllm_collector" in command else "gateway"] = int(process.name)
    return found


def test_processes_share_one_server_which_ends_with_the_last_of_them(configuration, folder):
    with puppet() as first, puppet() as second:
        first(f"lessllm.configure({configuration})")
        url = first("lessllm.get_proxy_url()")
        assert second(f"lessllm.configure({configuration})") is None
        assert second("lessllm.get_proxy_url()") == url
        running = folder.running()

        other = {**configuration, "pool": {"keepalive_s": 5}}
        refused = second(f"lessllm.Client().configure({other})")
        assert refused.startswith("ServerError: a LessLLM server with another configuration is in use")
        assert f"process {running.pid}" in refused

        # After a fork, the child goes on with the server, and its end is not the parent's.
        child = "os.fork() or [lessllm.query('SELECT 2 AS a'), lessllm.shutdown(), os._exit(7)]"
        assert first(f"os.waitstatus_to_exitcode(os.waitpid({child}, 0)[1])") == 7
        assert first("lessllm.query('SELECT 1 AS a')") == [{"a": 1}]

        first.leave()
        assert second("lessllm.query('SELECT 1 AS a')") == [{"a": 1}]
        second.kill()
    eventually(lambda: not folder.is_taken())
    assert not answers(running.url)
    assert not answers(running.collector_url)


def test_a_service_that_dies_is_started_again_and_a_dead_server_is_replaced(configuration, folder):
    with client(configuration) as local:
        first = folder.running()
        local.configure(configuration)  # nothing changed
        assert folder.running() == first

        services = children_of(first.pid)
        assert set(services) == {"collector", "gateway"}
        os.kill(services["collector"], signal.SIGKILL)
        eventually(lambda: not answers(first.collector_url))
        eventually(lambda: answers(first.collector_url))
        assert local.query("SELECT 1 AS a") == [{"a": 1}]
        log = folder.log.read_text()
        assert "the collector was ended by SIGKILL; starting it again in 0.5 s" in log

        os.kill(first.pid, signal.SIGKILL)  # the supervisor: its services go with it
        eventually(lambda: not answers(first.url) and not answers(first.collector_url))
        assert local.query("SELECT 1 AS a") == [{"a": 1}]  # by a new server
        second = folder.running()
        assert second.pid != first.pid

        local.configure({**configuration, "pool": {"keepalive_s": 5}})
        assert folder.running().pid != second.pid
        assert not answers(second.url)
        local.shutdown()
        assert not folder.is_taken()


def test_without_logging_calls_go_through_and_questions_are_refused(configuration):
    configuration["logging"]["enabled"] = False
    with client(configuration) as local:
        assert answers(local.get_proxy_url().removesuffix("/v1"))
        with pytest.raises(ServerError, match=r"set logging\.enabled to true"):
            local.query("SELECT 1")


def test_a_wrong_configuration_names_every_mistake_and_starts_nothing(configuration, folder):
    configuration |= {"gateway": {"prot": 1}, "pool": {"keepalive_s": -1}}
    with client() as local, pytest.raises(ConfigError) as caught:
        local.configure(configuration)
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "gateway.prot",
        "pool.keepalive_s",
    ]
    assert not folder.is_taken()


def test_a_port_that_another_program_has_is_named_with_the_remedy(configuration, folder):
    with client() as local, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=rf"port {port}: another program has it; .*gateway\.port"):
            local.configure({**configuration, "gateway": {"port": port}})
    assert not folder.is_taken()


def test_a_port_that_another_of_our_servers_has_is_named_with_its_database(configuration, recorded):
    port = int(recorded.url.rpartition(":")[2])
    with client() as local, pytest.raises(ServerError, match=f"the LessLLM server for {recorded.database}"):
        local.configure({**configuration, "gateway": {"port": port}})


def test_a_database_that_another_process_holds_is_named_with_that_process(configuration, folder, tmp_path):
    code = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "calls.duckdb"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    holder.stdout.readline()
    try:
        with client() as local, pytest.raises(ServerError, match=f"in use by process {holder.pid}"):
            local.configure(configuration)
    finally:
        holder.communicate("\n")
    assert not folder.is_taken()


def test_a_file_that_is_no_duckdb_database_is_left_alone(configuration, tmp_path):
    (tmp_path / "calls.duckdb").write_text("my thesis\n" * 1000)
    with client() as local, pytest.raises(ServerError, match="is not a DuckDB file"):
        local.configure(configuration)
    assert (tmp_path / "calls.duckdb").read_text() == "my thesis\n" * 1000
