"""What a comparison found, for people: a row of medians for each model, the spread below, then what failed.

The summary by model enters, as rerun.record makes it; text leaves.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lessllm_shared import figures
from rich.console import RenderableType
from rich.text import Text

from lessllm import tables
from lessllm.rerun.run import Outcome, Wishes
from lessllm.rerun.trials import ORDER

_FIGURES: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "estimated_ttft_ms": ("TTFT", figures.milliseconds),
    "estimated_tpot_ms": ("TPOT", figures.milliseconds),
    "total_latency_ms": ("total", figures.milliseconds),
    "estimated_cost_usd": ("cost", figures.money),
    "actual_completion_tokens": (
        "tokens out",
        lambda tokens: figures.count(None if tokens is None else round(tokens)),
    ),
    "output_tokens_per_s": ("tokens/s", figures.cell),
    "actual_cache_hit_rate": ("cached", figures.percent),
}
_COLUMNS = [
    tables.Column("model"),
    *(tables.Column(title, is_number=True) for title in ("calls", "failed")),
    *(tables.Column(title, is_number=True) for title, _ in _FIGURES.values()),
]
_NARROW = (  # where the whole does not fit
    {"model", "calls", "failed", "TTFT", "TPOT", "total"},
    {"model", "cost", "tokens out", "tokens/s", "cached"},
)


def parts(
    wishes: Wishes, outcome: Outcome, summary: Sequence[Mapping[str, Any]], width: int
) -> Iterator[RenderableType]:
    """All of it, in a terminal of some width."""
    of = "" if outcome.ended == outcome.planned else f" of {outcome.planned:,}"
    yield Text(f"{figures.calls(outcome.ended)}{of}, {spent(outcome)}", "bold")
    fresh = ", prompts fresh" if wishes.fresh else ""
    yield Text(f"{ORDER}, {wishes.at_once} at a time{fresh}; session {wishes.session}\n", "dim")
    rows = [row for model in summary for row in _rows(model)]
    yield from tables.whole_or_parts(_COLUMNS, _NARROW, rows, width)
    unknown = [line for model in summary for line in _unknown(model)]
    if unknown:
        yield Text("\n" + "\n".join(unknown), "dim")
    failures = [(model["model"], failure) for model in summary for failure in model["failures"]]
    if failures:
        yield Text("\nWhat failed, and is in no figure above\n", "bold")
        yield _failures(failures, width)


def spent(outcome: Outcome) -> str:
    """$0.0123 · $0.0123 without 3 calls of unknown price, 1 failed: so far, or in all."""
    so_far = outcome.so_far
    unpriced = (
        f" without {figures.calls(so_far.unpriced_calls)} of unknown price" if so_far.unpriced_calls else ""
    )
    failed = f", {so_far.failed:,} failed" if so_far.failed else ""
    return f"{figures.money(so_far.cost_usd or 0)}{unpriced}{failed}"


def for_programs(wishes: Wishes, outcome: Outcome, summary: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All of it, as JSON."""
    return {
        "session": wishes.session,
        "order": ORDER,
        "concurrency": wishes.at_once,
        "fresh": wishes.fresh,
        "planned_calls": outcome.planned,
        "calls": outcome.ended,
        "stopped": outcome.stopped,
        "cost_usd": outcome.so_far.cost_usd,
        "unpriced_calls": outcome.so_far.unpriced_calls,
        "models": summary,
    }


def _rows(model: Mapping[str, Any]) -> Iterator[list[str]]:
    """Medians, and what lies between the 10th and the 90th percentile."""
    of_figures = [(model["figures"][name], write) for name, (_, write) in _FIGURES.items()]
    failed = model["calls"] - model["complete_calls"]
    name = figures.printable(model["model"])
    yield [name, figures.count(model["calls"]), figures.count(failed), *(w(f["p50"]) for f, w in of_figures)]
    if any(figure["n"] > 1 for figure, _ in of_figures):
        spreads = [figures.between(w(f["p10"]), w(f["p90"])) if f["n"] > 1 else "" for f, w in of_figures]
        yield ["  p10 to p90", "", "", *spreads]


def _unknown(model: Mapping[str, Any]) -> Iterator[str]:
    """Figures that not all complete calls have."""
    complete = model["complete_calls"]
    for name, (title, _) in _FIGURES.items():
        if (known := model["figures"][name]["n"]) < complete:
            of = f"{known:,} of {figures.calls(complete)}"
            yield f"{figures.printable(model['model'])}: {title} is known of {of}"


def _failures(failures: Sequence[tuple[str, Mapping[str, Any]]], width: int) -> RenderableType:
    titles = ("model", "calls", "status", "end", "code", "message")
    columns = [tables.Column(title, title in {"calls", "status"}) for title in titles]
    rows = [
        [
            figures.printable(model),
            figures.count(failure["calls"]),
            figures.cell(failure["status_code"]),
            failure["end_reason"],
            figures.printable(failure["error_code"] or figures.NULL),
            figures.printable(failure["message"] or figures.NULL),
        ]
        for model, failure in failures
    ]
    return tables.of_text(columns, rows, width)
