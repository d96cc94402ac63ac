"""`lessllm sensitive`: whether sensitive data leaks."""

import json

import click

from lessllm import sensitive_view
from lessllm.cli import asking
from lessllm.cli.command import Command
from lessllm.screen import show, width


@click.command("sensitive", cls=Command)
@click.option(
    "--days", metavar="N", type=click.IntRange(1, 366), default=7, help="The last N days. [default: 7]"
)
@asking.json_option
@asking.asking_options
def command(days: int, as_json: bool, url: str | None, config_file: str | None) -> None:
    """Show which secrets and personal data were in requests of the last days: how many of each kind, who
    sent them, to which model and provider, and the latest calls.

    \b
    Examples:
      lessllm sensitive
      lessllm sensitive --days 30 --json
    """
    with asking.connection(url, config_file) as asked:
        report = asked.get("/sensitive", days=days)
    if as_json:
        print(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        show(*sensitive_view.view(report, days, width()))
