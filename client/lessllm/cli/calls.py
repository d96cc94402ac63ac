"""`lessllm calls`: the latest calls, one a line."""

import datetime as dt
import json
from typing import Any

import click
from lessllm_shared import figures

from lessllm import tables
from lessllm.call_view import short_id
from lessllm.cli import asking
from lessllm.cli.command import Command
from lessllm.screen import show, width

# The most important first: a narrow terminal shows what fits.
_COLUMNS = ("time", "request", "model", "end", "total", "TTFT", "cost", "tokens", "user")
_NUMBERS = {"total", "TTFT", "cost", "tokens"}


@click.command("calls", cls=Command)
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 1000), default=20, help="How many. [default: 20]"
)
@click.option("--model", "models", metavar="NAME", multiple=True, help="Of this model; may be repeated.")
@click.option("--user", "users", metavar="NAME", multiple=True, help="By this user; may be repeated.")
@asking.json_option
@asking.asking_options
def command(
    limit: int,
    models: tuple[str, ...],
    users: tuple[str, ...],
    as_json: bool,
    url: str | None,
    config_file: str | None,
) -> None:
    """List the latest calls, the newest first. lessllm show REQUEST shows one of them whole; requests are
    named by the end of their ids, which --json gives in full.

    \b
    Examples:
      lessllm calls
      lessllm calls --model gpt-5 --limit 100
      lessllm calls --json | jq '.[] | select(.end_reason != "complete")'
    """
    with asking.connection(url, config_file) as asked:
        calls = asked.get("/calls", limit=limit, model=models or None, user_id=users or None)["calls"]
    if as_json:
        print(json.dumps(calls, ensure_ascii=False, indent=2))
    elif not calls:
        show("no calls")
    else:
        columns = [tables.Column(title, title in _NUMBERS) for title in _COLUMNS]
        show(tables.of_most_important(columns, [_row(call) for call in calls], width()))


def _row(call: dict[str, Any]) -> list[str]:
    return [
        _when(call["timestamp"]),
        short_id(call),
        figures.printable(call["model"] or figures.NULL),
        _end(call),
        figures.milliseconds(call["total_latency_ms"]),
        figures.milliseconds(call["estimated_ttft_ms"]),
        figures.money(call["estimated_cost_usd"]),
        figures.count(call["actual_total_tokens"]),
        figures.printable(call["user_id"] or figures.NULL),
    ]


def _end(call: dict[str, Any]) -> str:
    """ "ok", or what went wrong, as short as can be."""
    if call["end_reason"] == "complete":
        return "ok"
    return str(call["error_code"] or call["end_reason"])


def _when(timestamp: str) -> str:
    """Today's calls by their time of day."""
    today = figures.moment(dt.datetime.now(dt.UTC))[: len("2026-11-25 ")]
    return figures.moment(timestamp).removeprefix(today)
