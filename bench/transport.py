"""CPU time per call and per chunk: our transport against httpx's, aiohttp's and nginx's, in one run.

Each contender is a process on one core, the upstream is on another. They take turns, round after round, so
that whatever disturbs the machine disturbs them alike. The table shows the rounds' median, the lowest and
the highest, and how many times ours that is: compare within one run. Linux, with two cores.
"""

import argparse
import dataclasses
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import contenders
import machine
import nginx
import rounds
from figures import Figure, figures
from rich import box
from rich.console import Console
from rich.table import Table

AIOHTTP = "aiohttp==3.14.5"  # what it was last run with; nobody's dependency


def main() -> None:
    """Measure, and print a table."""
    options = _options()
    for name, how in _missing().items():
        _tell(f"without {name}, which is not here: {how}\n")
    started = datetime.now(UTC)
    run = rounds.run(options.rounds, options.seconds, tls=options.tls, tell=_tell)
    found = list(figures(run.rounds))
    facts = machine.facts() | {
        "run": f"{started:%Y-%m-%d %H:%M} UTC, {options.rounds} rounds, {options.seconds:g} s a sample",
        "upstream": "TLS" if options.tls else "plain",
        "others": f"kept {run.others_cores:.2f} cores busy meanwhile",
    }
    console = Console(width=100)
    console.print(_table(found), "; ".join(f"{name} {value}" for name, value in facts.items()))
    if options.json is not None:
        options.json.write_text(json.dumps(_document(facts, found, run), indent=2))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument(
        "--seconds",
        type=float,
        default=1.0,
        metavar="S",
        help="for each of a contender's four samples in a round, and until what has begun is finished,"
        " which takes a second for 64 streams; default: 1",
    )
    parser.add_argument("--tls", action="store_true", help="speak TLS with the upstream")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures and samples to it")
    return machine.options_of_rounds(parser)


def _missing() -> dict[str, str]:
    """The contenders that can't be measured, and how they could."""
    missing = {}
    if "aiohttp" not in contenders.CONTENDERS:
        missing["aiohttp"] = f"uv run --with {AIOHTTP} bench/transport.py"
    if nginx.program() is None:
        missing["nginx"] = nginx.HOW_TO_GET_IT
    return missing


def _table(found: list[Figure]) -> Table:
    table = Table(box=box.MARKDOWN)
    table.add_column("CPU of")
    table.add_column("by")
    for heading in ("µs", "lowest-highest", "ours = 1", "calls/s", "chunks read"):
        table.add_column(heading, justify="right")
    shown = None
    for figure in found:
        what = _what(figure)
        table.add_row(
            "" if what == shown else what,
            figure.contender,
            _us(figure.median_us),
            f"{_us(figure.lowest_us)}-{_us(figure.highest_us)}",
            f"{figure.times_ours:.2f}",
            "" if figure.calls_per_s is None else f"{figure.calls_per_s:,.0f}",
            "" if figure.chunks_per_stream is None else f"{figure.chunks_per_stream:.1f}",
        )
        shown = what
    return table


def _what(figure: Figure) -> str:
    if figure.per == "call":
        return f"a call, {figure.concurrency} at once"
    return f"a chunk, {figure.concurrency} stream{'s' if figure.concurrency > 1 else ''}"


def _us(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _document(facts: dict[str, str], found: list[Figure], run: rounds.Run) -> dict[str, object]:
    samples = [
        {"round": number, "contender": contender, "kind": kind, "concurrency": concurrency}
        | dataclasses.asdict(sample)
        for number, round_ in enumerate(run.rounds, 1)
        for (contender, kind, concurrency), sample in round_.items()
    ]
    figures_ = [dataclasses.asdict(figure) for figure in found]
    return {"facts": facts, "others_cores": run.others_cores, "figures": figures_, "samples": samples}


def _tell(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    main()
