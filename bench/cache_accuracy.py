"""Cache hits as the collector predicts them, against a reference of each provider's documented rules.

Calls of generated workloads and of the Mooncake trace get from the reference (tests/cache_reference) the
usage that the provider would report; the predictor sees their records in the order in which they end. Ends
with 1 if a provider misses a target.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from cache_reference import trace  # noqa: E402 - found by the line above
from cache_reference.accuracy import MAX_ERROR_POINTS, MIN_AS_PREDICTED, Figures, figures  # noqa: E402
from cache_reference.cases import PLACES, answered, cases  # noqa: E402

TRACE = ROOT.parent / "shared/traces/mooncake_synthetic.jsonl"
TARGETS = f"an error of {MAX_ERROR_POINTS:g} points at most, {MIN_AS_PREDICTED:.0%} as predicted at least"


@dataclass(frozen=True, slots=True)
class Line:
    """One provider with one workload, or with all of them."""

    provider: str
    workload: str
    figures: Figures


def main() -> None:
    """Measure, and print a table."""
    options = _options()
    providers = options.provider or list(PLACES)
    lines = list(_told(_measured(providers, options)))
    sums = [
        Line(provider, "all", sum((line.figures for line in lines if line.provider == provider), Figures()))
        for provider in providers
    ]
    Console(width=150).print(_table(lines, sums))
    if options.json is not None:
        found = [_as_json(line) for line in (*lines, *sums)]
        options.json.write_text(json.dumps(found, indent=2))
    missed = [line.provider for line in sums if not line.figures.on_target()]
    _tell(f"{'missed by ' + ', '.join(missed) if missed else 'met by all'}: {TARGETS}\n")
    sys.exit(1 if missed else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--provider",
        action="append",
        choices=list(PLACES),
        metavar="NAME",
        help=f"only this one, may be given again; one of {', '.join(PLACES)}",
    )
    parser.add_argument(
        "--calls", type=int, default=300, metavar="N", help="of each generated workload; default: 300"
    )
    parser.add_argument(
        "--trace-calls", type=int, default=4000, metavar="N", help="of the trace; default: 4000, all of it"
    )
    parser.add_argument(
        "--trace",
        type=Path,
        default=TRACE,
        metavar="FILE",
        help="default: ../shared/traces/mooncake_synthetic.jsonl; without it, calls of the same structure",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of what is generated; default: 1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to it")
    options = parser.parse_args()
    if options.calls < 1 or options.trace_calls < 1:
        parser.error("at least one call")
    return options


def _measured(providers: list[str], options: argparse.Namespace) -> Iterator[Line]:
    if options.trace.exists():
        rows, name = trace.read(options.trace, options.trace_calls), "Mooncake trace"
    else:
        rows, name = trace.sample(options.seed, options.trace_calls), "like the trace"
        _tell(f"no trace at {options.trace}: calls of the same structure instead\n")
    for provider in providers:
        generated = cases(provider, options.calls, options.seed)
        for workload, by_place in groupby(generated, lambda case: case[0]):
            found = (figures(calls, place) for _, place, calls in by_place)
            yield Line(provider, workload, sum(found, Figures()))
        place = PLACES[provider][0]
        yield Line(provider, name, figures(answered(trace.asks(rows), place), place))


def _told(lines: Iterator[Line]) -> Iterator[Line]:
    begin_s = time.perf_counter()
    for line in lines:
        taken_s = time.perf_counter() - begin_s
        _tell(f"{taken_s:4.0f} s  {line.provider}, {line.workload}: {line.figures.calls:,} calls\n")
        yield line


def _table(lines: list[Line], sums: list[Line]) -> Table:
    table = Table(box=box.MARKDOWN)
    table.add_column("provider")
    table.add_column("workload")
    for heading in ("calls", "hit rate", "error before", "error after", "as predicted"):
        table.add_column(heading, justify="right")
    table.add_column("outcomes")
    for total in sums:
        of_it = [line for line in lines if line.provider == total.provider]
        for line in (*of_it, total):
            found = line.figures.summary()
            table.add_row(
                line.provider if line is of_it[0] else "",
                line.workload,
                f"{found['calls']:,}",
                f"{found['hit_rate_points']:.1f} %",
                f"{found['error_points']:.2f}",
                f"{found['recalibrated_error_points']:.2f}",
                f"{100 * found['as_predicted']:.1f} %",
                ", ".join(f"{number:,} {outcome}" for outcome, number in found["outcomes"].items()),
            )
    return table


def _as_json(line: Line) -> dict[str, object]:
    return {"provider": line.provider, "workload": line.workload, **line.figures.summary()}


def _tell(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    main()
