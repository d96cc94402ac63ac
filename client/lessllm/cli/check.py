"""`lessllm check`: which way each provider is reached, tried stage by stage; what fails, and what to do.

The gateway's own code does it, in a process of its own that ends with the command: it reads the configuration
from its stdin, and writes a line of JSON for each provider. No service is needed, and none is started.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, cast

import click
import yaml
from lessllm_shared.config import ConfigError
from lessllm_shared.figures import printable
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from lessllm import __version__, check_view
from lessllm.check_view import ClientKeys, Report
from lessllm.cli.asking import json_option
from lessllm.cli.command import Command, Failed, config_option
from lessllm.plan import DEFAULT_FILE, Document, Overrides, find_document, make_plan
from lessllm.screen import show, width

_END_S = 1.0  # a name server that does not answer can hold the process up: nobody waits for it


@click.command("check", cls=Command)
@click.argument("providers", nargs=-1, metavar="[PROVIDER]...")
@click.option(
    "--timeout-s",
    metavar="S",
    type=click.FloatRange(0.1, 600),
    default=10.0,
    help="For each stage: name, connection, proxy, TLS, answer. [default: 10]",
)
@json_option
@config_option
def command(providers: tuple[str, ...], timeout_s: float, as_json: bool, config_file: str | None) -> None:
    """Try every way to each provider: names, proxies, TLS, the key. It says what fails, at which stage, and
    what to do; its output holds no key and no password. The key is tried with the list of models, which
    costs nothing. Without names, the providers that are configured or have a key are tried.

    Before that the configuration is read as the services read it, auth.keys_file too: whatever keeps one of
    them from starting is named, and nothing is tried.

    \b
    Examples:
      lessllm check
      lessllm check openai anthropic --timeout-s 5
      lessllm check --config lessllm.yaml --json

    It fails if a provider is not reached by its first way, or if a key is refused.
    """
    document = find_document(config_file)
    make_plan(document, Overrides())  # as `lessllm server` does: every mistake is named
    with _bar() as bar:
        task = bar.add_task("trying the ways to each provider", total=None)
        keys, reports = _findings(
            document, providers, timeout_s, lambda done, of: bar.update(task, completed=done, total=of)
        )
    if as_json:
        print(json.dumps({"providers": reports, **keys}, ensure_ascii=False, indent=2))
    else:
        source = config_file or (str(DEFAULT_FILE) if DEFAULT_FILE.exists() else "defaults")
        show(Text(f"LessLLM {__version__}, configuration: {source}\n", style="bold"))
        show(*check_view.parts(reports, width()), *check_view.of_client_keys(keys))
    sys.stdout.flush()  # before what follows on stderr
    if failures := check_view.failures(reports):
        raise Failed(f"{len(failures)} of {len(reports)} failed: {', '.join(failures)}")


def _findings(
    document: Document, names: Sequence[str], timeout_s: float, progress: Callable[[int, int], None]
) -> tuple[ClientKeys, list[Report]]:
    """On the client keys, and a report on each provider, in the order of the configuration.

    Raises ConfigError and Failed.
    """
    with _checking(document, names, timeout_s) as (output, complaints):
        first = _line(output, complaints)
        if "mistakes" in first:
            raise ConfigError("\n".join(first["mistakes"]))
        wanted: list[str] = first.pop("providers")
        reports: dict[str, Report] = {}
        while len(reports) < len(wanted):
            progress(len(reports), len(wanted))
            report = _line(output, complaints)
            reports[report["provider"]] = report
    return first, [reports[name] for name in wanted]


@contextlib.contextmanager
def _checking(
    document: Document, names: Sequence[str], timeout_s: float
) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The process that checks: its output, and what it complains of."""
    # -P: a file in the user's working directory must not pass for a module.
    command = [sys.executable, "-P", "-m", "lessllm_gateway.check", "--timeout-s", str(timeout_s), "--"]
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(  # noqa: S603 - our own module
            [*command, *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints
        ) as process,
    ):
        try:
            with contextlib.suppress(BrokenPipeError):  # it died: its output tells
                cast("IO[bytes]", process.stdin).write(
                    yaml.safe_dump(dict(document), sort_keys=False).encode()
                )
                cast("IO[bytes]", process.stdin).close()
            yield cast("IO[bytes]", process.stdout), complaints
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)
        finally:
            process.terminate()


def _line(output: IO[bytes], complaints: IO[bytes]) -> dict[str, Any]:
    if line := output.readline():
        said: dict[str, Any] = json.loads(line)
        return said
    complaints.seek(0)
    last = complaints.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
    raise Failed(f"the check broke off: {printable(last) or 'it said nothing'}")


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
