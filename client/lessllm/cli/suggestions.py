"""`lessllm suggestions`: what to change so that calls cost less."""

import json

import click

from lessllm import suggestion_view
from lessllm.cli import asking
from lessllm.cli.command import Command
from lessllm.screen import has_colours, show, width


@click.command("suggestions", cls=Command)
@click.option(
    "--days", metavar="N", type=click.IntRange(1, 366), default=7, help="The last N days. [default: 7]"
)
@click.option("--model", metavar="NAME", help="Of this model, as your clients ask for it.")
@click.option("--provider", metavar="NAME", help="Of this provider.")
@click.option("--user", metavar="NAME", help="By this user.")
@click.option("--limit", metavar="N", type=click.IntRange(1, 100), default=5, help="How many. [default: 5]")
@asking.json_option
@asking.asking_options
def command(
    days: int,
    model: str | None,
    provider: str | None,
    user: str | None,
    limit: int,
    as_json: bool,
    url: str | None,
    config_file: str | None,
) -> None:
    """Show what prompt caches could have saved, the dearest first: the finding, the texts that make the
    difference, and what to change. Dollars are those of the calls looked at, by their own prices.

    \b
    Examples:
      lessllm suggestions
      lessllm suggestions --days 1 --user support
      lessllm suggestions --json | jq '.suggestions[].title'
    """
    with asking.connection(url, config_file) as asked:
        answer = asked.get("/suggestions", days=days, model=model, provider=provider, user=user, limit=limit)
    if as_json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    elif not answer["suggestions"]:
        show(suggestion_view.nothing(answer, days))
    else:
        show(*suggestion_view.parts(answer, width(), colours=has_colours()))
