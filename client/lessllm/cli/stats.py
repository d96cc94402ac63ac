"""`lessllm stats`: the report of the last days."""

import json

import click

from lessllm import stats_view, usage_table
from lessllm.cli import asking
from lessllm.cli.command import Command
from lessllm.screen import show, width


@click.command("stats", cls=Command)
@click.option(
    "--days", metavar="N", type=click.IntRange(1, 366), default=7, help="The last N days. [default: 7]"
)
@click.option(
    "--by",
    type=click.Choice(list(usage_table.KINDS)),
    default="model",
    help="A row for each of these. [default: model]",
)
@click.option("--prompts", is_flag=True, help="Show how the dearest and slowest prompts begin.")
@asking.json_option
@asking.asking_options
def command(
    days: int, by: str, prompts: bool, as_json: bool, url: str | None, config_file: str | None
) -> None:
    """Show calls, errors, cost, times and cache hits of the last days, by model, user, session or day; the
    dearest and the slowest calls; models whose price is not known. TTFT is the time to the first token, TPOT
    the time per output token; they, tokens/s and latency are medians.

    \b
    Examples:
      lessllm stats
      lessllm stats --by user --days 30
      lessllm stats --json
    """
    with asking.connection(url, config_file) as asked:
        stats = asked.get("/stats", days=days, prompts="true" if prompts else None)
    if as_json:
        print(json.dumps(stats, ensure_ascii=False, indent=2))
    else:
        show(*stats_view.view(stats, days, by, width()))
