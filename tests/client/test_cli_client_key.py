"""`lessllm client-key`: what it prints for the configuration lets who has the key in."""

import re

import pytest
import yaml
from lessllm_gateway.keys.ring import KeyRing
from lessllm_shared.config import GatewaySettings, load


@pytest.mark.parametrize("name", ["team-a", "true", "søren: 'x' # \"y\"", "{a"])
def test_what_it_prints_is_a_key_and_its_line_for_the_configuration(run, name):
    result = run("client-key", name)
    assert (result.code, result.err) == (0, "")
    _, key, _, line = result.out.splitlines()
    assert re.fullmatch(r"lk-[\w-]{43}", key)
    assert key not in line
    auth = load(GatewaySettings, {"auth": {"keys": yaml.safe_load(line)}}, {}).auth
    assert KeyRing(auth.keys).find(key).name == name
    assert KeyRing(auth.keys).find(auth.keys[0].digest.hex()) is None
    assert run("client-key", name).out.splitlines()[1] != key


def test_a_name_that_the_configuration_would_refuse_is_refused(run):
    result = run("client-key", "x" * 65)
    assert (result.code, result.out) == (2, "")
    assert "64" in result.err
