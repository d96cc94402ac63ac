"""`lessllm show`: one call, whole."""

import json

import click

from lessllm.call_view import view
from lessllm.cli import asking
from lessllm.cli.command import Command
from lessllm.screen import show, width


@click.command("show", cls=Command)
@click.argument("request_id")
@click.option("--full", is_flag=True, help="The whole request and answer, however long.")
@asking.json_option
@asking.asking_options
def command(request_id: str, full: bool, as_json: bool, url: str | None, config_file: str | None) -> None:
    """Show one call: who, which way, tokens, cost, error; where its time went; the request and the answer.
    REQUEST_ID is in each answer's header x-lessllm-request-id; its last part is enough, as lessllm calls
    shows it.

    \b
    Examples:
      lessllm show 01a21063-3a69-7343-999c-e17d73b36454
      lessllm show e17d73b36454 --json | jq .attempts
    """
    with asking.connection(url, config_file) as asked:
        call = asked.call(asking.whole_id(asked, request_id))
    if as_json:
        print(json.dumps(call, ensure_ascii=False, indent=2))
    else:
        show(*view(call, width(), full=full))
