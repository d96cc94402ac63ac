"""What the JSON file of a run says, as tables of words: for a terminal, and for docs/performance.md. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway_figures import MEASURES, Measure, Spread, Verdict, figure, verdicts

Row = list[str]


def headings() -> Row:
    """Of `figures`."""
    return ["", *(measure.heading for measure in MEASURES)]


def figures(document: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each way: medians, lowest-highest."""
    for way in document["ways"]:
        found = [figure(document["samples"], way, measure) for measure in MEASURES]
        if any(found):
            yield [way, *map(cell, found)]


def targets(document: Mapping[str, Any]) -> Iterator[Row]:
    """What, at most, found, met or missed."""
    for verdict in verdicts(document["samples"]):
        target = verdict.target
        limit = _number(target.at_most) + (f" times {target.times}" if target.times else "")
        yield [_what(target.measure), limit, cell(verdict.found), _word(verdict)]


TARGET_HEADINGS = ["LessLLM, recording, collector up", "at most", "found", ""]


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """What is to be said below the tables."""
    for way, count in document["made"].items():
        rows = document["rows"].get(way)
        yield f"{way}: {count:,} calls, {'rows unknown' if rows is None else f'{rows:,} rows'}"
    wrong = sum(sample["wrong"] for sample in document["samples"])
    yield f"{wrong:,} calls were not answered as the upstream did"
    for way, why in document["left_out"].items():
        yield f"without {way}: {why}"
    yield "; ".join(f"{name} {value}" for name, value in document["facts"].items())


def cell(found: Spread | None) -> str:
    """The median, lowest-highest."""
    if found is None:
        return ""
    if found.lowest == found.highest:
        return _number(found.median)
    return f"{_number(found.median)} ({_number(found.lowest)}-{_number(found.highest)})"


def _what(measure: Measure) -> str:
    return f"{measure.heading} ({measure.workload})"


def _word(verdict: Verdict) -> str:
    return "not known" if verdict.is_met is None else "met" if verdict.is_met else "**missed**"


def _number(value: float) -> str:
    """Three digits that count, at most."""
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"
