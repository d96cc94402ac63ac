"""What errors of the database mean, each in one line for people: what failed, and what to do."""

import errno
from pathlib import Path

_FULL = ("No space left on device", "Disk quota exceeded")


def explain(path: Path, error: Exception) -> str:
    """Why the database can't be opened."""
    text = str(error)
    if "Conflicting lock" in text:
        holder = text.partition("(PID ")[2].partition(")")[0]
        by = f"process {holder}" if holder else "another process"
        return f"{path}: in use by {by}: stop it, or set logging.db_path to another file"
    if "not a valid DuckDB database" in text:
        return f"{path}: is not a DuckDB file: move it away, or set logging.db_path to another file"
    return f"{path}: can't be opened: {reason(error)}"


def reason(error: Exception) -> str:
    """Why something could not be read or written."""
    text = first_line(error)
    return f"the disk is full: {text}" if is_full(error) else text


def is_full(error: Exception) -> bool:
    """There was no room for what was to be written."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return any(sign in str(error) for sign in _FULL)


def first_line(error: Exception) -> str:
    """What DuckDB says, without the advice that may follow."""
    return str(error).partition("\n")[0] or type(error).__name__
