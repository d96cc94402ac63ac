"""Usage figures as the collector reports them (GET /stats) → a table with a row for each model, user, …"""

from collections.abc import Callable, Mapping
from typing import Any

from lessllm_shared import figures
from rich.console import Group, RenderableType
from rich.text import Text

from lessllm import tables

Figures = Mapping[str, Any]
_Columns = Mapping[str, tuple[str, Callable[[Any], str]]]

# What to group by: the list in the report, the key in it, and what all calls are called.
KINDS: Mapping[str, tuple[str, str, str]] = {
    "model": ("by_model", "model", "all"),
    "user": ("by_user", "user_id", "all"),
    "key": ("by_key", "client_key", "all"),
    "session": ("by_session", "session_id", "all calls"),
    "day": ("by_day", "date", "all"),
}
_MOST_ROWS = 20  # --json has the others; days are never left out

# The most important first: a narrow terminal shows what fits.
_OF_MODELS: _Columns = {
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
_OF_OTHERS: _Columns = {
    "calls": ("calls", figures.count),
    "errors": ("errors", figures.count),
    "cost_usd": ("cost", figures.money),
    "cache_savings_usd": ("saved", figures.money),
    "total_tokens": ("tokens", figures.count),
    "actual_cache_hit_rate": ("cached", figures.percent),
    "latency_ms_p50": ("latency", figures.milliseconds),
    "latency_ms_p95": ("p95", figures.milliseconds),
    "ttft_ms_p50": ("TTFT", figures.milliseconds),
}
_OF_STREAMING: _Columns = {
    name: _OF_MODELS[name]
    for name in (
        *("calls", "errors", "latency_ms_p50", "latency_ms_p95"),
        *("output_tokens_per_s", "ttft_ms_p50", "tpot_ms_p50"),
    )
}
_ONLY_WHEN_KNOWN = "predicted_cache_hit_rate"


def by(kind: str, stats: Mapping[str, Any], width: int) -> RenderableType:
    """`kind` is one of KINDS. TTFT, TPOT, speed and latency are medians."""
    name, key, everything = KINDS[kind]
    groups = stats[name]
    shown = groups if kind == "day" else groups[:_MOST_ROWS]
    wanted = _OF_MODELS if kind == "model" else _OF_OTHERS
    columns = {column: as_ for column, as_ in wanted.items() if not shown or column in shown[0]}
    total = stats["totals"]
    if all(group.get(_ONLY_WHEN_KNOWN) is None for group in (*shown, total)):
        columns.pop(_ONLY_WHEN_KNOWN, None)
    rows = [_row(figures.printable(group[key] or figures.NULL), group, columns) for group in shown]
    table = _table(kind, columns, [*rows, _row(everything, total, columns)], width)
    left_out = len(groups) - len(shown)
    note = Text(f"({left_out:,} more with --json)", style="dim")
    return Group(table, note) if left_out else table


def by_streaming(stats: Mapping[str, Any], width: int) -> RenderableType | None:
    """Streaming calls beside the others; None if there are not both."""
    kinds = {group["streaming"]: group for group in stats["by_streaming"]}
    if not kinds.keys() >= {True, False}:
        return None
    named = {True: "streaming", False: "not streaming"}
    rows = [_row(name, kinds[kind], _OF_STREAMING) for kind, name in named.items()]
    return _table("", _OF_STREAMING, rows, width)


def _table(title: str, columns: _Columns, rows: list[list[str]], width: int) -> RenderableType:
    titles = [tables.Column(title), *(tables.Column(name, is_number=True) for name, _ in columns.values())]
    return tables.of_most_important(titles, rows, width)


def _row(name: str, group: Figures, columns: _Columns) -> list[str]:
    return [name, *(write(group[column]) for column, (_, write) in columns.items())]
