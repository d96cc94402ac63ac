"""The process `lessllm-gateway`, from outside."""

import socket
import subprocess
import sys

import pytest


def run(*arguments: str, document: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lessllm_gateway", *arguments]
    return subprocess.run(command, input=document, capture_output=True, text=True, timeout=30, check=False)


def test_a_wrong_configuration_ends_with_2_and_names_its_key():
    result = run("--config", "-", document="gateway: {prot: 1}")
    assert result.returncode == 2
    assert "gateway.prot: unknown key; did you mean port?" in result.stderr


def test_an_alias_on_a_provider_without_an_address_is_a_wrong_configuration():
    result = run("--config", "-", document="models: {m: {provider: nowhere}}")
    assert result.returncode == 2
    assert "models.m.provider" in result.stderr


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("--config", "-", document=f"gateway: {{port: {port}}}")
    assert result.returncode == 1
    assert f"can't listen on 127.0.0.1:{port}" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "api_key: {${X}}"])
def test_yaml_that_is_no_configuration_is_said_to_be_none(text):
    result = run("--config", "-", document=text)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
