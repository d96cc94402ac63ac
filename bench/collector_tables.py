"""What the JSON file of bench/collecting.py says, as tables of words: for a terminal and for a page. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]
Row = list[str]

_MOST_US, _MOST_MS = 500.0, 300.0
_MOST_ON_DISK = {"mixed calls": 0.4, "agents, 20 at once": 0.1, "agents, 60 at once": 0.1}


def tables(document: Document) -> Iterator[tuple[Row, list[Row]]]:
    """Headings and rows, of each part that was measured."""
    for kind, found in document.get("ingest", {}).items():
        heading = f"CPU a record, {kind}, {found['bytes'] / 1000:.1f} KB"
        yield [heading, "µs", "of all", "at most", ""], list(_ingest(found["parts_us"], kind == "plain"))
    if "disk" in document:
        yield ["bytes on disk for a byte of bodies", "", "at most", ""], list(_disk(document["disk"]))
    if "queries_ms" in document:
        queries = document["queries_ms"]
        yield [f"over {document['calls']:,} calls", "ms", "at most", ""], list(_queries(queries))
        yield (
            ["until a frame is committed, beside", "ms"],
            [[name, _spread(one)] for name, one in document["committed_ms"].items()],
        )
        yield ["and", ""], list(_others(document))


def facts(document: Document) -> str:
    """In a line."""
    return "; ".join(f"{name} {value}" for name, value in document["facts"].items())


def _ingest(parts: Mapping[str, Any], has_target: bool) -> Iterator[Row]:
    whole = parts["all"]["median"]
    for name, one in parts.items():
        target = _judged(one["median"], _MOST_US) if has_target and name == "all" else ["", ""]
        yield [name, _spread(one), f"{one['median'] / whole:.2f}", *target]


def _disk(ratios: Mapping[str, float]) -> Iterator[Row]:
    for name, ratio in ratios.items():
        target = _judged(ratio, _MOST_ON_DISK[name]) if name in _MOST_ON_DISK else ["", ""]
        yield [name, f"{ratio:.3f}", *target]


def _queries(queries: Mapping[str, Any]) -> Iterator[Row]:
    for name, one in queries.items():
        yield [name, _spread(one), *_judged(one["median"], _MOST_MS)]


def _others(document: Document) -> Iterator[Row]:
    export = document["export"]
    yield ["start until ready", f"{document['start_s']:.1f} s"]
    yield ["the database", f"{document['database_mb']:,.0f} MB"]
    yield [f"export of {export['rows']:,} calls", f"{export['rows'] / export['seconds']:,.0f} calls/s"]
    yield ["memory of that", f"{export['memory_mb']:,.0f} MB more at the most"]


def _judged(found: float, most: float) -> Row:
    return [f"{most:g}", "met" if found <= most else "**missed**"]


def _spread(one: Mapping[str, float]) -> str:
    return f"{one['median']:,.0f} ({one['lowest']:,.0f}-{one['highest']:,.0f})"
