"""The report of the last days for people: GET /stats in, one part after the other out, none that is empty."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lessllm_shared import figures
from rich.console import RenderableType
from rich.text import Text

from lessllm import tables, usage_table
from lessllm.call_view import short_id

Part = RenderableType | str
Stats = Mapping[str, Any]

_SHOWN_CALLS = 3
_LONGEST_PROMPT = 60
_PLAIN_NAME = re.compile(r"[A-Za-z][\w.-]*")  # needs no quotes in YAML


def view(stats: Stats, days: int, by: str, width: int) -> Iterator[Part]:
    """`by` is one of usage_table.KINDS."""
    if not stats["totals"]["calls"]:
        yield f"no calls in the last {_days(days)}; `lessllm calls` lists the latest of any age"
        return
    yield Text(_summary(stats["totals"], days), style="bold")
    yield ""
    if by == "session" and not stats["by_session"]:
        yield "no call names a session: clients do with the header x-lessllm-session"
    else:
        yield usage_table.by(by, stats, width)
    yield from _streaming(stats, width)
    yield from _extremes(stats, width)
    yield from _prediction(stats, width)
    yield from _unpriced(stats)


def _summary(totals: Stats, days: int) -> str:
    unpriced = totals["unpriced_calls"]
    exception = f" without {figures.calls(unpriced)} of unknown price" if unpriced else ""
    parts = (
        f"The last {_days(days)}: {figures.calls(totals['calls'])}",
        f"{figures.count(totals['total_tokens'])} tokens",
        f"{figures.money(totals['cost_usd'])}{exception}",
        _savings(totals["cache_savings_usd"]),
    )
    return ", ".join(parts)


def _savings(usd: float | None) -> str:
    if usd is not None and usd < 0:  # writes that nobody read
        return f"{figures.money(-usd)} lost by caching"
    return f"{figures.money(usd)} saved by caching"


def _streaming(stats: Stats, width: int) -> Iterator[Part]:
    if (table := usage_table.by_streaming(stats, width)) is not None:
        yield _heading("Streaming or not")
        yield table


def _extremes(stats: Stats, width: int) -> Iterator[Part]:
    for name, heading in (("dearest", "The dearest calls"), ("slowest", "The slowest calls")):
        calls = stats[name][:_SHOWN_CALLS]
        if not calls:
            continue
        with_prompts = "prompt" in calls[0]
        titles = ("request", "model", "cost", "total", *(("prompt",) if with_prompts else ()))
        titles += ("tokens", "TTFT", "user")
        columns = [tables.Column(title, title in {"cost", "total", "tokens", "TTFT"}) for title in titles]
        cells = [_cells(call) for call in calls]
        yield _heading(heading)
        yield tables.of_most_important(columns, [[row[title] for title in titles] for row in cells], width)


def _cells(call: Stats) -> dict[str, str]:
    prompt = figures.printable(call.get("prompt") or figures.NULL)
    return {
        "request": short_id(call),
        "model": figures.printable(call["model"] or figures.NULL),
        "cost": figures.money(call["estimated_cost_usd"]),
        "total": figures.milliseconds(call["total_latency_ms"]),
        "prompt": prompt if len(prompt) <= _LONGEST_PROMPT else f"{prompt[:_LONGEST_PROMPT]}…",
        "tokens": figures.count(call["actual_total_tokens"]),
        "TTFT": figures.milliseconds(call["estimated_ttft_ms"]),
        "user": figures.printable(call["user_id"] or figures.NULL),
    }


def _prediction(stats: Stats, width: int) -> Iterator[Part]:
    if not stats["cache_prediction"]:
        return
    columns = [tables.Column("provider")] + [
        tables.Column(title, is_number=True)
        for title in ("calls", "predicted", "actual", "off by", "recalibrated", "as predicted")
    ]
    rows = [
        [
            figures.printable(one["provider"] or figures.NULL),
            figures.count(one["calls"]),
            figures.percent(one["predicted_hit_rate"]),
            figures.percent(one["actual_hit_rate"]),
            figures.percent(one["mean_absolute_error"]),
            figures.percent(one["recalibrated_error"]),
            figures.percent(one["as_predicted"]),
        ]
        for one in stats["cache_prediction"]
    ]
    yield _heading("Cache hit rates, predicted and actual")
    yield tables.of_most_important(columns, rows, width)


def _unpriced(stats: Stats) -> Iterator[Part]:
    """What to put into lessllm.yaml, as it may stand there."""
    if not stats["unpriced"]:
        return
    yield _heading("Without a price: put into lessllm.yaml what a million tokens cost you, in USD")
    yield "prices:"
    by_model: dict[str, list[str]] = {}
    for one in stats["unpriced"]:
        by_model.setdefault(one["model"] or "", []).append(_reason(one))
    for model, reasons in by_model.items():
        for reason in reasons:
            yield Text(f"  # {reason}", style="dim")
        name = figures.printable(model)
        quoted = name if _PLAIN_NAME.fullmatch(name) else "'" + name.replace("'", "''") + "'"
        yield f"  {quoted}: {{input_usd_per_mtok: …, output_usd_per_mtok: …}}"
    yield "Calls that are here already get their costs by `lessllm reanalyze` after a restart."


def _reason(one: Stats) -> str:
    tokens = (one["input_tokens"] or 0) + (one["output_tokens"] or 0)
    where = f" at {one['provider']}" if one["provider"] else ""
    why = f", {one['terms']}" if one["reason"] == "unknown_terms" else ""
    return figures.printable(f"{figures.calls(one['calls'])}{where}, {figures.count(tokens)} tokens{why}")


def _heading(text: str) -> Part:
    return Text(f"\n{text}\n", style="bold")


def _days(days: int) -> str:
    return "day" if days == 1 else f"{days} days"
