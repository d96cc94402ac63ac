"""Keys for the wire between gateway and collector: made, checked, demanded beyond this machine."""

import pytest
import zmq
from lessllm_shared.config import CollectorSettings, ConfigError, GatewaySettings, load
from lessllm_shared.curve import collector_keys, gateway_keys, make_keys

BEYOND = "tcp://collector:5555"
SIDES = pytest.mark.parametrize("keys_of", [gateway_keys, collector_keys])


def made():
    return {name: key.get_secret_value() for name, key in make_keys().model_dump().items()}


def section(**collector):
    return load(GatewaySettings, {"collector": collector}, {}).collector


def problem(keys_of, **collector):
    with pytest.raises(ConfigError) as caught:
        keys_of(section(**collector))
    return str(caught.value)


def test_each_side_gets_its_own_secret_and_the_others_public_key():
    curve = made()
    gateway = gateway_keys(section(endpoint=BEYOND, curve=curve))
    collector = collector_keys(section(endpoint=BEYOND, curve=curve))
    assert gateway.secret.decode() == curve["gateway_secret_key"]
    assert gateway.peer.decode() == curve["collector_public_key"]
    assert collector.secret.decode() == curve["collector_secret_key"]
    assert collector.peer == gateway.public == zmq.curve_public(gateway.secret)
    assert gateway.peer == collector.public
    assert len(set(curve.values())) == 4
    assert not set(curve.values()) & set(made().values())


def test_no_key_looks_like_a_variable_where_it_is_written():
    assert not [key for _ in range(20) for key in made().values() if "$" in key]


def test_a_side_needs_no_more_than_its_own_two():
    curve = made()
    gateway = {name: curve[name] for name in ("gateway_secret_key", "collector_public_key")}
    collector = {name: curve[name] for name in ("collector_secret_key", "gateway_public_key")}
    assert (
        gateway_keys(section(endpoint=BEYOND, curve=gateway)).public.decode() == curve["gateway_public_key"]
    )
    assert collector_keys(section(curve=collector)).public.decode() == curve["collector_public_key"]
    assert problem(gateway_keys, curve=collector) == (
        "collector.curve: the gateway needs gateway_secret_key and collector_public_key as well;"
        " `lessllm keys` makes them all"
    )
    assert "the collector needs collector_secret_key and gateway" in problem(collector_keys, curve=gateway)


@SIDES
@pytest.mark.parametrize("left_out", ["collector", "gateway"])
def test_half_of_what_a_side_needs_is_said_by_name(keys_of, left_out):
    mine, peers = ("gateway", "collector") if keys_of is gateway_keys else ("collector", "gateway")
    name = f"{mine}_secret_key" if left_out == mine else f"{peers}_public_key"
    curve = made()
    del curve[name]
    said = problem(keys_of, curve=curve)
    assert f"the {mine} needs {name} as well" in said
    assert not any(key in said for key in curve.values())


@SIDES
@pytest.mark.parametrize(
    "endpoint",
    [
        *("tcp://collector:5555", "tcp://10.0.0.1:5555", "tcp://[fe80::1]:5555", "tcp://localhost.test:5555"),
        *("tcp://*:5555", "tcp://0.0.0.0:5555", "tcp://[::]:5555", "tcp://eth0:5555"),
        *("tcp://127.0.0.1:0;10.0.0.1:5555", "tcp://127.0.0.1.evil.test:5555", "tcp://"),
    ],
)
def test_beyond_this_machine_there_are_keys_or_a_waiver(keys_of, endpoint):
    said = problem(keys_of, endpoint=endpoint)
    assert said.startswith(f"collector.endpoint: records would pass {endpoint} unencrypted: ")
    assert "`lessllm keys`" in said and "collector.allow_plaintext: true" in said
    assert keys_of(section(endpoint=endpoint, allow_plaintext=True)) is None
    assert keys_of(section(endpoint=endpoint, allow_plaintext=True, curve=made())) is not None


@SIDES
@pytest.mark.parametrize(
    "endpoint",
    [
        *("tcp://127.0.0.1:5555", "tcp://127.8.8.8:1", "tcp://[::1]:5555", "tcp://localhost:5555"),
        "ipc:///run/lessllm/records",
    ],
)
def test_on_this_machine_keys_are_not_needed_and_used_if_there(keys_of, endpoint):
    assert keys_of(section(endpoint=endpoint)) is None
    assert keys_of(section(endpoint=endpoint, curve=made())) is not None


@pytest.mark.parametrize(
    "written",
    [
        *(
            "",
            "x" * 39,
            "x" * 41,
            "x" * 39 + "'",
            "x" * 39 + " ",
            "x" * 39 + "é",
            "x" * 35 + "#####",
            "00" * 32,
        ),
        *("%nSc1" + "0" * 35, 40 * "\\"),
    ],
)
@pytest.mark.parametrize("name", ["collector_public_key", "gateway_secret_key"])
def test_what_is_no_key_is_refused_without_being_shown(name, written):
    with pytest.raises(ConfigError) as caught:
        section(curve={name: written})
    said = str(caught.value)
    assert said == f"collector.curve.{name}: must be a key of 40 characters as `lessllm keys` makes them"


@pytest.mark.parametrize("quote", ["'", '"', ""])
def test_a_key_comes_from_the_environment_with_or_without_quotes(monkeypatch, quote):
    key = "%nSc0a$#[]0{}()1<>*?2!&^/3=+:-.zyxwvuZYX"
    monkeypatch.setenv("LESSLLM_COLLECTOR__CURVE__GATEWAY_PUBLIC_KEY", f"{quote}{key}{quote}")
    assert load(CollectorSettings, {}).collector.curve.gateway_public_key.get_secret_value() == key


def test_keys_do_not_show_in_what_is_printed_by_mistake():
    curve = make_keys()
    keys = gateway_keys(section(curve=made()))
    assert curve.gateway_secret_key.get_secret_value() not in repr(curve)
    assert keys.secret.decode() not in repr(keys)
