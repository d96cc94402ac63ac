"""`lessllm query`: one SQL statement, answered as a table, JSON, CSV or Arrow."""

import json
import sys

import click

from lessllm import connection, tables
from lessllm.cli import asking
from lessllm.cli.command import Command
from lessllm.columns import distinct
from lessllm.screen import note, show, width

_ACCEPT = {
    "table": connection.JSON,
    "json": connection.JSON,
    "csv": connection.CSV,
    "arrow": connection.ARROW,
}
_TABLE_ROWS = 1000  # more than anybody reads; programs take another format
_LONGEST_CELL = 300


@click.command("query", cls=Command)
@click.argument("sql")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_ACCEPT)),
    default="table",
    help="table is for people; json: an object for each row; arrow: an IPC stream, not for a terminal.",
)
@click.option("--max-rows", metavar="N", type=click.IntRange(1), help="At most so many rows.")
@asking.asking_options
def command(sql: str, form: str, max_rows: int | None, url: str | None, config_file: str | None) -> None:
    """Ask the recorded calls a question in SQL (DuckDB's). The table is api_calls, with a row for each
    call; DESCRIBE api_calls lists its columns. SQL "-" is read from standard input.

    \b
    Examples:
      lessllm query "SELECT model, sum(estimated_cost_usd) AS cost_usd
                     FROM api_calls GROUP BY model ORDER BY cost_usd DESC"
      lessllm query "SELECT * FROM api_calls ORDER BY timestamp DESC LIMIT 1"
      lessllm query --format csv - < report.sql > report.csv
    """
    if form == "arrow" and sys.stdout.isatty():
        raise click.UsageError("arrow is not for a terminal: send it to a file or a program")
    if sql == "-":
        sql = sys.stdin.read()
    if form == "table" and max_rows is None:
        max_rows = _TABLE_ROWS
    with asking.connection(url, config_file) as asked:
        answer = asked.query(sql, None, max_rows, _ACCEPT[form])
    if form == "table":
        _print_table(answer.content)
    elif form == "json":
        _print_json(answer.content)
    else:
        sys.stdout.buffer.write(answer.content)
    if answer.truncated:
        note("there are more rows: raise --max-rows (the collector has a limit too), or use lessllm export")


def _print_table(content: bytes) -> None:
    result = json.loads(content)
    rows = result["rows"]
    names = [column["name"] for column in result["columns"]]
    show(tables.of_values(names, rows, width(), longest_cell=_LONGEST_CELL))
    note(f"({len(rows):,} row{'' if len(rows) == 1 else 's'})")


def _print_json(content: bytes) -> None:
    """An array with a row on each line: whole for a JSON parser, and fit for line tools."""
    result = json.loads(content)
    names = distinct([column["name"] for column in result["columns"]])
    rows = (json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in result["rows"])
    print("[" + ",\n".join(rows) + "]")
