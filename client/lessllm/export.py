"""A streamed Parquet export → a file that is whole or isn't there.

It is written beside its place, synced, and moved there in one step.
"""

import errno
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

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
    if target.exists() and not target.is_file():  # a device would be replaced by a file
        raise FileExistsError(errno.EEXIST, "it is there, and is no file", str(target))
    received_bytes = 0
    with connection.export(filters) as (rows, pieces):
        progress(0, rows)
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            with part.open("xb") as file:
                for piece in pieces:
                    file.write(piece)
                    received_bytes += len(piece)
                    progress(received_bytes, rows)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except BaseException:  # Ctrl-C too leaves no half file
            part.unlink(missing_ok=True)
            raise
    return rows
