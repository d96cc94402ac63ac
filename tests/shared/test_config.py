"""The configuration: every mistake names its key, and a service sees only its own sections."""

from datetime import timedelta

import pytest
import yaml
from lessllm_shared.config import ClientSettings, CollectorSettings, ConfigError, GatewaySettings, load


def problem(settings, document, environ=None):
    with pytest.raises(ConfigError) as caught:
        load(settings, document, environ or {})
    return str(caught.value)


def test_no_configuration_is_a_configuration():
    settings = load(GatewaySettings, {}, {})
    assert (settings.gateway.host, settings.gateway.port) == ("127.0.0.1", 8000)
    assert load(CollectorSettings, {}, {}).collector.port == 8001


def test_the_example_of_the_ai_tools_team_loads_as_it_stands():
    document = yaml.safe_load("""
proxy:
  socks_proxy: "socks5://127.0.0.1:1080"

models:
  "gpt-4":
    provider: "openai"
    model: "gpt-4-0613"
  "claude":
    provider: "anthropic"
    model: "claude-3-opus-20240229"
""")
    settings = load(GatewaySettings, document, {})
    assert settings.models["claude"].model == "claude-3-opus-20240229"
    assert load(CollectorSettings, document, {}).prices == {}


def test_the_example_of_the_enterprise_loads_with_its_variables_expanded():
    document = {
        "proxy": {
            "http_proxy": "http://proxy.company.com:8080",
            "auth": {"username": "${PROXY_USER}", "password": "${PROXY_PASS}"},
        },
        "logging": {"enabled": True, "storage": "duckdb", "db_path": "/shared/ai_usage_logs.db"},
    }
    settings = load(GatewaySettings, document, {"PROXY_USER": "ann", "PROXY_PASS": "s3cret"})
    assert settings.proxy.auth.password.get_secret_value() == "s3cret"
    # The collector has no use for the proxy, so it neither needs nor sees its variables.
    assert str(load(CollectorSettings, document, {}).logging.db_path) == "/shared/ai_usage_logs.db"


def test_an_unset_variable_is_named_with_its_key():
    text = problem(GatewaySettings, {"providers": {"openai": {"api_key": "${NOT_SET}"}}})
    assert text.startswith("providers.openai.api_key: environment variable NOT_SET is not set")


def test_a_default_stands_in_for_an_unset_variable():
    document = {"gateway": {"host": "${HOST_OF_MINE:-::1}"}}
    assert load(GatewaySettings, document, {}).gateway.host == "::1"


def test_an_unknown_key_is_named_with_the_nearest_right_one():
    assert problem(GatewaySettings, {"proxi": {}}) == "proxi: unknown section; did you mean proxy?"
    text = problem(GatewaySettings, {"providers": {"openai": {"api_kee": "x"}}})
    assert text == "providers.openai.api_kee: unknown key; did you mean api_key?"


def test_every_mistake_is_told_at_once_without_its_value():
    text = problem(
        GatewaySettings,
        {"gateway": {"port": "eighty"}, "proxy": {"socks_proxy": "ftp://user:s3cret@host"}},
    )
    assert "gateway.port:" in text
    assert "proxy.socks_proxy: must be a URL that starts with socks://" in text
    assert "s3cret" not in text


def test_an_empty_client_key_is_refused():
    assert "auth.keys.0.key" in problem(GatewaySettings, {"auth": {"keys": [{"name": "a", "key": ""}]}})


def test_the_environment_wins_over_the_document(monkeypatch):
    monkeypatch.setenv("LESSLLM_GATEWAY__PORT", "9000")
    assert load(ClientSettings, {"gateway": {"port": 8500}}).gateway.port == 9000


def test_mistakes_of_all_kinds_are_named_together_and_each_once():
    document = {
        "porxy": {},
        "providers": {"openai": {"api_key": "${NOT_SET}", "base_url": "ftp://x"}},
        "gateway": {"prot": 1},
    }
    keys = [line.partition(":")[0] for line in problem(GatewaySettings, document).splitlines()]
    assert sorted(keys) == ["gateway.prot", "porxy", "providers.openai.api_key", "providers.openai.base_url"]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("2w", timedelta(days=14)),
        ("90 s", timedelta(seconds=90)),
        ("9999w", timedelta(weeks=9999)),
        ("forever", None),
        (None, None),
    ],
)
def test_a_duration_is_written_as_people_write_it(written, kept):
    document = {"logging": {"retention": {"bodies": written}}}
    retention = load(CollectorSettings, document, {}).logging.retention
    assert (retention.bodies, retention.calls) == (kept, timedelta(days=365))


@pytest.mark.parametrize("written", ["", "0d", "-1d", "30", 30, "d", "30 days", "1.5d", "99999w", True, [1]])
def test_what_is_no_duration_is_refused_by_key_and_example(written):
    text = problem(CollectorSettings, {"logging": {"retention": {"calls": written}}})
    assert text == "logging.retention.calls: must be like 30d, 12h or 2w (also s and m), or forever"


def test_a_duration_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("LESSLLM_LOGGING__RETENTION__BODIES", "12h")
    assert load(CollectorSettings, {}).logging.retention.bodies == timedelta(hours=12)
