"""`lessllm check`: what it shows in terminals and to programs, and how it ends."""

import json
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
import yaml
from lessllm import check_view, tables
from lessllm.simulator import running_simulator

KEY = "sk-CANARY-0123456789"


@pytest.fixture(scope="module")
def provider():
    with running_simulator() as url:
        yield url


@pytest.fixture
def configured(tmp_path):
    """Writes lessllm.yaml."""

    def configure(providers, **sections):
        document = {"proxy": {"trust_env": False}, "providers": providers, **sections}
        (tmp_path / "lessllm.yaml").write_text(yaml.safe_dump(document, sort_keys=False))

    return configure


def test_all_is_well(run, configured, provider):
    configured({"sim": {"base_url": f"{provider}/v1", "api_key": KEY}, "own": {"base_url": f"{provider}/v1"}})
    result = run("check")
    assert (result.code, result.err) == (0, "")
    heading, _, titles, _, sim, own = result.out.splitlines()
    assert re.fullmatch(r"LessLLM \S+, configuration: lessllm.yaml", heading)
    assert re.split(r"  +", titles) == [
        *("provider", "route", "DNS", "connect", "proxy", "TLS", "certificate of", "key", "verdict")
    ]
    assert re.fullmatch(r"sim +direct +– +[\d.]+ ms +– +– +– +valid +ok", sim)  # noqa: RUF001 - NULL
    assert re.fullmatch(r"own +direct +– +[\d.]+ ms +– +– +– +the client's +ok", own)  # noqa: RUF001


def test_what_fails_is_told_with_the_remedy_and_by_the_exit_code(run, configured, provider, stub):
    body = {"error": {"message": f"wrong: {KEY}"}}
    stub.answers_with("GET", "/v1/models", body, 401)
    configured(
        {
            "refused": {"base_url": f"{stub.url}/v1", "api_key": KEY, "proxy": "direct"},
            "a": {"base_url": f"{provider}/v1"},
            "b": {"base_url": f"{provider}/v1", "api_key": KEY},
        },
        proxy={"http_proxy": "http://u:CANARY-password@127.0.0.1:9"},
    )
    result = run("check")
    assert result.code == 1
    assert "CANARY" not in result.out + result.err
    assert (
        "\na, b by way of http://127.0.0.1:9: failed at the connection\n"
        "  the proxy can't be reached: no connection: Connection refused\n"
        "  What to do: is it up, and its address right?\n"
    ) in result.out
    assert (
        "\nrefused, direct: the key\n"
        "  the key was refused (401): wrong: …\n"
        "  What to do: check providers.refused.api_key\n"
    ) in result.out
    assert result.err == (
        "lessllm: 3 of 3 failed: refused (key refused), a (proxy unreachable), b (proxy unreachable)\n"
    )
    assert [(method, path) for method, path, *_ in stub.requests] == [("GET", "/v1/models")]


def test_programs_get_the_same_facts_as_json(run, configured, provider):
    configured(
        {"p": {"base_url": f"{provider}/v1", "api_key": KEY}},
        proxy={"chain": ["socks5://u:CANARY@127.0.0.1:9"], "fallback_direct": True},
    )
    result = run("check", "p", "--json")
    assert (result.code, result.err) == (1, "lessllm: 1 of 1 failed: p (proxy unreachable)\n")
    assert "CANARY" not in result.out
    found = json.loads(result.out)
    assert (found["client_keys"], found["remarks"]) == (0, [])
    (report,) = found["providers"]
    ways = report.pop("ways")
    assert report == {
        "provider": "p",
        "base_url": f"{provider}/v1",
        "ok": False,
        "key": {"source": "configured", "verdict": "valid"},
    }
    by_proxy, direct = ways
    assert by_proxy["error"] == {
        "stage": "connect",
        "code": "proxy_unreachable",
        "message": "the proxy can't be reached: no connection: Connection refused",
        "remedy": "is it up, and its address right?",
    }
    assert direct.pop("connect_ms") == direct.pop("round_trip_ms") > 0
    assert direct == {
        "route": "direct",
        "reachable": True,
        "dns_ms": None,
        "proxy_ms": None,
        "tls_ms": None,
        "certificate": None,
        "status": 200,
        "key": {"verdict": "valid", "message": "", "remedy": ""},
        "error": None,
    }


def test_client_keys_are_read_from_their_file_too(run, configured, provider, tmp_path):
    keys = tmp_path / "keys.yaml"
    configured({"p": {"base_url": f"{provider}/v1", "api_key": KEY}}, auth={"keys_file": str(keys)})
    result = run("check")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"lessllm: configuration: {keys}: can't be read")
    keys.write_text("keys: [{name: ci, key: lk-CANARY, models: [gtp-5]}]")
    result = run("check")
    assert (result.code, result.err) == (0, "")
    assert (
        "\nclient keys: 1\n\n"
        "the client key ci\n"
        "  models: 'gtp-5' is no alias here, no known provider's model and no provider/model\n"
        "  What to do: name it as clients do, or take it off the list\n"
    ) in result.out
    assert "CANARY" not in result.out


def test_only_those_named_are_tried(run, configured, provider):
    configured({"dead": {"base_url": "http://127.0.0.1:9"}, "sim": {"base_url": provider}})
    result = run("check", "sim")
    assert result.code == 0
    assert "dead" not in result.out
    result = run("check", "smi")
    assert (result.code, result.out) == (2, "")
    assert result.err == "lessllm: configuration: smi: there is no such provider; did you mean sim?\n"


