"""The command line's frame: help, usage, exit codes, errors in plain lines, pipes and signals."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from lessllm import __version__, cli

COMMANDS = (
    *("demo", "server", "check", "stats", "suggestions", "sensitive", "calls", "show"),
    *("replay", "compare", "query", "export"),
    *("backup", "compact", "client-key", "keys", "reanalyze"),
)


def test_help_names_every_command_and_gives_examples(run):
    for arguments in ((), ("--help",), ("-h",)):
        result = run(*arguments)
        assert result.code == 0
        assert "Examples:" in result.out
        for name in COMMANDS:
            assert f"\n  {name} " in result.out
    assert tuple(cli._COMMANDS) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself_with_examples(run, name):
    result = run(name, "--help")
    assert result.code == 0
    assert f"Usage: lessllm {name}" in result.out
    assert f"Examples:\n    lessllm {name}" in result.out
    assert all(len(line) <= 80 for line in result.out.splitlines())


def test_the_version_is_told(run):
    assert run("--version").out == f"lessllm {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["qeury"], "No such command 'qeury'"),
        (["query"], "Missing argument 'SQL'"),
        (["query", "SELECT 1", "--format", "xml"], "'xml' is not one of"),
        (["query", "SELECT 1", "--url", "127.0.0.1:8001"], "'127.0.0.1:8001' is not a URL"),
        (["query", "SELECT 1", "--config", "nowhere.yaml"], "File 'nowhere.yaml' does not exist"),
        (["server", "--port", "99999"], "99999 is not in the range"),
        (["demo", "--calls", "0"], "0 is not in the range"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_where_help_is(run, arguments, words):
    result = run(*arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("lessllm: ")
    assert words in result.err
    assert "--help`." in result.err
    assert len(result.err.splitlines()) == 2


@pytest.mark.parametrize("command", [["query", "SELECT 1"], ["stats"], ["server"]])
def test_a_wrong_configuration_ends_with_2_and_names_its_key(run, command, tmp_path):
    (tmp_path / "lessllm.yaml").write_text("collector: {prot: 1}\nlogging: {db_pth: x}")
    result = run(*command)
    assert (result.code, result.out) == (2, "")
    assert "collector.prot: unknown key; did you mean port?" in result.err
    assert "logging.db_pth: unknown key; did you mean db_path?" in result.err


@pytest.mark.parametrize(
    "command", [["query", "SELECT 1"], ["stats"], ["calls"], ["show", "x"], ["export", "x"]]
)
def test_without_a_server_and_without_a_database_both_ways_out_are_named(run, command, tmp_path):
    result = run(*command)
    assert (result.code, result.out) == (1, "")
    assert f"no database at {tmp_path / 'lessllm.duckdb'}" in result.err
    assert "`lessllm server`" in result.err and "--url" in result.err


def test_a_collector_that_does_not_answer_is_named(run):
    result = run("stats", "--url", "http://127.0.0.1:9")
    assert (result.code, result.out) == (1, "")
    assert "nothing answers at http://127.0.0.1:9" in result.err


def test_the_key_comes_from_the_configuration_or_the_environment(run, stub, monkeypatch, tmp_path):
    stub.answers_with("POST", "/reanalyze", {"rows": 3})
    monkeypatch.setenv("LESSLLM_COLLECTOR__API_KEY", "from-the-environment")
    assert run("reanalyze", "--url", stub.url).out == "3 calls worked out again\n"
    assert stub.last[2]["authorization"] == "Bearer from-the-environment"
    monkeypatch.delenv("LESSLLM_COLLECTOR__API_KEY")
    (tmp_path / "other.yaml").write_text("collector: {api_key: from-the-file}")
    assert run("reanalyze", "--url", stub.url, "--config", "other.yaml", "--json").out == '{"rows": 3}\n'
    assert stub.last[2]["authorization"] == "Bearer from-the-file"


def test_services_elsewhere_are_found_by_the_configuration(run, stub, tmp_path):
    stub.answers_with("POST", "/reanalyze", {"rows": 1})
    stub.answers_with("POST", "/flush", {})
    (tmp_path / "lessllm.yaml").write_text(f"server: {{url: '{stub.url}/v1', collector_url: '{stub.url}'}}")
    assert run("reanalyze", "--since", "2026-11-01").out == "1 call worked out again\n"
    assert stub.last[3] == b'{"since": "2026-11-01"}'


def test_a_reader_that_leaves_ends_the_command_quietly(lessllm_command, stub):
    rows = [[number, "x" * 100] for number in range(20_000)]
    columns = [{"name": "n", "type": "BIGINT"}, {"name": "text", "type": "VARCHAR"}]
    stub.answers_with("POST", "/query", {"columns": columns, "rows": rows})
    command = [lessllm_command, "query", "SELECT 1", "--url", stub.url, "--format", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_command_that_waits_quietly(lessllm_command, stub, number, code):
    stub.answers_with("GET", "/export", [b"PAR1", ...])
    command = [lessllm_command, "export", "a.parquet", "--url", stub.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while not stub.requests:
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err.strip()) == (code, b"", b"")
    assert os.listdir() == []  # noqa: PTH208 - the working folder


def test_a_full_disk_is_said_in_one_line(lessllm_command):
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run([lessllm_command, "--help"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (1, b"lessllm: [Errno 28] No space left on device\n")
