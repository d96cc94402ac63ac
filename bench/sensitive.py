"""How well sensitive data is found in the labelled set (tests/shared/sensitive), and what looking takes.

Precision: of what was found, how much is what it was taken for. Recall: of what is there, how much was found.
"""

import argparse
import sys
import time
from pathlib import Path

from lessllm_shared.sensitive.finding import find
from rich import box
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from shared.sensitive.labelled import figures, judged, samples  # noqa: E402 - found by the line above

TEXTS = {
    "prose": (ROOT / "docs/operations.md").read_text,
    "code": lambda: "".join(path.read_text() for path in sorted((ROOT / "gateway").rglob("*.py"))),
    "Chinese": lambda: "今天讨论缓存的设计: 第 3 章说明了命中率为 87.5%, 请用 2026 年的数据再算一次。" * 900,
    "log": lambda: (
        "2026-11-25T12:00:00.123456Z INFO request 0190a1b2-3c4d-7e5f took 1234 ms id=8812345678\n" * 900
    ),
    "the labelled set": lambda: "\n".join(text for text, _, _ in samples("final")),
}
SIZE_BYTES = 8192


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=("final", "tuning"), default="final")
    parser.add_argument("--why", action="store_true", help="show what was wrong, and what was missed")
    options = parser.parse_args()
    console = Console()
    console.print(_accuracy(options.half))
    if options.why:
        for what, examples in judged(options.half)[3].items():
            console.print(f"{what}: {len(examples)}", *map(repr, examples[:3]), sep="\n  ", markup=False)
    console.print(_cost())


def _accuracy(half: str) -> Table:
    table = Table(title=f"{half}: {sum(1 for _ in samples(half)):,} texts", box=box.MARKDOWN)
    table.add_column("kind")
    for heading in ("there", "precision", "recall"):
        table.add_column(heading, justify="right")
    for kind, (precision, recall, there) in figures(half).items():
        table.add_row(kind, f"{there:,}", f"{precision:.3f}", f"{recall:.3f}")
    return table


def _cost() -> Table:
    table = Table(title=f"CPU time for {SIZE_BYTES:,} bytes, the best of 5", box=box.MARKDOWN)
    table.add_column("text")
    table.add_column("μs", justify="right")
    for name, text in TEXTS.items():
        data = text().encode()
        pieces = [data[at : at + SIZE_BYTES] for at in range(0, min(len(data), 40 * SIZE_BYTES), SIZE_BYTES)]
        table.add_row(name, f"{min(_took_s(pieces) for _ in range(5)) * 1e6:.0f}")
    return table


def _took_s(pieces: list[bytes]) -> float:
    start = time.process_time()
    for piece in pieces:
        find(piece)
    return (time.process_time() - start) / sum(map(len, pieces)) * SIZE_BYTES


if __name__ == "__main__":
    main()
