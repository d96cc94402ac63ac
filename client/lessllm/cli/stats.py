"""`lessllm stats`: the last days, by model."""

import json
from typing import Any

import click
from rich.text import Text

from lessllm import figures, usage_table
from lessllm.cli import asking
from lessllm.cli.command import Command
from lessllm.screen import show, width


@click.command("stats", cls=Command)
@click.option(
    "--days", metavar="N", type=click.IntRange(1, 366), default=7, help="The last N days. [default: 7]"
)
@asking.json_option
@asking.asking_options
def command(days: int, as_json: bool, url: str | None, config_file: str | None) -> None:
    """Show calls, errors, cost, times and cache hits of the last days, by model. TTFT is the time to the
    first token, TPOT the time per output token; they, tokens/s and latency are medians.

    \b
    Examples:
      lessllm stats
      lessllm stats --days 30 --json
    """
    with asking.connection(url, config_file) as asked:
        stats = asked.get("/stats", days=days)
    if as_json:
        print(json.dumps(stats, ensure_ascii=False, indent=2))
    elif not stats["totals"]["calls"]:
        show(f"no calls in the last {_days(days)}")
    else:
        show(Text(_summary(stats["totals"], days), style="bold"), "", usage_table.by_model(stats, width()))


def _summary(totals: dict[str, Any], days: int) -> str:
    unpriced = totals["unpriced_calls"]
    exception = f" without {unpriced:,} calls of unknown price" if unpriced else ""
    parts = (
        f"The last {_days(days)}: {figures.count(totals['calls'])} calls",
        f"{figures.count(totals['total_tokens'])} tokens",
        f"{figures.money(totals['cost_usd'])}{exception}",
        f"{figures.money(totals['cache_savings_usd'])} saved by caching",
    )
    return ", ".join(parts)


def _days(days: int) -> str:
    return "day" if days == 1 else f"{days} days"
