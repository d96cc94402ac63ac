"""Samples to figures: what calls take while the collector is up, and how many times that otherwise. Pure.

A figure is the median of the rounds. A ratio is the median of the rounds' ratios to "up" in the same round,
with the lowest and the highest; that of "up again" is what two looks at the same thing differ by.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median, quantiles

from outage_run import CASES, STATES, Sample, Spool, State

PROBE = "a direct call meanwhile"

Percentile = Callable[[Sequence[float]], float]
Read = Callable[[Sequence[Sample]], float]  # one value of samples that were taken for the same


@dataclass(frozen=True, slots=True)
class Ratio:
    """To "up"."""

    median: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing, for one way to spool."""

    of: str
    spool: Spool
    direct: float | None  # the same without a gateway
    up: float
    ratios: dict[State, Ratio]  # of the other states


def p50(values: Sequence[float]) -> float:
    """The median."""
    return median(values)


def p99(values: Sequence[float]) -> float:
    """One in a hundred is above it; of fewer than that, the highest."""
    return quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else values[0]


def times(samples: Sequence[Sample], percentile: Percentile) -> Iterator[Figure]:
    """In milliseconds: each case, the first byte of streams, direct calls meanwhile."""

    def read(values: Callable[[Sample], list[float]]) -> Read:
        return lambda same: percentile(list(chain.from_iterable(map(values, same)))) * 1e3

    for case in CASES:
        of_case = [sample for sample in samples if sample.case == case.name]
        if case.is_stream:
            yield from _figures(f"{case.name}: first byte", of_case, read(lambda sample: sample.firsts_s))
        yield from _figures(case.name, of_case, read(lambda sample: sample.latencies_s))
    through = [sample for sample in samples if sample.state != "direct"]
    yield from _figures(PROBE, through, read(lambda sample: sample.probes_s))


def cpu(samples: Sequence[Sample]) -> Iterator[Figure]:
    """CPU time of the gateway, in microseconds a call."""
    for case in CASES:
        of_case = [s for s in samples if s.case == case.name and s.state != "direct"]
        yield from _figures(case.name, of_case, lambda same: sum(s.cpu_s / s.calls for s in same) * 1e6)


def _figures(of: str, samples: Sequence[Sample], read: Read) -> Iterator[Figure]:
    directs = [read(same) for same in _by_round([sample for sample in samples if sample.state == "direct"])]
    for spool in dict.fromkeys(sample.spool for sample in samples):
        found = {
            state: [
                read(same) for same in _by_round([s for s in samples if (s.spool, s.state) == (spool, state)])
            ]
            for state in STATES
        }
        ups = found["up"]
        ratios: dict[State, Ratio] = {
            state: _ratio([value / up for value, up in zip(found[state], ups, strict=True)])
            for state in STATES
            if state != "up"
        }
        yield Figure(of, spool, median(directs) if directs else None, median(ups), ratios)


def _by_round(samples: Sequence[Sample]) -> list[list[Sample]]:
    rounds: dict[int, list[Sample]] = {}
    for sample in samples:
        rounds.setdefault(sample.round, []).append(sample)
    return list(rounds.values())


def _ratio(ratios: Sequence[float]) -> Ratio:
    return Ratio(median(ratios), min(ratios), max(ratios))
