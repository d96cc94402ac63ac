"""`lessllm check` by real proxies: what it finds, where it ends, and that it shows no secret."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.processes import clean_environment, free_port
from e2e.proxies import CANARY, USER, Proxies, shown_credentials
from e2e.upstream import certificate, running_upstream
from lessllm.simulator.app import WRONG_KEY

KEY = f"sk-{CANARY}"
PASSWORD = f"{CANARY}-x"
# One lets in whom it knows by address already, the other answers a wrong password with 401.
UNSURE = ("pproxy", "tinyproxy")


@dataclass
class Provider:
    """Our simulated provider behind TLS, and who vouches for it."""

    url: str
    upstream: Any
    ca_file: Path

    def behind(self, proxy: Any, **changes: Any) -> dict[str, Any]:
        """As lessllm.yaml has it."""
        settings = {"base_url": f"{self.url}/v1", "api_key": KEY, "tls": {"ca_file": str(self.ca_file)}}
        return {**settings, "proxy": proxy, **changes}


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    shown = certificate(tmp_path_factory.mktemp("certificate"))
    with running_upstream(shown) as upstream:
        yield Provider(upstream.url, upstream, shown.ca_file)


@pytest.fixture
def check(tmp_path):
    """Runs the command. Returns its exit code, the ways of each provider, and what it said on stderr."""

    def run(providers, *arguments):
        (tmp_path / "lessllm.yaml").write_text(yaml.safe_dump({"providers": providers}))
        command = [Path(sys.executable).with_name("lessllm"), "check", "--json", *arguments]
        ended = subprocess.run(
            command,
            cwd=tmp_path,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not shown_credentials(ended.stdout + ended.stderr)
        assert ended.stdout, ended.stderr
        reports = json.loads(ended.stdout)["providers"]
        return ended.returncode, {report["provider"]: report["ways"] for report in reports}, ended.stderr

    return run


@pytest.mark.parametrize("kind", ["http", "socks5", "socks5h", "socks4"])
def test_a_way_by_a_proxy_is_measured_in_each_phase(check, pproxy, provider, kind):
    user = "" if kind == "socks4" else f"{USER}:{PASSWORD}"
    route = f"{kind}://{pproxy(kind.removesuffix('h'), user)}"
    proxy = {"chain": [route], "auth": {"username": USER, "password": PASSWORD}}
    code, ways, _ = check({"p": provider.behind(proxy)})
    assert code == 0
    (way,) = ways["p"]
    assert (way["route"], way["reachable"], way["error"], way["status"]) == (route, True, None, 200)
    assert way["key"]["verdict"] == "valid"
    assert min(way["connect_ms"], way["proxy_ms"], way["tls_ms"]) > 0
    assert way["round_trip_ms"] == way["tls_ms"]
    assert way["certificate"]["trusted_by"] == "tls.ca_file"
    assert way["certificate"]["issuer"].startswith("trustme")


def test_each_failure_is_found_at_its_stage(check, pproxy, provider, tmp_path):
    guarded, dead = pproxy("http", f"{USER}:{PASSWORD}"), free_port()
    other = certificate(tmp_path)
    here = provider.url
    wrong = {"http_proxy": f"http://{USER}:{CANARY}@{guarded}"}
    providers = {
        "wrong-password": provider.behind(wrong),
        "dead-proxy": provider.behind({"http_proxy": f"http://127.0.0.1:{dead}"}),
        "no-proxy": provider.behind({"socks_proxy": "socks5://proxy.invalid"}),
        "no-name": provider.behind("direct", base_url="https://api.invalid/v1"),
        "closed": provider.behind("direct", base_url=f"https://127.0.0.1:{dead}/v1"),
        "unknown-authority": provider.behind("direct", tls={}),
        "another-authority": provider.behind("direct", tls={"ca_file": str(other.ca_file)}),
        "no-tls": provider.behind("direct", base_url=f"https://{guarded}/v1"),
        "not-http": provider.behind("direct", base_url=f"{here.replace('https', 'http')}/v1"),
    }
    requests = provider.upstream.counts[1]
    code, ways, said = check(providers, "--timeout-s", "5")
    assert code == 1
    found = {name: (way["error"]["stage"], way["error"]["code"]) for name, (way,) in ways.items()}
    assert found == {
        "wrong-password": ("proxy_handshake", "proxy_auth_failed"),
        "dead-proxy": ("connect", "proxy_unreachable"),
        "no-proxy": ("dns", "proxy_unreachable"),
        "no-name": ("dns", "upstream_unreachable"),
        "closed": ("connect", "upstream_unreachable"),
        "unknown-authority": ("tls", "upstream_tls_failed"),
        "another-authority": ("tls", "upstream_tls_failed"),
        "no-tls": ("tls", "upstream_tls_failed"),
        "not-http": ("wait", "upstream_protocol_error"),
    }
    assert ways["unknown-authority"][0]["certificate"]["issuer"].startswith("trustme")
    assert all(way["error"]["message"] and way["error"]["remedy"] for (way,) in ways.values())
    assert said.startswith("lessllm: 9 of 9 failed: ")
    assert provider.upstream.counts[1] == requests


def test_behind_a_dead_proxy_the_rest_of_the_chain_is_tried_too(check, pproxy, provider):
    chain = [f"socks5://127.0.0.1:{free_port()}", f"http://{pproxy('http')}"]
    code, ways, said = check({"p": provider.behind({"chain": chain, "fallback_direct": True})})
    assert [way["route"] for way in ways["p"]] == [*chain, "direct"]
    assert [way["reachable"] for way in ways["p"]] == [False, True, True]
    assert (code, said) == (1, "lessllm: 1 of 1 failed: p (proxy unreachable)\n")


def test_a_key_that_the_provider_does_not_know_is_refused(check, provider):
    code, ways, said = check({"p": provider.behind("direct", api_key=f"{WRONG_KEY}-{CANARY}")})
    (way,) = ways["p"]
    assert (way["reachable"], way["status"], way["key"]["verdict"]) == (True, 401, "refused")
    assert way["key"]["message"].startswith("the key was refused (401): ")
    assert (code, said) == (1, "lessllm: 1 of 1 failed: p (key refused)\n")


def test_every_proxy_that_there_is_opens_the_way_and_tells_a_wrong_password(
    check, proxies: Proxies, provider
):
    expected = dict.fromkeys(proxies, "valid")
    providers = {name: provider.behind(proxy.settings()) for name, proxy in proxies.items()}
    for name, proxy in proxies.items():
        if proxy.password is not None and not name.startswith(UNSURE):
            wrong = proxy.settings(proxy.url(password=f"{CANARY}-wrong"))
            providers[f"{name}-wrong"] = provider.behind(wrong)
            expected[f"{name}-wrong"] = "proxy_auth_failed"
    _, ways, _ = check(providers)
    found = {
        name: way["error"]["code"] if way["error"] else way["key"]["verdict"] for name, (way,) in ways.items()
    }
    assert found == expected, [way["error"] for (way,) in ways.values() if way["error"]]
