"""`lessllm export`: recorded calls into a Parquet file, with a progress bar on a terminal."""

from pathlib import Path

import click
from lessllm_shared import figures

from lessllm import export
from lessllm.cli import asking
from lessllm.cli.command import Command, Failed
from lessllm.screen import note, progress_bar


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
    with asking.connection(url, config_file) as asked, progress_bar() as bar:
        task = bar.add_task(file.name, total=None)  # how many bytes it will be, nobody knows before

        def progress(received_bytes: int, rows: int | None) -> None:
            bar.update(task, completed=received_bytes, description=f"{file.name}, {figures.calls(rows)}")

        try:
            rows = export.save(asked, file, filters, progress)
        except OSError as error:
            raise Failed(f"{file}: can't be written: {error.strerror or error}") from None
    note(f"{file}: {figures.calls(rows)}, {figures.size(file.stat().st_size)}")
