"""The command `lessllm`: arguments in, a command run, its exit code out.

Each command is a module here, imported when it is called: `--help` waits for none of them. Errors are
one or two lines on stderr, never a traceback; Ctrl-C, SIGTERM and a reader that leaves end it in order.
"""

import io
import os
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import NoReturn

import click

from lessllm import __version__

_INTERRUPTED = 128 + signal.SIGINT  # what shells expect
_COMMANDS = {
    "demo": "See it work: a small workload, a simulated provider.",
    "server": "Run the proxy, and record the calls through it.",
    "check": "Try the way to each provider: what fails, and what to do.",
    "stats": "Calls, errors, tokens, cost and times, by model.",
    "suggestions": "What to change so that calls cost less, in dollars.",
    "sensitive": "Does sensitive data leak: who sent which kinds of it where.",
    "calls": "The latest calls, one a line.",
    "show": "One call: its timeline, cost, request and answer.",
    "replay": "Send a recorded call again, and compare the two.",
    "compare": "Recorded calls or prompts on several models, side by side.",
    "query": "Ask the recorded calls a question in SQL.",
    "export": "Write recorded calls to a Parquet file.",
    "backup": "Copy the whole database while it is in use.",
    "compact": "Give the space of deleted calls back, while nothing runs.",
    "client-key": "Make a key for a client of the gateway.",
    "keys": "Make keys for gateways and collector on different machines.",
    "reanalyze": "Work tokens, cost and times out again from the raw data.",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"lessllm.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def lessllm(context: click.Context) -> None:
    """A lightweight proxy for LLM APIs. It gets calls through restricted networks, and records what they
    cost and where the time goes, in one DuckDB file.

    \b
    Examples:
      lessllm demo                  see it work; needs no key
      lessllm server                then, where your application runs:
                                    export OPENAI_BASE_URL=http://127.0.0.1:8000/v1
      lessllm stats --days 1
      lessllm query "SELECT model, avg(estimated_ttft_ms) FROM api_calls GROUP BY model"

    Commands that ask find the server that runs on this machine, or read the database if none does;
    --url names a collector elsewhere. Settings come from lessllm.yaml, if it is there, and from
    LESSLLM_SECTION__FIELD.

    Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> NoReturn:
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, _leave)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may know ASCII only
    sys.exit(_run())


def _run() -> int:
    try:
        code = lessllm.main(prog_name="lessllm", standalone_mode=False)
        sys.stdout.flush()
    except click.Abort:
        return _INTERRUPTED
    except click.ClickException as error:
        _complain(error)
        return error.exit_code
    except OSError as error:
        # What is left of the output can't be written; Python flushes it once more: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # else whoever read it has enough
            _complain(click.ClickException(str(error)))
        return 1
    return code if isinstance(code, int) else 0


def _complain(error: click.ClickException) -> None:
    hint = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"\nTry `{error.ctx.command_path} --help`."
    print(f"lessllm: {error.format_message()}{hint}", file=sys.stderr)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """As Ctrl-C does: through every `finally`, so that what was started ends and no half file stays."""
    del frame
    sys.exit(128 + number)
