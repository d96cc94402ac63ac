"""A streamed Parquet export → a file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from lessllm import download
from lessllm.connection import Connection


class Progress(Protocol):
    """Called while an export arrives: bytes so far, and how many calls it will hold, if that is known."""

    def __call__(self, received_bytes: int, rows: int | None) -> None: ...


def save(
    connection: Connection, filepath: str | os.PathLike[str], filters: Mapping[str, Any], progress: Progress
) -> int | None:
    """Writes the calls that pass `filters`. Returns how many, if the collector said so.

    Raises OSError if the file can't be written, and what Connection raises; either leaves no file behind.
    """
    target = Path(filepath)
    download.check_place(target)
    with connection.export(filters) as (rows, pieces):
        progress(0, rows)
        download.write(target, pieces, lambda received_bytes: progress(received_bytes, rows))
    return rows
