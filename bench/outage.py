"""What a collector that is away does to clients: times and CPU of calls, against one that is up.

Rounds of: up, up again, killed, long gone, back, held up, each with one call at a time and 64 at once, plain
and streamed, for each way to spool. Failed calls are counted, and every call must be a row at the end. Linux,
with two cores. Exits with 1 if a call failed, or is not exactly one row.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import latencies
import machine
import outage_run
from latencies import Figure, Ratio
from outage_run import SPOOLS, STATES, Outage, Sample
from rich import box
from rich.console import Console
from rich.table import Table

_PERCENTILES: dict[str, latencies.Percentile] = {"p50": latencies.p50, "p99": latencies.p99}
_OTHERS = tuple(state for state in STATES if state != "up")


def main() -> None:
    """Measure, and print tables."""
    options = _options()
    started = datetime.now(UTC)
    busy_s = machine.busy_s()
    outage = outage_run.run(options.rounds, options.seconds, options.gone, options.spool, _tell)
    busy_cores = (machine.busy_s() - busy_s) / (datetime.now(UTC) - started).total_seconds()
    facts = machine.facts() | {
        "run": f"{started:%Y-%m-%d %H:%M} UTC, {options.rounds} rounds, {options.seconds:g} s a sample",
        "machine": f"{busy_cores:.2f} cores busy, this run's own work with it",
    }
    tables = {
        f"{name}, ms": list(latencies.times(outage.samples, percentile))
        for name, percentile in _PERCENTILES.items()
    } | {"CPU of the gateway, µs a call": list(latencies.cpu(outage.samples))}
    console = Console(width=160)
    for heading, figures in tables.items():
        console.print(_table(heading, figures))
    for line in _lines(tables, outage):
        console.print(line)
    console.print("; ".join(f"{name} {value}" for name, value in facts.items()))
    if options.json is not None:
        options.json.write_text(json.dumps(_document(facts, tables, outage), indent=2))
    sys.exit(0 if outage.is_whole else 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument(
        "--seconds", type=float, default=2.0, metavar="S", help="for each of the samples; default: 2"
    )
    parser.add_argument(
        "--gone",
        type=float,
        default=15.0,
        metavar="S",
        help="of calls between `killed` and `long gone`; with `off` they must fit in memory; default: 15",
    )
    parser.add_argument(
        "--spool", choices=SPOOLS, nargs="+", default=SPOOLS, help="logging.spool; default: all three"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures and samples to it")
    options = parser.parse_args()
    machine.need_two_cores(parser)
    if options.rounds < 1 or options.seconds <= 0 or options.gone < 0:
        parser.error("at least one round, of more than no time")
    return options


def _table(heading: str, figures: Sequence[Figure]) -> Table:
    table = Table(box=box.MARKDOWN)
    table.add_column(heading)
    table.add_column("spool")
    is_direct_known = any(figure.direct is not None for figure in figures)
    for name in (*(("direct",) if is_direct_known else ()), "up", *_OTHERS):
        table.add_column(name, justify="right")
    shown = None
    for figure in figures:
        direct = ("" if figure.direct is None else _number(figure.direct),) if is_direct_known else ()
        ratios = (_ratio(figure.ratios[state]) for state in _OTHERS)
        of = "" if figure.of == shown else figure.of
        table.add_row(of, figure.spool, *direct, _number(figure.up), *ratios)
        shown = figure.of
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _ratio(ratio: Ratio) -> str:
    return f"{ratio.median:.2f} ({ratio.lowest:.2f}-{ratio.highest:.2f})"


def _lines(tables: dict[str, list[Figure]], outage: Outage) -> Iterator[str]:
    for heading, figures in tables.items():
        through = [figure for figure in figures if figure.of != latencies.PROBE]
        found = (f"{state} {_over_all(figure.ratios[state] for figure in through)}" for state in _OTHERS)
        yield f"{heading}, times `up`, over all rows: {'; '.join(found)}"
    yield (
        f"{outage.calls:,} calls, {outage.failed} failed; {outage.rows:,} rows, {outage.twice} of them twice;"
        f" {outage.lost:g} records declared lost"
    )


def _over_all(ratios: Iterable[Ratio]) -> str:
    medians = [ratio.median for ratio in ratios]
    return f"{median(medians):.2f} ({min(medians):.2f}-{max(medians):.2f})"


def _document(facts: dict[str, str], tables: dict[str, list[Figure]], outage: Outage) -> dict[str, object]:
    return {
        "facts": facts,
        "figures": {heading: [dataclasses.asdict(f) for f in figures] for heading, figures in tables.items()},
        "counts": {
            name: getattr(outage, name) for name in ("calls", "failed", "rows", "twice", "lost", "is_whole")
        },
        "samples": [_summary(sample) for sample in outage.samples],
    }


def _summary(sample: Sample) -> dict[str, object]:
    fields = dataclasses.asdict(sample)
    for name in ("latencies_s", "firsts_s", "probes_s"):
        values = fields.pop(name)
        fields[name] = {
            "number": len(values),
            **({key: percentile(values) for key, percentile in _PERCENTILES.items()} if values else {}),
            "highest": max(values, default=None),
        }
    return fields


def _tell(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    main()
