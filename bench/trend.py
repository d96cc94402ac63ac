"""Whether something grows: a line through points, its standard error, and a verdict. Pure.

Memory moves in steps, so that neighbours say nearly the same. The standard error is that of as many points as
they are worth, by how alike the distances of neighbours to the line are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import correlation, fmean, linear_regression
from typing import Literal

MIN_POINTS = 5

Point = tuple[float, float]
Verdict = Literal["flat", "grows", "not known"]


@dataclass(frozen=True, slots=True)
class Trend:
    """A line."""

    first: float  # its value at the first point
    last: float
    slope: float
    error: float  # its standard error

    def verdict(self, limit: float) -> Verdict:
        """Whether the slope is below the limit, all but certainly; or if not, whether there is one."""
        if self.slope + 2 * self.error < limit:
            return "flat"
        return "grows" if self.slope > 2 * self.error else "not known"


def trend(points: Sequence[Point]) -> Trend | None:
    """By least squares. None: too few points."""
    if len(points) < MIN_POINTS:
        return None
    xs, ys = [x for x, _ in points], [y for _, y in points]
    line = linear_regression(xs, ys)
    off = [y - line.slope * x - line.intercept for x, y in points]
    alike = _alike(off)
    worth = max(3.0, len(xs) * (1 - alike) / (1 + alike))
    middle = fmean(xs)
    spread = sum((x - middle) ** 2 for x in xs)
    variance = sum(distance**2 for distance in off) / (len(xs) - 2)
    return Trend(
        line.intercept + line.slope * xs[0],
        line.intercept + line.slope * xs[-1],
        line.slope,
        math.sqrt(variance / spread * len(xs) / worth),
    )


def _alike(off: Sequence[float]) -> float:
    """How alike neighbours' distances to the line are, from 0 to nearly 1."""
    before, after = off[:-1], off[1:]
    if len(set(before)) < 2 or len(set(after)) < 2:
        return 0.0
    return min(0.9, max(0.0, correlation(before, after)))
