"""`lessllm server`, from outside: what it says, whom it serves, how it ends."""

import contextlib
import re
import signal
import socket
import subprocess

import httpx
import pytest
import yaml
from lessllm.state import ServerState

FREE = ("--port", "0", "--collector-port", "0")


@contextlib.contextmanager
def server(lessllm_command, *arguments):
    process = subprocess.Popen(
        [lessllm_command, "server", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def banner(process):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C"):
            break
    return "".join(lines)


def test_it_says_where_it_is_and_which_way_each_provider_goes_and_ends_in_order(
    lessllm_command, tmp_path, run
):
    configuration = {
        "proxy": {"socks_proxy": "socks5://user:secret@127.0.0.1:1080"},
        "providers": {
            "openai": {"api_key": "sk-secret"},
            "local": {"base_url": "http://127.0.0.1:9/v1", "proxy": "direct"},
        },
    }
    (tmp_path / "lessllm.yaml").write_text(yaml.safe_dump(configuration))
    with server(lessllm_command, *FREE) as process:
        shown = banner(process)
        url = re.search(r"export OPENAI_BASE_URL=(\S+)/v1", shown)[1]
        assert f"export ANTHROPIC_BASE_URL={url}\n" in shown
        assert re.search(
            r"openai +socks5://127\.0\.0\.1:1080 to https://api\.openai\.com/v1 +configured", shown
        )
        assert re.search(r"local +direct to http://127\.0\.0\.1:9/v1 +the client's", shown)
        assert re.search(r"anthropic, gemini and \d+ more +socks5://127\.0\.0\.1:1080 +the client's", shown)
        assert "secret" not in shown
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200

        # A second one for the same database is told about the first; questions find it.
        second = run("server", *FREE)
        assert second.code == 1
        assert f"runs already at {url} (process {process.pid})" in second.err
        assert run("query", "SELECT count(*) AS n FROM api_calls", "--format", "csv").out == "n\n0\n"

        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out == ""
    assert err.splitlines()[-1].startswith("stopping")
    assert not ServerState(tmp_path / "lessllm.duckdb").is_taken()


def test_a_port_that_is_taken_is_named(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("server", "--port", port, "--collector-port", "0")
    assert (result.code, result.out) == (1, "")
    assert f"can't listen on 127.0.0.1 port {port}: another program has it" in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("document", ["models: {m: {provider: nowhere}}"])
def test_what_only_the_gateway_finds_wrong_ends_with_2_too(run, tmp_path, document):
    (tmp_path / "lessllm.yaml").write_text(document)
    result = run("server", *FREE)
    assert (result.code, result.out) == (2, "")
    assert "models.m.provider" in result.err
    assert "Traceback" not in result.err
