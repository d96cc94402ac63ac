"""Samples to figures, and figures to verdicts on the targets. Pure; samples are as in the JSON file.

A figure is the median of the rounds, with the lowest and the highest. A comparison is that of the rounds'
ratios or differences, each within its round, so that a machine whose speed changes meanwhile changes neither
much.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from gateway_run import CALL, CALLS, LARGE, OPEN, STREAM, STREAMS
from ways import DIRECT, LESSLLM, LITELLM, NGINX, PORTKEY, TENSORZERO

Samples = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Spread:
    """Of a figure over the rounds."""

    median: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of each way."""

    heading: str
    workload: str
    key: str
    is_added: bool = False  # less direct's in the same round


@dataclass(frozen=True, slots=True)
class Target:
    """What LessLLM is to keep to."""

    measure: Measure
    at_most: float
    times: str | None = None  # this way's figure; None: as it is


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one target. None: it can't be told from these samples."""

    target: Target
    found: Spread | None
    is_met: bool | None


CALL_CPU = Measure("CPU, ms a call", CALLS, "cpu_ms")
STREAM_CPU = Measure("CPU, ms a stream", STREAMS, "cpu_ms")
ADDED_P50 = Measure("added p50, ms", CALL, "latency_p50_ms", is_added=True)
ADDED_P99 = Measure("added p99, ms", CALL, "latency_p99_ms", is_added=True)
ADDED_FIRST = Measure("added to first chunk, ms", STREAM, "first_p50_ms", is_added=True)
ADDED_CHUNK = Measure("added to a chunk, ms", STREAM, "chunk_p50_ms", is_added=True)
MEMORY = Measure("RSS, MB", OPEN, "rss_mb")
LOST = Measure("lost", OPEN, "wrong")
MEASURES = (
    CALL_CPU,
    Measure("calls/s", CALLS, "calls_per_s"),
    Measure("CPU, ms a 100 KB call", LARGE, "cpu_ms"),
    STREAM_CPU,
    ADDED_P50,
    ADDED_P99,
    ADDED_FIRST,
    ADDED_CHUNK,
    Measure("added to a chunk, p99, ms", STREAM, "chunk_p99_ms", is_added=True),
    MEMORY,
    LOST,
    Measure("collector's CPU, ms a record", CALLS, "collector_cpu_ms"),
)
TARGETS = (
    Target(CALL_CPU, 0.7, times=TENSORZERO),
    Target(CALL_CPU, 1 / 5, times=PORTKEY),
    Target(CALL_CPU, 1 / 40, times=LITELLM),
    Target(CALL_CPU, 7, times=NGINX),
    Target(STREAM_CPU, 0.8, times=TENSORZERO),
    Target(STREAM_CPU, 2.2, times=NGINX),
    Target(ADDED_P50, 0.5),
    Target(ADDED_P99, 3),
    Target(ADDED_FIRST, 0.5),
    Target(ADDED_CHUNK, 0.1),
    Target(MEMORY, 120),
    Target(LOST, 0),
)


def figure(samples: Samples, way: str, measure: Measure) -> Spread | None:
    """None: there is no such figure."""
    values = _by_round(samples, way, measure)
    if not measure.is_added:
        return _spread(values.values())
    direct = _by_round(samples, DIRECT, measure)
    if way == DIRECT:
        return None
    return _spread(value - direct[number] for number, value in values.items() if number in direct)


def verdicts(samples: Samples) -> Iterator[Verdict]:
    """On all targets, for LessLLM with its collector up."""
    for target in TARGETS:
        found = (
            figure(samples, LESSLLM, target.measure)
            if target.times is None
            else ratio(samples, LESSLLM, target.times, target.measure)
        )
        yield Verdict(target, found, None if found is None else found.median <= target.at_most)


def ratio(samples: Samples, way: str, other: str, measure: Measure) -> Spread | None:
    """How many times the other's it is."""
    values, others = (_by_round(samples, name, measure) for name in (way, other))
    return _spread(value / others[number] for number, value in values.items() if others.get(number))


def _by_round(samples: Samples, way: str, measure: Measure) -> dict[int, float]:
    found = {
        sample["round"]: _value(sample, measure.key)
        for sample in samples
        if (sample["way"], sample["workload"]) == (way, measure.workload)
    }
    return {number: value for number, value in found.items() if value is not None}


def _value(sample: Mapping[str, Any], key: str) -> float | None:
    if key == "calls_per_s":
        return float(sample["calls"] / sample["wall_s"])
    value = sample[key]
    return None if value is None else float(value)


def _spread(values: Iterable[float]) -> Spread | None:
    found = list(values)
    return Spread(median(found), min(found), max(found)) if found else None
