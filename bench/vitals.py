"""What a process holds now, as Linux tells: memory, open files, threads."""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MB = 1024 * 1024
_KB = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Vitals:
    """At one moment."""

    rss_mb: float
    pss_mb: float  # a page that n processes share counts as 1/n
    own_mb: float  # what would be free if it ended: pages that it shares with nobody
    files: int
    threads: int


def vitals(pid: int) -> Vitals | None:
    """None: it has ended. Takes a millisecond."""
    process = Path(f"/proc/{pid}")
    with suppress(OSError):
        memory = {name: int(kb) / 1024 for name, kb in _KB.findall((process / "smaps_rollup").read_text())}
        return Vitals(
            rss_mb=memory["Rss"],
            pss_mb=memory["Pss"],
            own_mb=memory["Private_Clean"] + memory["Private_Dirty"],
            files=sum(1 for _ in (process / "fd").iterdir()),
            threads=sum(1 for _ in (process / "task").iterdir()),
        )
    return None


def size_mb(path: Path) -> float:
    """Of a file, or of all files in a folder; 0 if it is not there."""
    if not path.is_dir():
        with suppress(OSError):
            return path.stat().st_size / MB
        return 0.0
    return sum(size_mb(inside) for inside in path.iterdir())
