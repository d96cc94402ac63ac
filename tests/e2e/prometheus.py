"""A real Prometheus that scrapes our services with the configuration in deploy/, but for where they are."""

import contextlib
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml
from e2e.processes import Services, free_port, running

CONFIGURATION = Path(__file__).parents[2] / "deploy/prometheus/prometheus.yml"


class Prometheus:
    """Asks it."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def ask(self, path: str, **params: str) -> Any:
        """The data of an answer."""
        answer = self._http.get(path, params=params).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def values(self, expr: str) -> list[float]:
        """The values of a query's series, now. Those that are no number are left out."""
        found = [float(series["value"][1]) for series in self.ask("/query", query=expr)["result"]]
        return [value for value in found if math.isfinite(value)]

    def label_values(self, metric: str, label: str) -> set[str]:
        """What Grafana's label_values(metric, label) gives."""
        return set(self.ask(f"/label/{label}/values", **{"match[]": metric}))


@contextlib.contextmanager
def running_prometheus(folder: Path, services: Services) -> Iterator[Prometheus]:
    """It scrapes a gateway and a collector each second."""
    document = yaml.safe_load(CONFIGURATION.read_text())
    document["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    document["rule_files"] = [str(CONFIGURATION.parent / name) for name in document["rule_files"]]
    ports = {"gateway": services.gateway.port, "collector": services.collector.port}
    for job in document["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"]}]
    config = folder / "prometheus.yml"
    config.write_text(json.dumps(document))
    port, program = free_port(), shutil.which("prometheus")
    assert program is not None
    command = [
        *(program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'prometheus'}"),
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (
        running("prometheus", command, port, folder, "/-/ready") as process,
        httpx.Client(base_url=f"{process.url}/api/v1", trust_env=False, timeout=30) as http,
    ):
        yield Prometheus(http)
