"""The Python API: what it uses when nothing was said, switches, attaching, threads."""

import threading

import lessllm
import pytest
from lessllm import Client, ConfigError, QueryError, ServerError
from lessllm.switches import Switches


@pytest.fixture
def attached(recorded):
    client = Client()
    client.configure({"server": {"url": recorded.url + "/v1", "collector_url": recorded.collector_url}})
    yield client
    client.shutdown()


def test_the_package_offers_its_api_and_nothing_misspelt():
    assert {"configure", "query", "config", "ConfigError"} <= set(dir(lessllm))
    assert all(getattr(lessllm, name) is not None for name in lessllm.__all__)
    with pytest.raises(AttributeError, match="qeury"):
        _ = lessllm.qeury


def test_a_query_sees_the_calls_so_far(recorded):
    assert recorded.query("SELECT count(*) AS calls FROM api_calls") == [{"calls": 16}]


def test_parameters_fill_their_places(recorded):
    assert recorded.client.query("SELECT ? AS a", ["x' OR 1=1"]) == [{"a": "x' OR 1=1"}]


def test_wrong_sql_is_a_query_error_and_the_next_query_works(recorded):
    with pytest.raises(QueryError, match="mdoel"):
        recorded.query("SELECT mdoel FROM api_calls")
    assert recorded.query("SELECT 1 AS a") == [{"a": 1}]


def test_a_limit_on_rows_says_that_it_cut(recorded):
    rows = recorded.client.query("SELECT model FROM api_calls", max_rows=3)
    assert len(rows) == 3
    assert rows.truncated
    assert rows.elapsed_ms > 0


def test_threads_share_a_client(recorded):
    results = []

    def ask(number):
        results.append(recorded.query(f"SELECT {number} AS n")[0]["n"])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(16))


def test_an_attached_client_uses_that_server_and_leaves_it_running(attached, recorded):
    assert attached.get_proxy_url() == recorded.url + "/v1"
    assert attached.query("SELECT 1 AS a") == [{"a": 1}]
    attached.shutdown()
    assert recorded.query("SELECT 1 AS a") == [{"a": 1}]


def test_who_configured_nothing_uses_the_server_that_runs_for_the_default_database(recorded, monkeypatch):
    monkeypatch.setenv("LESSLLM_LOGGING__DB_PATH", str(recorded.database))
    client = Client()
    assert client.get_proxy_url() == recorded.url + "/v1"
    client.shutdown()
    assert recorded.query("SELECT 1 AS a") == [{"a": 1}]


def test_after_a_shutdown_the_next_use_finds_a_server_again(recorded):
    client = Client()
    client.configure(recorded.configuration)
    client.shutdown()
    assert client.query("SELECT 1 AS a") == [{"a": 1}]
    client.shutdown()


def test_a_switch_changes_the_running_server(recorded):
    config = Switches(recorded.client)
    assert config.debug_mode is False
    config.debug_mode = True
    assert config.debug_mode is True
    assert "debug_mode=True" in repr(config)
    config.debug_mode = False
    assert config.enable_cache_analysis is True


def test_a_switch_set_before_there_is_a_server_waits_for_it(recorded):
    client = Client()
    config = Switches(client)
    assert config.debug_mode is False
    config.debug_mode = True
    assert config.debug_mode is True
    client.configure(recorded.configuration)
    assert Switches(recorded.client).debug_mode is True
    config.debug_mode = False
    client.shutdown()


def test_a_misspelt_switch_is_an_error():
    with pytest.raises(AttributeError):
        Switches(Client()).debugmode = True


def test_where_nothing_answers_the_remedy_is_named():
    client = Client()
    client.configure({"server": {"url": "http://127.0.0.1:9", "collector_url": "http://127.0.0.1:9"}})
    with pytest.raises(ServerError, match="nothing answers at"):
        client.query("SELECT 1")
    client.shutdown()


def test_a_server_without_its_collector_is_a_wrong_configuration():
    with pytest.raises(ConfigError, match=r"server\.collector_url: Field required"):
        Client().configure({"server": {"url": "http://127.0.0.1:8000"}})


def test_a_file_that_is_no_configuration_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: can't be read"):
        Client().configure(tmp_path / "nowhere.yaml")


def test_usage_stats_count_every_call(recorded):
    stats = recorded.client.get_usage_stats(days=1)
    assert stats["totals"]["calls"] == 16


def test_logs_are_exported_by_date_and_model(recorded, tmp_path):
    import pandas as pd

    assert recorded.client.export_logs(tmp_path / "all.parquet") == 16
    recorded.client.export_logs(tmp_path / "some.parquet", "2026-01-01", None, {"model": ["gpt-4.1-mini"]})
    assert set(pd.read_parquet(tmp_path / "some.parquet")["model"]) == {"gpt-4.1-mini"}
    with pytest.raises(QueryError, match="modle"):
        recorded.client.export_logs(tmp_path / "none.parquet", filters={"modle": "x"})
    assert not (tmp_path / "none.parquet").exists()
