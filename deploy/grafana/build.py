"""Makes Grafana's dashboards/*.json out of the descriptions beside this file: python deploy/grafana/build.py

A description lists rows of panels, 24 columns wide. `show` says how: {stat: unit} for large numbers, {lines:
unit} for curves, {bars: unit} for amounts side by side; then whether lines are stacked, and from which value
on a number is green, orange or red. Units are Grafana's names. Queries are PromQL by legend; in them stand

    <models>      for what the variables provider and model choose
    <gen_ai>      for the same in OpenTelemetry's metrics
    <providers>   for the chosen providers; <or none> after it adds calls that were not routed
    <gateways>    for the chosen gateways
"""

import json
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
Json = dict[str, Any]

DATASOURCE = {"type": "prometheus", "uid": "prometheus"}  # as provisioning/datasources names it
HEIGHTS = {"stat": 5, "lines": 8, "bars": 8}
WORDS = {
    "<models>": 'provider=~"$provider", model=~"$model"',
    "<gen_ai>": 'gen_ai_provider_name=~"$provider", gen_ai_request_model=~"$model"',
    "<providers>": 'provider=~"$provider"',
    "<providers or none>": 'provider=~"$provider|none"',
    "<gateways>": 'instance=~"$gateway"',
}
VARIABLES = {
    "provider": "label_values(lessllm_calls_total, provider)",
    "model": 'label_values(lessllm_calls_total{provider=~"$provider"}, model)',
    "gateway": 'label_values(up{job="gateway"}, instance)',
}


def build(description: Json) -> Json:
    """A dashboard as Grafana's JSON."""
    panels: list[Json] = []
    top = 0
    for row in description["rows"]:
        left = 0
        for panel in row:
            ((kind, _), *_rest) = panel["show"].items()
            place = {"x": left, "y": top, "w": panel["show"]["width"], "h": HEIGHTS[kind]}
            panels.append({"id": len(panels) + 1, "gridPos": place, **_panel(panel)})
            left += place["w"]
        top += panels[-1]["gridPos"]["h"]
    return {
        "uid": description["uid"],
        "title": description["title"],
        "description": description["description"],
        "tags": ["lessllm"],
        "editable": True,
        "graphTooltip": 1,  # one cross-hair for all panels
        "refresh": "30s",
        "schemaVersion": 39,
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "links": [_LINKS],
        "annotations": {"list": [_ALERTS]},
        "templating": {"list": [_variable(name) for name in description["variables"]]},
        "panels": panels,
    }


def _panel(panel: Json) -> Json:
    show = panel["show"]
    kind, unit = next(iter(show.items()))
    is_now = kind == "bars"
    targets = [
        {
            "refId": chr(ord("A") + number),
            "datasource": DATASOURCE,
            "expr": _expand(expr),
            "legendFormat": legend,
            "instant": is_now,
            "range": not is_now,
        }
        for number, (legend, expr) in enumerate(panel["queries"].items())
    ]
    defaults: Json = {"unit": unit, "thresholds": {"mode": "absolute", "steps": _steps(show)}}
    if kind == "lines":
        defaults["custom"] = {
            "axisSoftMin": 0,
            "fillOpacity": 20 if show.get("stacked") else 0,
            "stacking": {"mode": "normal" if show.get("stacked") else "none", "group": "A"},
            "showPoints": "never",
        }
    elif is_now:
        defaults["min"] = 0
    return {
        "title": panel["title"],
        "description": panel["description"],
        "type": {"stat": "stat", "lines": "timeseries", "bars": "bargauge"}[kind],
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[kind],
    }


def _steps(show: Json) -> list[Json]:
    """From which value on which colour."""
    colors = [color for color in ("green", "orange", "red") if color in show]
    below = "text" if not colors else "red" if colors[0] == "green" else "green"
    return [{"color": below, "value": None}] + [{"color": color, "value": show[color]} for color in colors]


def _expand(expr: str) -> str:
    for word, labels in WORDS.items():
        expr = expr.replace(word, labels)
    return " ".join(expr.split())


def _variable(name: str) -> Json:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"qryType": 1, "query": VARIABLES[name], "refId": name},  # 1: values of a label
        "refresh": 2,  # when the time range changes
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


_LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: dict[str, Json] = {
    "stat": {"reduceOptions": _LAST, "colorMode": "value", "graphMode": "area", "textMode": "value_and_name"},
    "lines": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "bars": {"reduceOptions": _LAST, "orientation": "horizontal", "displayMode": "basic"},
}
_LINKS = {
    "type": "dashboards",
    "title": "LessLLM",
    "tags": ["lessllm"],
    "asDropdown": False,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
    "icon": "external link",
    "tooltip": "",
    "url": "",
}
_ALERTS = {
    "name": "Alerts",
    "datasource": DATASOURCE,
    "enable": True,
    "iconColor": "red",
    "expr": 'ALERTS{alertstate="firing", alertname=~"LessLLM.*"}',
    "titleFormat": "{{alertname}}",
    "textFormat": "{{instance}} {{provider}} {{model}}",
}


def main() -> None:
    """Write every dashboard anew."""
    for source in sorted(HERE.glob("*.yaml")):
        dashboard = build(yaml.safe_load(source.read_text("utf-8")))
        text = json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"
        (HERE / "dashboards" / f"{source.stem}.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
