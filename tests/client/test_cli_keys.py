"""`lessllm keys`: what it prints is all that either service needs."""

import re
import subprocess

import pytest
from lessllm_shared.config import CollectorSettings, GatewaySettings, load
from lessllm_shared.curve import collector_keys, gateway_keys

BEYOND = {"collector": {"endpoint": "tcp://collector:5555"}}


@pytest.fixture
def printed(run):
    """Whose → the variables, as an env file has them."""
    result = run("keys")
    assert (result.code, result.err) == (0, "")
    gateway, collector = result.out.removeprefix("# every gateway\n").split("# the collector\n")
    return {"gateway": gateway, "collector": collector}


def settings(monkeypatch, of, lines):
    with monkeypatch.context() as environment:
        for line in lines.splitlines():
            environment.setenv(*line.split("=", 1))  # as `docker run --env-file` does, quotes and all
        return load(of, BEYOND).collector


def test_each_service_starts_with_its_two_variables_and_they_fit(printed, monkeypatch):
    gateway = gateway_keys(settings(monkeypatch, GatewaySettings, printed["gateway"]))
    collector = collector_keys(settings(monkeypatch, CollectorSettings, printed["collector"]))
    assert (gateway.public, collector.public) == (collector.peer, gateway.peer)


def test_a_shell_reads_them_as_they_are(printed, tmp_path):
    lines = "".join(printed.values())
    (tmp_path / "keys.env").write_text(lines)
    script = "set -a; . ./keys.env; env"
    seen = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert len(re.findall("^[A-Z_]+='", lines, re.MULTILINE)) == 4  # a key may end with =
    assert set(lines.replace("'", "").splitlines()) <= set(seen.splitlines())


def test_they_are_new_each_time(run):
    assert not set(re.findall("'(.+)'", run("keys").out)) & set(re.findall("'(.+)'", run("keys").out))
