"""The gateway against its peers, side by side in one run: CPU, latency, throughput, streams, memory.

LessLLM records every call, and each must be a row; the others record nothing. Peers are installed into a
folder of their own the first time, which takes minutes; what can't be had is said and left out. The gateway
has a core of its own, the load and the upstream the other one. Linux, with two cores.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import gateway_run
import gateway_tables
import machine
import peers
from rich import box
from rich.console import Console
from rich.table import Table
from ways import WAYS


def main() -> None:
    """Measure, and print tables."""
    options = _options()
    started = datetime.now(UTC)
    rounds, seconds, streams = (1, 0.5, 100) if options.quick else (options.rounds, options.seconds, 1000)
    run = gateway_run.run(rounds, seconds, options.only, gateway_run.workloads(streams), _tell)
    facts = machine.facts() | {
        **peers.VERSIONS,
        "run": f"{started:%Y-%m-%d %H:%M} UTC, {rounds} rounds, {seconds:g} s a sample",
        "open streams": str(streams),
        "machine": f"others kept {run.others_cores:.2f} cores busy",
    }
    document = {
        "facts": facts,
        "ways": options.only,
        "left_out": run.left_out,
        "made": run.made,
        "rows": run.rows,
        "samples": run.samples_as_json(),
    }
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    console = Console(width=220)
    console.print(_table(gateway_tables.headings(), gateway_tables.figures(document)))
    console.print(_table(gateway_tables.TARGET_HEADINGS, gateway_tables.targets(document)))
    for line in gateway_tables.lines(document):
        console.print(line)
    sys.exit(0 if run.is_whole else 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="a sample; default: 2")
    parser.add_argument(
        "--only", choices=WAYS, nargs="+", default=list(WAYS), metavar="WAY", help=f"of: {', '.join(WAYS)}"
    )
    parser.add_argument("--quick", action="store_true", help="one round of 0.5 s, 100 open streams: a look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the samples to it")
    return machine.options_of_rounds(parser)


def _table(headings: list[str], rows: Iterable[list[str]]) -> Table:
    table = Table(box=box.MARKDOWN)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    return table


def _tell(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    main()
