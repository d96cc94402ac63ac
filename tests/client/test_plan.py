"""What a local server is to be, worked out before anything is started."""

from pathlib import Path

import pytest
import yaml
from lessllm.plan import Overrides, find_document, http_url, lone_collector, make_plan
from lessllm_shared.config import ConfigError

NOTHING = Overrides()
IPC = Path("/tmp/lessllm-x")


def names(document, overrides=NOTHING):
    return [service.name for service in make_plan(document, overrides).services(IPC)]


def test_every_mistake_is_named_once_whichever_service_reads_it():
    with pytest.raises(ConfigError) as caught:
        make_plan(
            {"gateway": {"prot": 1}, "logging": {"db_pth": "x"}, "collector": {"port": "many"}}, NOTHING
        )
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["gateway.prot", "logging.db_pth", "collector.port"]
    assert "did you mean port?" in lines[0]


def test_a_variable_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"providers\.openai\.api_key: environment variable NO_SUCH_KEY"):
        make_plan({"providers": {"openai": {"api_key": "${NO_SUCH_KEY}"}}}, NOTHING)


def test_the_collector_starts_first_and_never_sees_a_providers_key():
    document = {
        "providers": {"openai": {"api_key": "sk-secret"}},
        "prices": {},
        "logging": {"db_path": "a.db"},
    }
    plan = make_plan(document, NOTHING)
    collector, gateway = plan.services(IPC)
    assert (collector.name, gateway.name) == ("collector", "gateway")
    assert b"sk-secret" in gateway.document
    assert b"sk-secret" not in collector.document
    assert set(yaml.safe_load(collector.document)) == {"prices", "logging"}
    assert "sk-secret" not in repr([plan, collector, gateway])


def test_without_logging_there_is_only_a_gateway():
    assert names({"logging": {"enabled": False}}) == ["gateway"]


def test_both_services_meet_on_one_socket_and_one_file(tmp_path):
    collector, gateway = make_plan({}, NOTHING).services(IPC)
    assert collector.environment == gateway.environment
    assert collector.environment["LESSLLM_COLLECTOR__ENDPOINT"] == f"ipc://{IPC}/records"
    assert collector.environment["LESSLLM_LOGGING__DB_PATH"] == str(tmp_path / "lessllm.duckdb")


def test_a_configured_endpoint_stays():
    services = make_plan({"collector": {"endpoint": "tcp://10.0.0.1:5555"}}, NOTHING).services(IPC)
    assert all("LESSLLM_COLLECTOR__ENDPOINT" not in service.environment for service in services)


def test_port_0_becomes_a_free_one_and_the_command_line_wins():
    document = {"gateway": {"port": 0}, "collector": {"port": 0}}
    collector, gateway = make_plan(document, NOTHING).services(IPC)
    assert gateway.port and collector.port and gateway.port != collector.port
    collector, gateway = make_plan(document, Overrides(host="::1", port=5, collector_port=6)).services(IPC)
    assert (gateway.url, collector.url) == ("http://[::1]:5", "http://127.0.0.1:6")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("::", "http://[::1]:1"),
        ("localhost", "http://127.0.0.1:1"),
        ("10.0.0.7", "http://10.0.0.7:1"),
    ],
)
def test_a_service_that_listens_everywhere_is_reached_on_this_machine(host, url):
    assert http_url(host, 1) == url


def test_what_a_running_server_can_change_makes_it_no_other_server():
    def identity(document, **overrides):
        return make_plan(document, Overrides(**overrides)).identity

    plain = identity({})
    assert identity({"logging": {"debug_mode": True}}) == plain
    assert identity({}, debug_mode=True) == plain
    assert identity({"providers": {"openai": {"api_key": "a"}}}) != plain
    assert identity({"providers": {"openai": {"api_key": "a"}}}) != identity(
        {"providers": {"openai": {"api_key": "b"}}}
    )
    assert identity({}, port=1234) != plain


def test_switches_set_in_python_reach_both_services():
    services = make_plan({}, Overrides(debug_mode=True)).services(IPC)
    assert {service.environment["LESSLLM_LOGGING__DEBUG_MODE"] for service in services} == {"true"}
    assert all("LESSLLM_LOGGING__ENABLE_CACHE_ANALYSIS" not in service.environment for service in services)


def test_a_lone_collector_needs_nothing_that_only_the_gateway_needs():
    document = {"providers": {"openai": {"api_key": "${NO_SUCH_KEY}"}}, "collector": {"api_key": "k"}}
    service = lone_collector(document, IPC)
    assert yaml.safe_load(service.document) == {"collector": {"api_key": "k"}}
    assert service.environment["LESSLLM_COLLECTOR__HOST"] == "127.0.0.1"
    with pytest.raises(ConfigError, match=r"collector\.prot"):
        lone_collector({"collector": {"prot": 1}}, IPC)


def test_a_dict_may_hold_paths_and_tuples():
    document = {"logging": {"db_path": Path("/a/b.db")}, "proxy": {"no_proxy": ("x", "y")}}
    _, gateway = make_plan(document, NOTHING).services(IPC)
    assert yaml.safe_load(gateway.document) == {
        "logging": {"db_path": "/a/b.db"},
        "proxy": {"no_proxy": ["x", "y"]},
    }


def test_the_document_is_given_or_a_file_or_the_one_in_the_working_folder(tmp_path):
    assert find_document(None) == {}
    assert find_document({"pool": {}}) == {"pool": {}}
    (tmp_path / "lessllm.yaml").write_text("gateway: {port: 1}")
    assert find_document(None) == {"gateway": {"port": 1}}
    (tmp_path / "other.yaml").write_text("gateway: {port: 2}")
    assert find_document("other.yaml") == {"gateway": {"port": 2}}
    with pytest.raises(ConfigError, match=r"missing\.yaml: can't be read"):
        find_document(tmp_path / "missing.yaml")
