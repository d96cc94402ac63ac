"""A finding and its evidence in, a suggestion for people and programs out. The words are in advice.toml."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import msgspec

from lessllm_collector.suggestions.evidence import Difference
from lessllm_collector.suggestions.findings import DAYS, Finding
from lessllm_collector.suggestions.losses import Loss

_MAX_IDS = 10


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    change: str
    snippets: Mapping[str, str]


def example_of(finding: Finding) -> Loss:
    """The call that shows it best: one that can be compared, and lost most; of these the latest."""
    return max(finding.losses, key=lambda one: (one.other is not None, one.tokens, one.trace.start_s))


def suggestion(finding: Finding, difference: Difference | None, days: float) -> dict[str, Any]:
    """As GET /suggestions gives it."""
    words, example = _WORDS[finding.kind], example_of(finding)
    trace = example.trace
    fields = {
        "path": example.path or "the beginning",
        "what": example.what,
        "tokens": f"{finding.tokens / len(finding.losses):,.0f}",
        "calls": f"{len(finding.losses):,}",
    }
    snippet = words.snippets.get(trace.api_format)
    latest = sorted(finding.losses, key=lambda one: one.trace.start_s, reverse=True)
    return {
        "kind": finding.kind,
        "title": _filled(words.title, fields),
        "provider": trace.provider,
        "model": trace.model,
        "api_format": trace.api_format,
        "calls": len(finding.losses),
        "tokens": round(finding.tokens),
        "loss_usd": finding.usd,
        "projected_30_days_usd": None if finding.usd is None else finding.usd * DAYS / days,
        "projection": projection(days),
        "evidence": {
            "request_ids": [one.trace.request_id for one in latest[:_MAX_IDS]],
            "path": difference.path if difference is not None else example.path or None,
            "before": _excerpt(example.other.request_id if example.other else None, difference, "before"),
            "after": _excerpt(trace.request_id, difference, "after"),
        },
        "change": _filled(words.change, fields),
        "snippet": None if snippet is None else _filled(snippet.strip("\n"), {"what": example.what}),
    }


def projection(days: float) -> str:
    """The assumption behind 30 days' figures."""
    span = "day" if days <= 1 else f"{days:.1f} days".replace(".0 ", " ")
    return f"if the next 30 days go on like the {span} looked at"


def _excerpt(request_id: str | None, difference: Difference | None, side: str) -> dict[str, Any] | None:
    if difference is None or request_id is None:
        return None
    shown = difference.before if side == "before" else difference.after
    return {"request_id": request_id, "text": shown.text, "start": shown.start, "end": shown.end}


def _filled(text: str, fields: Mapping[str, str]) -> str:
    """Not by format(): snippets are full of braces."""
    for name, value in fields.items():
        text = text.replace(f"{{{name}}}", value)
    return text


_WORDS = msgspec.convert(
    tomllib.loads(files(__package__).joinpath("advice.toml").read_text("utf-8")), dict[str, _Words]
)
