"""A soak: hours in minutes. Does a gateway or a collector grow, does every call become a row?

The real services run with calls of all kinds at a steady rate, while the collector is away now and then.
Shown is a line through the second half of what each holds, and whether it is flat. Linux. Exits with 1 if
a call got what it should not, if a row is missing or there twice, or if a service grows.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import machine
import soak_run
from holdings import Holding, holdings
from rich import box
from rich.console import Console
from rich.table import Table
from soak_run import Plan, Soak


def main() -> None:
    """Run it, and print what came of it."""
    options = _options()
    spells = round(options.minutes * 60 / options.spell)
    plan = Plan(spells, options.spell, options.rate, options.away_every, options.away, options.seed)
    started = datetime.now(UTC)
    busy_s = machine.busy_s()
    with tempfile.TemporaryDirectory(prefix="bench-soak-") as folder:
        soak = soak_run.run(plan, Path(folder), _tell)
    busy_cores = (machine.busy_s() - busy_s) / (datetime.now(UTC) - started).total_seconds()
    facts = machine.facts() | {
        "run": f"{started:%Y-%m-%d %H:%M} UTC, {options.minutes:g} min, seed {options.seed}",
        "load": f"{options.rate:g} calls/s, which with all else kept {busy_cores:.2f} cores busy",
    }
    found = list(holdings(soak))
    console = Console(width=110)
    console.print(_table(found))
    for line in _lines(soak):
        console.print(line)
    console.print("; ".join(f"{name} {value}" for name, value in facts.items()))
    if options.json is not None:
        options.json.write_text(json.dumps(_document(facts, found, soak), indent=2))
    sys.exit(0 if soak.is_whole and all(holding.verdict != "grows" for holding in found) else 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--minutes", type=float, default=10, metavar="M", help="default: 10")
    parser.add_argument("--rate", type=float, default=80, metavar="N", help="calls a second; default: 80")
    parser.add_argument("--spell", type=float, default=30, metavar="S", help="from rest to rest; default: 30")
    parser.add_argument(
        "--away-every",
        type=int,
        default=4,
        metavar="N",
        help="spells the collector is away in one; default: 4",
    )
    parser.add_argument("--away", type=float, default=20, metavar="S", help="for so long; default: 20")
    parser.add_argument("--seed", type=int, default=1, help="of the calls; default: 1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures and samples to it")
    options = parser.parse_args()
    if not Path("/proc/self/smaps_rollup").exists():
        parser.error("needs Linux")
    if options.rate <= 0 or options.away_every < 1 or not 0 < options.away <= options.spell:
        parser.error(
            "--rate and --away are more than 0, --away-every is, and --spell is not less than --away"
        )
    if options.minutes * 60 < 2 * options.spell:
        parser.error("--minutes: two spells are the least")
    return options


def _table(found: list[Holding]) -> Table:
    table = Table(box=box.MARKDOWN)
    table.add_column("of")
    table.add_column("what")
    for heading in ("half-way", "at the end", "an hour", "±", "a call", "flat below"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    shown = None
    for holding in found:
        line = holding.trend
        numbers = (
            (f"{line.first:.1f}", f"{line.last:.1f}", f"{line.slope:+.1f}", f"{line.error:.1f}")
            if line
            else [""] * 4
        )
        table.add_row(
            "" if holding.of == shown else holding.of,
            f"{holding.what}, MB" if holding.is_memory else holding.what,
            *numbers,
            _a_call(holding, holding.a_call),
            _a_call(holding, holding.limit_a_call),
            holding.verdict,
        )
        shown = holding.of
    return table


def _a_call(holding: Holding, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value * 2**20:.0f} B" if holding.is_memory else f"{value:.4f}"


def _lines(soak: Soak) -> Iterator[str]:
    yield (
        f"{soak.calls:,} calls, {soak.rows:,} rows: {soak.rows_twice} twice, {soak.rows_missing} missing,"
        f" {soak.records_lost:g} declared lost; calls began up to {soak.behind_s:.2f} s late"
    )
    wrong = ", ".join(f"{what} ({count})" for what, count in soak.wrong.items())
    yield f"calls that ended as they should not: {wrong or 'none'}"
    gateway_mb = max(sample.gateway.rss_mb for sample in soak.samples)
    collector_mb = max(sample.collector.rss_mb for sample in soak.samples if sample.collector is not None)
    yield f"memory under load: gateway up to {gateway_mb:.0f} MB, collector up to {collector_mb:.0f} MB"
    read = soak.after_reading
    if read is not None:
        yield (
            f"after a query over all bodies: collector {read.collector.rss_mb:.0f} MB,"
            f" {read.cache_mb:.0f} MB of it DuckDB's cache"
        )


def _document(facts: dict[str, str], found: list[Holding], soak: Soak) -> dict[str, object]:
    figures = [
        dataclasses.asdict(holding) | {"a_call": holding.a_call, "verdict": holding.verdict}
        for holding in found
    ]
    plain: dict[str, object] = {
        "plan": dataclasses.asdict(soak.plan),
        "samples": [dataclasses.asdict(sample) for sample in soak.samples],
        "rests": [dataclasses.asdict(rest) for rest in soak.rests],
    }
    counts = {"kinds": dict(soak.kinds), "wrong": dict(soak.wrong), "calls": soak.calls, "rows": soak.rows}
    return {"facts": facts, "is_whole": soak.is_whole, **counts, "holdings": figures, **plain}


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