@pytest.mark.parametrize(
    ("document", "mistakes"),
    [
        ("proxi: {}\ntimeouts: {conect_s: 1}\ncollector: {prot: 1}", ["proxi", "conect_s", "collector.prot"]),
        (
            "proxy: {http_proxy: 'http://u:CANARY@a:b'}\ncollector: {endpoint: 'tcp://x'}",
            ["proxy.http_proxy", "collector.endpoint"],
        ),
    ],
)
def test_every_mistake_of_the_configuration_is_named_and_nothing_tried(run, tmp_path, document, mistakes):
    (tmp_path / "lessllm.yaml").write_text(document)
    result = run("check")
    assert (result.code, result.out) == (2, "")
    assert all(mistake in result.err for mistake in mistakes)
    assert "CANARY" not in result.err and "Traceback" not in result.err


def test_settings_come_from_the_environment_too(run, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("LESSLLM_PROXY__HTTP_PROXY", "http://127.0.0.1:9")
    result = run("check")
    assert result.code == 1
    assert "configuration: defaults" in result.out
    assert re.search(r"\nopenai +http://127\.0\.0\.1:9 .* not tried +proxy unreachable\n", result.out)
    assert "anthropic" not in result.out


@pytest.mark.parametrize("arguments", [["--timeout-s", "0"], ["--timeout-s", "never"]])
def test_a_timeout_that_is_none_is_wrong_usage(run, arguments):
    assert run("check", *arguments).code == 2


def test_a_check_that_breaks_off_says_so(run, configured, monkeypatch, tmp_path):
    configured({})
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho 'Traceback' >&2; echo 'no memory\033[1m' >&2\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    result = run("check")
    assert (result.code, result.out) == (1, "")
    assert result.err == "lessllm: the check broke off: no memory�[1m\n"


def test_a_terminal_of_any_width_shows_everything(terminal, configured, provider):
    configured(
        {f"provider-{i}": {"base_url": f"{provider}/v1"} for i in range(2)},
        proxy={"chain": ["http://127.0.0.1:9"], "fallback_direct": True},
    )
    for columns in (60, 80, 140):
        result = terminal("check", columns=columns)
        assert result.code == 1
        for word in ("provider-1", "http://127.0.0.1:9", "failed", "proxy unreachable", "certificate of"):
            assert word in result.out
        table, _, _ = result.out.partition("lessllm: ")
        assert all(len(line) <= columns for line in table.splitlines())
        assert "provider-0, provider-1 by way of http://127.0.0.1:9" in result.out.replace("\n", " ")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_can_be_ended_while_it_waits_and_leaves_no_process(lessllm_command, configured, number, code):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        configured({"p": {"base_url": f"http://127.0.0.1:{silent.getsockname()[1]}", "api_key": KEY}})
        with subprocess.Popen(
            [lessllm_command, "check", "--timeout-s", "60"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            asked, _ = silent.accept()
            asked.recv(1)
            start_s = time.monotonic()
            process.send_signal(number)
            out, err = process.communicate(timeout=10)
        with asked:
            while asked.recv(65536):
                pass  # the end: whoever had it open is gone
    assert time.monotonic() - start_s < 10
    assert (process.returncode, out, err.strip()) == (code, b"", b"")


# What is shown of what was found.


def way(**changes):
    nothing = dict.fromkeys(
        ("dns_ms", "connect_ms", "proxy_ms", "tls_ms", "round_trip_ms", "certificate", "status", "error")
    )
    key = {"verdict": "none", "message": "no key: clients bring their own", "remedy": ""}
    return {"route": "direct", "reachable": True, "key": key, **nothing, **changes}


def shown(*ways, width=200):
    report = {"provider": "p", "base_url": "https://p.test", "ok": True, "ways": ways}
    return "\n".join(tables.as_text(part, width) for part in check_view.parts([report], width))


@pytest.mark.parametrize(
    ("trusted_by", "cell", "is_interception"),
    [
        ("well_known", "ACME", False),
        ("tls.ca_file", "ACME (tls.ca_file)", True),
        ("system", "ACME (system)", True),
        (None, "ACME (not trusted)", False),
    ],
)
def test_interception_is_said_whoever_trusts_it(trusted_by, cell, is_interception):
    text = shown(way(certificate={"issuer": "ACME", "trusted_by": trusted_by}))
    assert f"  {cell}  " in text
    assert ("p: TLS is intercepted by ACME (trusted by " in text) == is_interception


def test_markup_in_a_stranger_s_name_is_text():
    assert "[red]ACME[/]" in shown(way(certificate={"issuer": "[red]ACME[/]", "trusted_by": "system"}))


@pytest.mark.parametrize(
    ("stage", "code", "where", "verdict"),
    [
        ("dns", "upstream_unreachable", "DNS", "upstream unreachable"),
        ("proxy_handshake", "proxy_timeout", "the proxy", "proxy timeout"),
        ("tls", "upstream_tls_failed", "TLS", "upstream TLS failed"),
        ("wait", "upstream_timeout", "the answer", "upstream timeout"),
    ],
)
def test_a_failure_stands_at_its_stage(stage, code, where, verdict):
    error = {"stage": stage, "code": code, "message": "it is so", "remedy": ""}
    text = shown(way(reachable=False, error=error))
    assert f"\np, direct: failed at {where}\n  it is so" in text
    assert verdict in text
    assert "What to do" not in text
    assert ("timed out" in text) == (stage == "proxy_handshake")
