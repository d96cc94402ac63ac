"""What stands in docker-compose.yml and deploy/: its promises of isolation, and configuration that loads."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from lessllm_shared.config import CollectorSettings, GatewaySettings, load

ROOT = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
GATEWAY, COLLECTOR = (COMPOSE["services"][name] for name in ("gateway", "collector"))


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_a_container_can_change_nothing_but_its_volumes_and_has_time_to_stop(name):
    service = COMPOSE["services"][name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["stop_grace_period"].removesuffix("s")) >= 30
    assert "privileged" not in service
    assert "container_name" not in service


def test_what_is_published_is_on_loopback_unless_a_variable_says_otherwise_and_records_never_are():
    published = {name: service.get("ports", []) for name, service in COMPOSE["services"].items()}
    assert published == {
        "nginx": ["${LESSLLM_PUBLISH:-127.0.0.1:8000}:8000"],
        "gateway": [],
        "collector": ["${LESSLLM_COLLECTOR_PUBLISH:-127.0.0.1:8001}:8001"],
        "prometheus": ["${PROMETHEUS_PUBLISH:-127.0.0.1:9090}:9090"],
        "grafana": ["${GRAFANA_PUBLISH:-127.0.0.1:3000}:3000"],
    }
    for service in (GATEWAY, COLLECTOR):
        assert service["environment"]["LESSLLM_COLLECTOR__ENDPOINT"].startswith("ipc://")


@pytest.mark.parametrize(("name", "variable"), [("nginx", "PUBLISH"), ("collector", "COLLECTOR_PUBLISH")])
def test_who_publishes_elsewhere_has_to_say_whether_anybody_may_come(name, variable):
    (label,) = COMPOSE["services"][name]["labels"].values()
    assert label.startswith(f"${{LESSLLM_{variable}:+${{LESSLLM_ALLOW_ANYBODY:?")
    assert GATEWAY["environment"]["LESSLLM_AUTH__ALLOW_ANYBODY"] == "${LESSLLM_ALLOW_ANYBODY:-true}"
    assert COLLECTOR["environment"]["LESSLLM_COLLECTOR__ALLOW_ANYBODY"] == "${LESSLLM_ALLOW_ANYBODY:-true}"


def test_every_provider_that_is_known_by_name_can_have_its_key_from_the_environment():
    presets = (ROOT / "shared/lessllm_shared/providers.toml").read_text("utf-8").splitlines()
    names = {line.split('"')[1] for line in presets if line.startswith("api_key_env")}
    assert names == {name for name in GATEWAY["environment"] if name.endswith("_API_KEY")}
    assert not names & set(COLLECTOR["environment"])


def manifests() -> list[dict[str, Any]]:
    files = sorted((ROOT / "deploy/kubernetes").glob("[!k]*.yaml"))
    return [document for file in files for document in yaml.safe_load_all(file.read_text("utf-8"))]


def configurations() -> dict[str, dict[str, Any]]:
    (config_map,) = (manifest for manifest in manifests() if manifest["kind"] == "ConfigMap")
    return {
        "compose": yaml.safe_load((ROOT / "deploy/compose/lessllm.yaml").read_text("utf-8")),
        "kubernetes": yaml.safe_load(config_map["data"]["lessllm.yaml"]),
    }


@pytest.mark.parametrize("name", ["compose", "kubernetes"])
def test_the_configuration_loads_in_each_service_with_what_its_container_has(name, monkeypatch):
    for variable, value in (COLLECTOR["environment"] if name == "compose" else {}).items():
        if value is not None:
            monkeypatch.setenv(variable, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value))
    clients = {
        key: "k" for manifest in manifests() for key in manifest.get("stringData", {}) if "TEAM" in key
    }
    load(GatewaySettings, configurations()[name], clients if name == "kubernetes" else {})
    load(CollectorSettings, configurations()[name], {})


def test_what_kubectl_applies_is_there_and_its_images_are_those_of_the_containers():
    folder = ROOT / "deploy/kubernetes"
    applied = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    assert set(applied["resources"]) == {
        file.name for file in folder.glob("*.yaml") if file.stem not in ("kustomization", "secrets.example")
    }
    workloads = [
        m["spec"]["template"]["spec"] for m in manifests() if m["kind"] in ("Deployment", "StatefulSet")
    ]
    images = {container["image"] for workload in workloads for container in workload["containers"]}
    assert {image["name"] for image in applied["images"]} == images


def test_secrets_that_containers_want_are_shown_in_the_example():
    secrets = {m["metadata"]["name"]: set(m["stringData"]) for m in manifests() if m["kind"] == "Secret"}
    wanted = set()
    for workload in (m for m in manifests() if m["kind"] in ("Deployment", "StatefulSet")):
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        wanted |= {source["secretRef"]["name"] for source in container["envFrom"]}
        for reference in (e["valueFrom"]["secretKeyRef"] for e in container["env"] if "valueFrom" in e):
            wanted.add(reference["name"])
            assert reference["key"] in secrets[reference["name"]]
    assert wanted == set(secrets)
