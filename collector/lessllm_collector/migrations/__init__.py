"""Numbered changes of the database's tables, applied in order, each once and in a transaction.

A file NNNN_name.sql here is a change; one that has landed is never edited. They only add, so that an
older database opens in a newer version. A database from a newer version is refused.
"""

from importlib.resources import files

import duckdb


class TooNewError(ValueError):
    """The database was written by a newer version."""


def migrate(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring the tables up to date. Raises TooNewError, duckdb.Error."""
    connection.execute("CREATE TABLE IF NOT EXISTS main.lessllm_schema (version INTEGER NOT NULL)")
    row = connection.execute("SELECT max(version) FROM main.lessllm_schema").fetchone()
    current: int = row[0] if row and row[0] is not None else 0
    changes = _changes()
    if current > len(changes):
        raise TooNewError(
            f"it has schema version {current}, and this version of LessLLM knows up to {len(changes)}"
        )
    for version, sql in enumerate(changes[current:], start=current + 1):
        connection.begin()
        connection.execute(sql)
        connection.execute("INSERT INTO main.lessllm_schema VALUES (?)", [version])
        connection.commit()


def _changes() -> list[str]:
    scripts = sorted(
        (file for file in files(__package__).iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    return [file.read_text("utf-8") for file in scripts]
