"""Usage figures as the collector reports them (GET /stats) → a table with a row for each model."""

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import RenderableType

from lessllm import figures, tables

Figures = Mapping[str, Any]

# The most important first: a narrow terminal shows what fits.
_COLUMNS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "calls": ("calls", figures.count),
    "errors": ("errors", figures.count),
    "cost_usd": ("cost", figures.money),
    "ttft_ms_p50": ("TTFT", figures.milliseconds),
    "tpot_ms_p50": ("TPOT", figures.milliseconds),
    "actual_cache_hit_rate": ("cached", figures.percent),
    "predicted_cache_hit_rate": ("predicted", figures.percent),
    "output_tokens_per_s": ("tokens/s", figures.cell),
    "total_tokens": ("tokens", figures.count),
    "latency_ms_p50": ("latency", figures.milliseconds),
    "latency_ms_p95": ("p95", figures.milliseconds),
}
_ONLY_WHEN_KNOWN = "predicted_cache_hit_rate"


def by_model(stats: Mapping[str, Any], width: int) -> RenderableType:
    """TTFT, TPOT, speed and latency are medians."""
    groups = [*stats["by_model"], {**stats["totals"], "model": "all"}]
    columns = dict(_COLUMNS)
    if all(group[_ONLY_WHEN_KNOWN] is None for group in groups):
        del columns[_ONLY_WHEN_KNOWN]
    titles = [
        tables.Column("model"),
        *(tables.Column(title, is_number=True) for title, _ in columns.values()),
    ]
    return tables.of_most_important(titles, [_row(group, columns) for group in groups], width)


def _row(group: Figures, columns: Mapping[str, tuple[str, Callable[[Any], str]]]) -> list[str]:
    model = figures.printable(group["model"] or figures.NULL)
    return [model, *(write(group[name]) for name, (_, write) in columns.items())]
