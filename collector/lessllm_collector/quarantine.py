"""Frames that can't be read, set aside in a file beside the database for whoever wants to know what they are.

One JSON object a line. The file is bounded, and the oldest are kept. It is never needed: what can't be
written is not.
"""

import base64
import contextlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

MAX_BYTES = 16 * 1024 * 1024
FRAME_BYTES = 64 * 1024  # of each, from its beginning


class Quarantine:
    """The file. Of frames it keeps only reason and size unless `keeps_content`: they may hold a prompt."""

    def __init__(self, database: Path, *, keeps_content: bool) -> None:
        self._path = database.with_name(f"{database.name}.quarantine.jsonl")
        self._keeps_content = keeps_content

    def add(self, frames: list[bytes], reason: str) -> None:
        """One message, of a frame or more. Never fails."""
        line = {"received": datetime.now(UTC).isoformat(), "reason": reason, "bytes": [*map(len, frames)]}
        if self._keeps_content:
            line["frames"] = [base64.b64encode(frame[:FRAME_BYTES]).decode() for frame in frames[:2]]
        data = json.dumps(line).encode() + b"\n"
        with contextlib.suppress(OSError):
            self._append(data)

    def expire(self, before: datetime) -> None:
        """Delete the file when the last frame in it is older. Raises OSError."""
        if self._path.exists() and self._path.stat().st_mtime < before.timestamp():
            self._path.unlink()

    def _append(self, data: bytes) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.fstat(file).st_size + len(data) <= MAX_BYTES:
                os.write(file, data)
        finally:
            os.close(file)
