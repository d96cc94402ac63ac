"""What errors of the database mean, each in one line for people: what failed, and what to do."""

import errno
import re
from pathlib import Path

import duckdb

from lessllm_collector.room import log_of

_FULL = ("No space left on device", "Disk quota exceeded")
_DAMAGED = (
    *("Corrupt database file", "Could not read enough bytes", "Serialization Error"),
    *("No more data remaining in MetadataReader", "Failed to load metadata pointer"),
)
_ENTRY_HEAD_BYTES = 16  # of an entry of the log: its size, its checksum
_OTHER_PATH = "or set logging.db_path to another file"
_WHAT_TO_DO = {
    "not a valid DuckDB database": f"is not a DuckDB file: move it away, {_OTHER_PATH}",
    "database file with version number": "was written by a version of DuckDB that this one can't read:"
    f" start the version of LessLLM that wrote it, {_OTHER_PATH}",
    "Is a directory": "is a folder: set logging.db_path to a file",
    "Permission denied": f"this user may not read and write it: change its permissions, {_OTHER_PATH}",
    "Read-only file system": f"its disk can't be written to: mount it for writing, {_OTHER_PATH}",
}


def explain(path: Path, error: Exception) -> str:
    """Why the database can't be opened."""
    text = str(error)
    if "Conflicting lock" in text:
        holder = text.partition("(PID ")[2].partition(")")[0]
        by = f"process {holder}" if holder else "another process"
        return f"{path}: in use by {by}: stop it, {_OTHER_PATH}"
    if "replaying WAL file" in text:
        return _explain_log(log_of(path), text)
    for sign, what in _WHAT_TO_DO.items():
        if sign in text:
            return f"{path}: {what}"
    if is_damaged(error):
        away = f"move it and {log_of(path).name} away to begin anew"
        return f"{path}: is damaged: put a backup in its place, or {away}: {first_line(error)}"
    if is_full(error):
        return f"{path}: can't be opened: make room on its disk: {reason(error)}"
    return f"{path}: can't be opened: {first_line(error)}"


def _explain_log(log: Path, text: str) -> str:
    """Of the damaged log, what is before the damage can be kept, if DuckDB says where that is."""
    lost = "what was committed after that is lost unless gateways still have it"
    found = re.search(r"entry at byte position (\d+)", text)
    if found:
        size = int(found[1]) - _ENTRY_HEAD_BYTES
        return (
            f"{log}: is damaged: put a backup in the database's place, or `truncate -s {size} {log}`: {lost}"
        )
    lost = "what was committed since the last checkpoint is lost unless gateways still have it"
    return f"{log}: is damaged: put a backup in the database's place, or move it away: {lost}"


def reason(error: Exception) -> str:
    """Why something could not be read or written."""
    text = first_line(error)
    if is_full(error):
        return f"the disk is full: {text}"
    if is_damaged(error):
        return f"the database's file is damaged, restore a backup: {text}"
    return text


def is_full(error: Exception) -> bool:
    """There was no room for what was to be written."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return any(sign in str(error) for sign in _FULL)


def is_damaged(error: Exception) -> bool:
    """What is in the file is not what was written to it."""
    return isinstance(error, duckdb.Error) and any(sign in str(error) for sign in _DAMAGED)


def first_line(error: Exception) -> str:
    """What DuckDB says, without the advice that may follow."""
    return str(error).partition("\n")[0] or type(error).__name__
