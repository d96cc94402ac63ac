"""The collector: CPU a record, bytes on disk; over ten million calls start-up, reports, exports, commits.

The calls of the large database are made by SQL, and only their columns
of figures; it takes 2 GB on the disk below --folder while it is measured, and minutes to make.
"""

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import collector_ingest
import collector_records
import collector_reports
import collector_tables
import machine
import many_calls
from rich import box
from rich.console import Console
from rich.table import Table


def main() -> None:
    """Measure, and print tables."""
    options = _options()
    started, busy_s = datetime.now(UTC), machine.busy_s()
    document: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="lessllm-bench-", dir=options.folder) as name:
        folder = Path(name)
        if "ingest" in options.only:
            document |= _ingest(folder, options.records, options.rounds)
        if "disk" in options.only:
            document |= _disk(folder, options.records)
        if "reports" in options.only:
            document |= _reports(folder, options.database, options.calls, options.rounds)
    took_s = (datetime.now(UTC) - started).total_seconds()
    document["facts"] = machine.facts() | {
        "run": f"{started:%Y-%m-%d %H:%M} UTC, {options.rounds} rounds",
        "machine": f"{(machine.busy_s() - busy_s) / took_s:.2f} cores busy, this run's own work with it",
    }
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    console = Console(width=160)
    for headings, rows in collector_tables.tables(document):
        table = Table(box=box.MARKDOWN)
        for number, heading in enumerate(headings):
            table.add_column(heading, justify="right" if number else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(collector_tables.facts(document))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parts = ("ingest", "disk", "reports")
    parser.add_argument(
        "--only",
        choices=parts,
        nargs="+",
        default=list(parts),
        metavar="PART",
        help=f"of: {', '.join(parts)}",
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--records", type=int, default=4000, metavar="N", help="a round; default: 4,000")
    parser.add_argument("--calls", type=int, default=10_000_000, metavar="N", help="default: 10,000,000")
    parser.add_argument(
        "--database", type=Path, metavar="FILE", help="keep the large database there, and use it again"
    )
    parser.add_argument(
        "--folder", type=Path, metavar="FOLDER", help="for what is written meanwhile; default: the system's"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to it")
    options = parser.parse_args()
    if min(options.rounds, options.records, options.calls) < 1:
        parser.error("at least one round, record and call")
    return options


def _ingest(folder: Path, records: int, rounds: int) -> dict[str, Any]:
    found = {}
    for kind in collector_records.KINDS:
        flagged, unflagged = (collector_records.calls(records, kind, policy) for policy in ("flag", "off"))
        size_bytes = flagged.raw_bytes / records
        _tell(f"{rounds} rounds of {records:,} records, {kind}, of {size_bytes:,.0f} bytes")
        parts = collector_ingest.parts_us(flagged, unflagged, folder, rounds)
        found[kind] = {
            "bytes": size_bytes,
            "parts_us": {name: collector_ingest.spread(values) for name, values in parts.items()},
        }
    return {"ingest": found}


def _disk(folder: Path, records: int) -> dict[str, Any]:
    _tell("bytes on disk")
    sizes = {
        "mixed calls": collector_records.calls(records, "mixed"),
        "agents, 20 at once": (some := collector_records.agents(20, 40)),
        "agents, 20 at once, by session": _by_session(some, 20),
        "agents, 60 at once": (many := collector_records.agents(60, 30)),
        "agents, 60 at once, by session": _by_session(many, 60),
    }
    return {"disk": {name: collector_ingest.disk_ratio(recorded, folder) for name, recorded in sizes.items()}}


def _by_session(recorded: collector_records.Recorded, sessions: int) -> collector_records.Recorded:
    records = [one for first in range(sessions) for one in recorded.records[first::sessions]]
    return collector_records.Recorded(records, recorded.raw_bytes)


def _reports(folder: Path, database: Path | None, calls: int, rounds: int) -> dict[str, Any]:
    path = database or folder / "many.duckdb"
    if not path.exists():
        many_calls.build(path, calls, lambda made: _tell(f"made {made:,} of {calls:,} calls"))
    records = collector_records.calls(1000, "mixed").records
    found = collector_reports.measure(folder, path, records, rounds, _tell)
    return {
        "start_s": found.start_s,
        "queries_ms": {name: _ms(values) for name, values in found.queries_s.items()},
        "committed_ms": {name: _ms(values) for name, values in found.committed_s.items()},
        "export": {
            "rows": found.export_rows,
            "mb": found.export_bytes / 1e6,
            "seconds": found.export_s,
            "memory_mb": found.export_mb,
        },
        "calls": calls,
        "database_mb": path.stat().st_size / 1e6,
    }


def _ms(values_s: list[float]) -> dict[str, float]:
    return collector_ingest.spread([value * 1000 for value in values_s])


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
