"""Where figures lie along an axis, and which of them are written there. Unknown ones are None."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_LARGEST = 1e100  # what is beyond is no figure; sums and squares of what is not are finite
_SMALLEST = 1e-100  # a span below it can't be divided


@dataclass(frozen=True)
class Scale:
    """From `low` to `high`, evenly or by powers. `ticks` are figures worth a line."""

    low: float
    high: float
    is_log: bool
    ticks: Sequence[float]

    def at(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        low, high, place = self.low, self.high, min(max(value, self.low), self.high)
        if self.is_log:
            low, high, place = math.log(low), math.log(high), math.log(place)
        return (place - low) / (high - low)


def linear(values: Iterable[float | None], about: int = 4) -> Scale:
    """With 0 on it, up to a round figure."""
    known = [0.0, *finite(values)]
    low, high = min(known), max(known)
    if high - low < _SMALLEST:
        high = 1.0
    step = _round_step((high - low) / about)
    first, last = math.floor(low / step), math.ceil(high / step)
    return Scale(first * step, last * step, is_log=False, ticks=[n * step for n in range(first, last + 1)])


def logarithmic(values: Iterable[float | None]) -> Scale:
    """Of positive figures: between round ones."""
    known = [value for value in finite(values) if value > _SMALLEST] or [1.0]
    low, high = _floor(min(known)), _ceil(max(known))
    if low >= high:
        low, high = low / 2, high * 2
    decades = math.log10(high) - math.log10(low)
    steps = (1, 2, 5) if decades <= 2 else (1,)
    stride = max(1, math.ceil(decades / 6))
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1, stride)
    ticks = [float(f"{step}e{exponent}") for exponent in exponents for step in steps]
    return Scale(low, high, is_log=True, ticks=[tick for tick in ticks if low <= tick <= high])


def moments(start: datetime, end: datetime, about: int = 6) -> Iterator[tuple[float, str]]:
    """Round times between both: where (0 to 1), and how they are written. In UTC."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    span = end - start
    step = next((step for step in _STEPS if span / step <= about), max(_STEPS[-1], span / about))
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    number = math.ceil((start - midnight) / step)
    while span and number * step <= end - midnight:
        moment = midnight + number * step
        yield (moment - start) / span, _written(moment, step)
        number += 1


def even(values: Iterable[float]) -> Scale:
    """Just from the least to the largest, 0 among them."""
    low, high = min(values := [0.0, *values]), max(values)
    return Scale(low, high if high - low > _SMALLEST else low + 1.0, is_log=False, ticks=())


def finite(values: Iterable[float | None]) -> list[float]:
    """Those that are known and can be drawn."""
    return [value for value in values if value is not None and abs(value) < _LARGEST]


def _written(moment: datetime, step: timedelta) -> str:
    if step >= timedelta(days=1) or moment == moment.replace(hour=0, minute=0, second=0):
        return f"{moment:%m-%d}" if step < timedelta(days=60) else f"{moment:%Y-%m}"
    return f"{moment:%H:%M}" if step >= timedelta(minutes=1) else f"{moment:%H:%M:%S}"


def _round_step(least: float) -> float:
    """1, 2 or 5 times a power of ten, at least as large."""
    power = 10.0 ** math.floor(math.log10(least))
    return next((power * factor for factor in (1, 2, 5) if power * factor >= least * (1 - 1e-9)), power * 10)


def _floor(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return max((f * power for f in (1, 2, 5) if f * power <= value), default=value)


def _ceil(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return next((f * power for f in (1, 2, 5, 10) if f * power >= value), value)


_STEPS = (
    *(timedelta(seconds=n) for n in (1, 5, 15, 30)),
    *(timedelta(minutes=n) for n in (1, 2, 5, 10, 15, 30)),
    *(timedelta(hours=n) for n in (1, 2, 3, 6, 12)),
    *(timedelta(days=n) for n in (1, 2, 7, 14, 30, 60, 90, 180, 365)),
)
