"""`lessllm backup`: a copy of the whole database, taken by the collector while it runs."""

import fcntl
from pathlib import Path

import click
from lessllm_shared import figures

from lessllm import download
from lessllm.cli import asking
from lessllm.cli.command import Command, Failed
from lessllm.screen import note, progress_bar


@click.command("backup", cls=Command)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@asking.asking_options
def command(file: Path, force: bool, url: str | None, config_file: str | None) -> None:
    """Copy the whole database, as it is now, to a file that is whole or not there. Recording goes on.

    \b
    Examples:
      lessllm backup lessllm-2026-11-25.duckdb
      lessllm backup /backups/lessllm.duckdb --force --url http://10.0.0.7:8001

    The copy is a DuckDB database like the original. To restore it, stop the server, put it in the place of
    logging.db_path, remove the file beside it that ends in .wal, and start the server.
    """
    try:
        _check_place(file, force)
        with asking.connection(url, config_file) as asked, progress_bar() as bar:
            task = bar.add_task("the collector makes the copy", total=None)
            with asked.backup() as (size_bytes, calls, pieces):
                bar.update(task, description=f"{file.name}, {figures.calls(calls)}", total=size_bytes)
                download.write(
                    file,
                    pieces,
                    lambda received_bytes: bar.update(task, completed=received_bytes),
                    is_private=True,  # as the database is
                )
    except OSError as error:
        raise Failed(f"{file}: can't be written: {error.strerror or error}") from None
    note(f"{file}: {figures.calls(calls)}, {figures.size(file.stat().st_size)}")


def _check_place(file: Path, force: bool) -> None:
    download.check_place(file)
    if not file.exists():
        return
    if not force:
        raise Failed(f"{file} is there already: --force replaces it")
    with file.open("r+b") as there:
        try:
            fcntl.lockf(there, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"{file} is a database in use, and stays: name another file") from None
