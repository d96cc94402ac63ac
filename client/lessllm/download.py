"""A streamed answer → a file that is whole or isn't there.

It is written beside its place, synced, and moved there in one step.
"""

import errno
import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path


def check_place(target: Path) -> None:
    """Raises OSError where no file can be, or where it would replace a device or a folder."""
    if target.exists() and not target.is_file():
        raise FileExistsError(errno.EEXIST, "it is there, and is no file", str(target))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target.parent))
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target.parent))


def write(
    target: Path, pieces: Iterable[bytes], received: Callable[[int], None], *, is_private: bool = False
) -> None:
    """`received` is told how many bytes have come so far. A private file is for its user alone.

    Raises OSError if the file can't be written, and what `pieces` raises; either leaves no file behind.
    """
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    size_bytes = 0
    try:
        with open(part, "xb", opener=_private if is_private else None) as file:
            for piece in pieces:
                file.write(piece)
                size_bytes += len(piece)
                received(size_bytes)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:  # Ctrl-C too leaves no half file
        part.unlink(missing_ok=True)
        raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
