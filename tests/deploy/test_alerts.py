"""Prometheus' configuration and alert rules: valid, tested, and each alert explained."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/prometheus"
RULES = [
    rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}


@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "--lint-fatal", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_finds_nothing_wrong(command):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here: bash .ci/e2e-prometheus installs it")
    done = subprocess.run([promtool, *command], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_of_each_alert_it_is_tested_that_it_fires():
    tests = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    expected = [sample for test in tests for ask in test["promql_expr_test"] for sample in ask["exp_samples"]]
    assert {re.search('alertname="(.+?)"', sample["labels"])[1] for sample in expected} == set(ALERTS)


def test_each_alert_says_how_bad_it_is_and_operations_what_to_do():
    told = set(re.findall(r"^\| `(LessLLM\w+)` \|", (ROOT / "docs/operations.md").read_text(), re.MULTILINE))
    assert told == set(ALERTS)
    for alert in ALERTS.values():
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert alert["annotations"].keys() == {"summary", "description"}
