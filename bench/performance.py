"""docs/performance.md and its drawing, from the benches' JSON files: no figure is typed by hand.

`uv run bench/performance.py FILE …` writes between the page's marks what `bench/gateways.py` or
`bench/collecting.py` wrote, and the SVG of the first beside the page.
"""

import argparse
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import collector_tables
import gateway_tables
from bars import Bar, Chart, svg
from gateway_figures import CALL_CPU, STREAM_CPU, Measure, figure

DOCS = Path(__file__).parents[1] / "docs"
PAGE, DRAWING = DOCS / "performance.md", DOCS / "performance.svg"


def main() -> None:
    """Write all that the files have."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("files", nargs="+", type=Path, help="what --json of either bench wrote")
    for file in parser.parse_args().files:
        document = json.loads(file.read_text())
        if "ways" in document:
            _write("gateway", _gateway(document))
            DRAWING.write_text(svg([_chart(document, measure) for measure in (CALL_CPU, STREAM_CPU)]))
        else:
            _write("collector", _collector(document))


def _write(name: str, lines: Iterable[str]) -> None:
    PAGE.write_text(filled(PAGE.read_text(), name, "\n".join(lines)))


def filled(page: str, name: str, text: str) -> str:
    """The page with this between the marks of this name. Raises ValueError if it has no such marks."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(marked.findall(page)) != 1:
        raise ValueError(f"the page needs {begin} and {end}, once")
    return marked.sub(lambda _: f"{begin}\n{text}\n{end}", page)


def table(headings: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    """As Markdown."""
    yield f"| {' | '.join(headings)} |"
    yield f"|---|{'---:|' * (len(headings) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _gateway(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"![CPU of each gateway]({DRAWING.name})\n"
    yield from table(gateway_tables.TARGET_HEADINGS, gateway_tables.targets(document))
    yield ""
    yield from table(*_turned(document))
    yield ""
    yield ". ".join(gateway_tables.lines(document)) + "."


def _collector(document: Mapping[str, Any]) -> Iterator[str]:
    for headings, rows in collector_tables.tables(document):
        yield from table(headings, rows)
        yield ""
    yield f"{collector_tables.facts(document)}."


def _turned(document: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The ways as columns: there are fewer."""
    headings, *rows = zip(gateway_tables.headings(), *gateway_tables.figures(document), strict=True)
    return list(headings), [list(row) for row in rows]


def _chart(document: Mapping[str, Any], measure: Measure) -> Chart:
    found = [(way, figure(document["samples"], way, measure)) for way in document["ways"]]
    bars = [
        Bar(way, spread.median, gateway_tables.cell(spread), is_ours=way.startswith("LessLLM"))
        for way, spread in found
        if spread is not None
    ]
    return Chart(f"{measure.heading} ({measure.workload}), logarithmic", bars)


if __name__ == "__main__":
    main()
