"""A disk, and how much of it is left free, so that old data can be deleted and what waits can be taken in."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

RESERVE_BYTES = 64 * 1024 * 1024
RESERVE_SHARE = 8  # of a small disk: one part in so many


@dataclass(frozen=True)
class Disk:
    """As it is at one moment."""

    size_bytes: int
    free_bytes: int

    @property
    def reserve_bytes(self) -> int:
        """The collector's commits leave it free. Spools leave it twice: else it could never empty them."""
        return min(RESERVE_BYTES, self.size_bytes // RESERVE_SHARE)


def look(folder: Path) -> Disk:
    """The disk that the folder is on. Raises OSError."""
    found = os.statvfs(folder)
    if not found.f_blocks:  # some file systems don't say
        return Disk(sys.maxsize, sys.maxsize)
    return Disk(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)
