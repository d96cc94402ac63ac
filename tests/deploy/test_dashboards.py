"""The dashboards: Grafana understands them, and a real Prometheus has data for each of their queries."""

import asyncio
import importlib.util
import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from e2e.processes import Services, free_port, running, running_services, wait_for
from e2e.prometheus import Prometheus, running_prometheus
from e2e.proxy_programs import PPROXY
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from lessllm.demo.traffic import send_all
from lessllm.demo.workload import ALIAS, ALIAS_MODEL, Call, make_lanes
from lessllm.simulator import running_simulator

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "deploy/grafana"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(GRAFANA.glob("dashboards/*.json"))}
OF_PROMETHEUS = re.compile(r"\.annotations\.list\[0\]\.(title|text)Format")  # its plugin's, in no schema
METRIC = re.compile(r"\b(?:lessllm_|lessllm:|gen_ai_(?:client|server)_)[\w:]+")
CHOSEN = {"$__rate_interval": "1m", "$__range": "5m", "$provider": ".*", "$model": ".*", "$gateway": ".*"}
KEY = "a-key-that-is-long-enough-for-a-test"
UNPRICED = {"model": "own/gpt-4.1-mini", "messages": [{"role": "user", "content": "Hello"}]}
SENT = {"LessLLMProxyDown", "LessLLMCallsFailing", "LessLLMUnpricedCalls"}  # of alerts, by what is sent here
OF_THE_MACHINE = {"LessLLMDiskFillsUp", "LessLLMDiskNearlyFull"}


def queries(name: str) -> dict[str, str]:
    """By panel and legend."""
    found = {}
    for panel in DASHBOARDS[name]["panels"]:
        for target in panel["targets"]:
            expr = target["expr"]
            for variable, value in CHOSEN.items():
                expr = expr.replace(variable, value)
            found[f"{panel['title']}: {target['legendFormat']}"] = expr
    return found


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory) -> Iterator[Prometheus]:
    """It scrapes services with calls of all kinds: some fail, some go through a proxy, one proxy is dead."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not here: bash .ci/e2e-prometheus installs it")
    folder = tmp_path_factory.mktemp("prometheus")
    port = free_port()
    pproxy = [sys.executable, "-c", PPROXY, "-l", f"socks5://127.0.0.1:{port}/"]
    with running_simulator(time_scale=0.02) as simulator, running("pproxy", pproxy, port, folder):
        chain = [f"http://127.0.0.1:{free_port()}", f"socks5://127.0.0.1:{port}"]
        document = {
            "providers": {
                "openai": {"base_url": f"{simulator}/v1", "api_key": "sk-x", "proxy": {"chain": chain}},
                "anthropic": {"base_url": simulator, "api_key": "sk-x"},
                "own": {"format": "openai", "base_url": f"{simulator}/v1", "api_key": "sk-x"},
            },
            "models": {ALIAS: {"provider": "anthropic", "model": ALIAS_MODEL}},
            "auth": {"keys": [{"name": "team-a", "key": KEY, "budgets": [{"usd": 100, "per": "month"}]}]},
        }
        with (
            running_services(folder, document) as services,
            running_prometheus(folder, services) as prometheus,
        ):
            send(services, 60, seed=1)
            # An increase is seen from the second sample of a series on.
            rows = "sum(lessllm_calls_total) >= 60 and sum(lessllm_calls_total offset 2s) >= 60"
            wait_for(lambda: bool(prometheus.values(rows)), "the first calls to be scraped twice")
            send(services, 120, seed=2)
            yield prometheus


def send(services: Services, calls: int, seed: int) -> None:
    unpriced = Call("/v1/chat/completions", UNPRICED)
    lanes = [[with_key(call) for call in lane] for lane in (*make_lanes(calls, seed), [unpriced])]
    asyncio.run(send_all(services.gateway.url, [*lanes, [unpriced]], lambda: None))  # that one is refused
    services.flush()


def with_key(call: Call) -> Call:
    return replace(call, headers={**call.headers, "authorization": f"Bearer {KEY}"})


@pytest.mark.parametrize("name", DASHBOARDS)
def test_each_query_has_data(prometheus, name):
    missing = queries(name)

    def ask() -> bool:
        for panel, expr in list(missing.items()):
            if prometheus.values(expr):
                del missing[panel]
        return not missing

    try:
        wait_for(ask, "each query to have data", timeout_s=20)
    except AssertionError:
        pytest.fail(f"no data for {json.dumps(missing, indent=2)}")


def test_the_variables_have_values(prometheus):
    assert {"openai", "anthropic"} <= prometheus.label_values("lessllm_calls_total", "provider")
    assert "claude-sonnet-5" in prometheus.label_values("lessllm_calls_total", "model")
    assert len(prometheus.label_values('up{job="gateway"}', "instance")) == 1


def test_rules_name_metrics_that_there_are_and_nothing_else_than_expected_is_wrong(prometheus):
    groups = prometheus.ask("/rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}
    named = {name for rule in rules for name in METRIC.findall(rule["query"])}
    there_are = prometheus.label_values("{__name__=~'.+'}", "__name__")
    assert named <= there_are
    wrong = {rule["name"] for rule in rules if rule.get("state", "inactive") != "inactive"}
    assert "LessLLMProxyDown" in wrong
    assert wrong <= SENT | OF_THE_MACHINE


def test_they_are_what_the_descriptions_say():
    spec = importlib.util.spec_from_file_location("build", GRAFANA / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    built = {
        path.stem: build.build(yaml.safe_load(path.read_text())) for path in sorted(GRAFANA.glob("*.yaml"))
    }
    assert built == DASHBOARDS, "python deploy/grafana/build.py makes them anew"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafana_knows_every_field(name):
    register_default_plugins()
    known = json.loads(JSONEncoder().encode(Dashboard.from_json(DASHBOARDS[name])))
    unknown = [path for path in left_out(DASHBOARDS[name], known) if not OF_PROMETHEUS.fullmatch(path)]
    assert unknown == []


@pytest.mark.parametrize("name", DASHBOARDS)
def test_each_panel_says_what_it_shows_and_fits(name):
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    widths: dict[int, int] = {}
    for panel in DASHBOARDS[name]["panels"]:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert {use["datasource"]["uid"] for use in (panel, *panel["targets"])} == {source["uid"]}
        place = panel["gridPos"]
        widths[place["y"]] = widths.get(place["y"], 0) + place["w"]
    assert set(widths.values()) == {24}


def left_out(given, known, path=""):
    """Where the second lacks what is in the first, or has another value."""
    if isinstance(given, dict) and isinstance(known, dict):
        for key, value in given.items():
            yield from left_out(value, known.get(key), f"{path}.{key}")
    elif isinstance(given, list) and isinstance(known, list) and len(given) == len(known):
        for index, pair in enumerate(zip(given, known, strict=True)):
            yield from left_out(*pair, f"{path}[{index}]")
    elif given != known:
        yield path
