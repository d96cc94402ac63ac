"""`lessllm compare`: recorded calls or prompts on several models, and their figures side by side."""

import asyncio
import json
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from lessllm_shared import figures

from lessllm import compare_view, download, export
from lessllm.cli import asking
from lessllm.cli.command import Command, Failed
from lessllm.connection import Connection
from lessllm.errors import LessLLMError
from lessllm.rerun import trials
from lessllm.rerun.prompts import PromptsError, read_prompts
from lessllm.rerun.record import WAIT_S, RunRecord
from lessllm.rerun.request import Request
from lessllm.rerun.run import Outcome, Run, Wishes
from lessllm.rerun.selection import Selection, chosen_ids, requests_of
from lessllm.rerun.sending import Sender
from lessllm.screen import counting_bar, note, show, width

_MANY = 20  # calls that are made without asking
_LAST = 10
_LAST_WORDS_S = 3.0  # for the records of calls that Ctrl-C has dropped
_INTERRUPTED = 130


def _names(context: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    del context, parameter
    names = list(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    if not names:
        raise click.BadParameter("name at least one model")
    return names


@click.command("compare", cls=Command)
@click.argument("request_ids", nargs=-1, metavar="[REQUEST_ID]...")
@click.option(
    "--models", metavar="A,B,…", required=True, callback=_names, help="On which, of whatever providers."
)
@click.option("--prompts", metavar="FILE", help='A file of prompts; "-" is standard input.')
@click.option("--last", metavar="N", type=click.IntRange(1, 1000), help="The latest N calls. [default: 10]")
@click.option("--where", metavar="SQL", help="Calls for which this holds, such as \"user_id = 'support'\".")
@click.option(
    "--model", "of_models", metavar="NAME", multiple=True, help="Calls of this model; may be repeated."
)
@click.option(
    "--session", "sessions", metavar="ID", multiple=True, help="Calls of this session; may be repeated."
)
@click.option(
    "--repeat", metavar="N", type=click.IntRange(1, 1000), default=1, help="Each so often. [default: 1]"
)
@click.option(
    "--concurrency",
    metavar="N",
    type=click.IntRange(1, 256),
    help="Calls at a time. [default: as many as models]",
)
@click.option(
    "--stream/--no-stream", default=None, help="Streamed or not. [default: as recorded; prompts are]"
)
@click.option("--fresh", is_flag=True, help="Begin each prompt with a random number: no prompt cache helps.")
@click.option("--max-cost-usd", metavar="USD", type=click.FloatRange(0), help="Stop when so much is spent.")
@click.option("--yes", is_flag=True, help=f"Don't ask, even before more than {_MANY} calls.")
@click.option(
    "--parquet", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="A row for each call."
)
@asking.json_option
@asking.calling_options
def command(
    request_ids: tuple[str, ...],
    models: list[str],
    repeat: int,
    concurrency: int | None,
    stream: bool | None,
    fresh: bool,
    max_cost_usd: float | None,
    yes: bool,
    parquet: Path | None,
    as_json: bool,
    gateway_url: str | None,
    api_key_env: str | None,
    url: str | None,
    config_file: str | None,
    **source: Any,
) -> int | None:
    """Send recorded requests, or prompts, to several models through the gateway, and compare times, tokens,
    costs and cache hits: medians, and what lies between the 10th and the 90th percentile. Formats cross, so
    that a request in OpenAI's format can go to Claude, and the other way round.

    \b
    Examples:
      lessllm compare e17d73b36454 --models gpt-5,claude-sonnet-5 --repeat 10
      lessllm compare --last 20 --model gpt-5 --models gpt-5,gpt-5-mini
      lessllm compare --where "user_id = 'support'" --models a,b --fresh
      lessllm compare --prompts questions.txt --models gpt-5,ollama/qwen3 \\
        --max-cost-usd 0.50 --parquet compared.parquet

    A file of prompts has one on each line; or JSON on each: {"prompt": "…"}, {"messages": […]} with whatever
    else a chat completion may have, or {"url": "/v1/messages", "body": {…}}.

    Each request goes to all models before the next one, beginning with another model each time, and repeats
    come last. Repeats, and prompts that begin alike, may hit prompt caches: see the column "cached", or use
    --fresh. Every figure is the gateway's, as recorded; the calls of a run have a session of their own, which
    is shown. --max-cost-usd lets calls under way end. Ctrl-C ends a run, and shows what there is.
    """
    with asking.calling(url, gateway_url, config_file) as (asked, gateway):
        planned = trials.trials(_requests(asked, request_ids, **source), models, repeat)
        if parquet is not None:
            _check_place(parquet)
        _confirm(len(planned), len(models), yes=yes)
        wishes = Wishes(
            f"compare-{secrets.token_hex(4)}", stream, fresh, concurrency or len(models), max_cost_usd
        )
        watched = asked.unflushed()
        record = RunRecord(watched, wishes.session)
        outcome = _make(planned, wishes, gateway, record, api_key_env)
        summary = _summary(record, outcome, models, wishes.session)
        watched.close()
        if as_json:
            report = compare_view.for_programs(wishes, outcome, summary)
            print(json.dumps(report, ensure_ascii=False, indent=2))
        else:
            show(*compare_view.parts(wishes, outcome, summary, width()))
        if parquet is not None:
            _export(asked, parquet, wishes.session)
    sys.stdout.flush()
    return _end(outcome)


def _requests(
    asked: Connection,
    request_ids: Sequence[str],
    *,
    prompts: str | None,
    last: int | None,
    where: str | None,
    of_models: Sequence[str],
    sessions: Sequence[str],
) -> list[Request]:
    """What is to be sent. Raises UsageError unless it comes from one place."""
    is_selection = bool(last or where or of_models or sessions)
    if bool(request_ids) + bool(prompts) + is_selection != 1:
        raise click.UsageError(
            "name calls by their ids, or choose them by --last, --where, --model and --session,"
            " or give a file with --prompts: one of the three"
        )
    if prompts is not None:
        return _of_file(prompts)
    ids = [asking.whole_id(asked, request_id) for request_id in request_ids] or chosen_ids(
        asked, Selection(last or _LAST, where, of_models, sessions)
    )
    requests, refusals = requests_of(asked, ids)
    if refusals and request_ids:
        raise Failed(refusals[0])
    for refusal in refusals:
        note(f"left out: {refusal}")
    if not requests:
        raise Failed("no recorded call was chosen that can be sent again")
    return requests


def _of_file(name: str) -> list[Request]:
    try:
        return read_prompts(sys.stdin.read() if name == "-" else Path(name).read_text("utf-8"))
    except PromptsError as error:
        raise Failed(f"{name}: {error}") from None
    except UnicodeDecodeError:
        raise Failed(f"{name}: is not text in UTF-8") from None
    except OSError as error:
        raise Failed(f"{name}: can't be read: {error.strerror or error}") from None


def _confirm(calls: int, models: int, *, yes: bool) -> None:
    if yes or calls <= _MANY:
        return
    what = f"{figures.calls(calls)} to {models} model{'' if models == 1 else 's'}"
    if not sys.stdin.isatty():
        raise click.UsageError(f"that would be {what}: --yes makes them")
    click.confirm(f"That will be {what}. Go on?", abort=True, err=True)


def _make(
    planned: Sequence[trials.Trial],
    wishes: Wishes,
    gateway_url: str,
    record: RunRecord,
    key_variable: str | None,
) -> Outcome:
    """The calls, with their progress on a terminal."""

    async def make() -> Outcome:
        async with Sender(gateway_url, key_variable, wishes.at_once) as sender:
            return await Run(planned, wishes, sender, record, progress).make()

    with counting_bar() as bar:
        task = bar.add_task("", total=len(planned))

        def progress(outcome: Outcome) -> None:
            bar.update(task, completed=outcome.ended, description=compare_view.spent(outcome))

        progress(Outcome(len(planned)))
        return asyncio.run(make())


def _summary(
    record: RunRecord, outcome: Outcome, models: Sequence[str], session: str
) -> list[dict[str, Any]]:
    """By model, once the records are there."""
    try:
        _wait_for_records(record, outcome)
        return record.by_model(models)
    except LessLLMError as error:
        raise Failed(f"{error}; {figures.calls(outcome.ended)} ended, with the session {session}") from None


def _wait_for_records(record: RunRecord, outcome: Outcome) -> None:
    outcome.so_far = record.so_far(outcome.ended)
    if outcome.so_far.calls < outcome.ended:
        missing = figures.calls(outcome.ended - outcome.so_far.calls)
        note(f"no record of {missing} came within {WAIT_S:g} s: they are in no figure")
    elif outcome.begun > outcome.ended:  # dropped, or taken by no gateway
        outcome.so_far = record.so_far(outcome.begun, _LAST_WORDS_S)


def _check_place(file: Path) -> None:
    """Before anything is spent."""
    try:
        download.check_place(file)
    except OSError as error:
        raise _unwritable(file, error) from None


def _unwritable(file: Path, error: OSError) -> Failed:
    return Failed(f"{file}: can't be written: {error.strerror or error}")


def _export(asked: Connection, file: Path, session: str) -> None:
    try:
        rows = export.save(asked, file, {"session_id": session}, _no_progress)
    except OSError as error:
        raise _unwritable(file, error) from None
    note(f"{file}: {figures.calls(rows)}, {figures.size(file.stat().st_size)}")


def _end(outcome: Outcome) -> int | None:
    if outcome.interrupted:
        return _INTERRUPTED
    if outcome.stopped is not None:
        raise Failed(
            f"stopped after {outcome.ended:,} of {figures.calls(outcome.planned)}: {outcome.stopped}"
        )
    if outcome.so_far.failed == outcome.ended:
        raise Failed("every call failed")
    return None


def _no_progress(received_bytes: int, rows: int | None) -> None:
    del received_bytes, rows
