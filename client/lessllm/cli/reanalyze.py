"""`lessllm reanalyze`: derived columns worked out again, by the collector."""

import json

import click

from lessllm.cli import asking
from lessllm.cli.command import Command


@click.command("reanalyze", cls=Command)
@click.option("--since", metavar="DATE", help="Only calls from then on, such as 2026-11-01 (UTC).")
@asking.json_option
@asking.asking_options
def command(since: str | None, as_json: bool, url: str | None, config_file: str | None) -> None:
    """Work tokens, cost, times and cache figures out again from the raw data: after an update that
    corrects them, or after prices were set. Where raw data was deleted, figures stay as they are.

    \b
    Examples:
      lessllm reanalyze
      lessllm reanalyze --since 2026-11-01
    """
    with asking.connection(url, config_file) as asked:
        rows = asked.reanalyze(since)
    print(
        json.dumps({"rows": rows}) if as_json else f"{rows:,} call{'' if rows == 1 else 's'} worked out again"
    )
