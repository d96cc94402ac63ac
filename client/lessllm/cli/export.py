"""`lessllm export`: recorded calls into a Parquet file, with a progress bar on a terminal."""

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from lessllm import export, figures
from lessllm.cli import asking
from lessllm.cli.command import Command, Failed
from lessllm.screen import note


@click.command("export", cls=Command)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--start-date", metavar="DATE", help="Calls from then on, such as 2026-11-01 (UTC).")
@click.option("--end-date", metavar="DATE", help="Calls before then.")
@click.option(
    "--model", "models", metavar="NAME", multiple=True, help="Calls of this model; may be repeated."
)
@asking.asking_options
def command(
    file: Path,
    start_date: str | None,
    end_date: str | None,
    models: tuple[str, ...],
    url: str | None,
    config_file: str | None,
) -> None:
    """Write recorded calls, with every column, to a Parquet file. It is whole or not there.

    \b
    Examples:
      lessllm export calls.parquet
      lessllm export november.parquet --start-date 2026-11-01
      lessllm export compared.parquet --model gpt-5 --model claude-sonnet-5
    """
    filters = {"start_date": start_date, "end_date": end_date, "model": models or None}
    with asking.connection(url, config_file) as asked, _bar() as bar:
        task = bar.add_task(file.name, total=None)  # how many bytes it will be, nobody knows before

        def progress(received_bytes: int, rows: int | None) -> None:
            bar.update(task, completed=received_bytes, description=f"{file.name}, {_calls(rows)}")

        try:
            rows = export.save(asked, file, filters, progress)
        except OSError as error:
            raise Failed(f"{file}: can't be written: {error.strerror or error}") from None
    note(f"{file}: {_calls(rows)}, {figures.size(file.stat().st_size)}")


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _calls(rows: int | None) -> str:
    return "calls" if rows is None else f"{rows:,} call{'' if rows == 1 else 's'}"
