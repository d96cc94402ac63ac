"""How pages write what `figures` does not: moments in UTC, trends. None is unknown: a dash, never 0."""

from datetime import UTC, datetime, timedelta

from lessllm_shared.figures import NULL

_SPANS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


Moment = datetime | str | int | None  # int: microseconds since 1970


def moment(when: Moment) -> str:
    """2026-11-26 05:12:07, in UTC."""
    return _written(when, "%Y-%m-%d %H:%M:%S")


def minute(when: Moment) -> str:
    """2026-11-26 05:12, in UTC."""
    return _written(when, "%Y-%m-%d %H:%M")


def machine(when: Moment) -> str:
    """2026-11-26T05:12, as HTML's inputs and <time> have it."""
    return _written(when, "%Y-%m-%dT%H:%M")


def trend(now: float | None, before: float | None) -> float | None:
    """The change as a share of what was before. None: unknown, or there was nothing to compare with."""
    if now is None or not before:
        return None
    return (now - before) / abs(before)


def change(share: float | None) -> str:
    """+12 %, of a trend."""
    if share is None:
        return NULL
    return f"{share:+.0%}" if abs(share) < 10 else f"{share + 1:,.0f}-fold"


def span(length: timedelta | None) -> str:
    """3 d, 2 h, 5 min, 10 s: the largest unit of which there are at least two, or a whole one."""
    if length is None:
        return NULL
    seconds = length.total_seconds()
    for unit, unit_s in _SPANS:
        if seconds >= 2 * unit_s or seconds == unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"


def _written(when: Moment, pattern: str) -> str:
    if when is None:
        return NULL
    if isinstance(when, int):
        when = datetime.fromtimestamp(when / 1e6, UTC)
    moment = datetime.fromisoformat(when) if isinstance(when, str) else when
    return moment.astimezone(UTC).strftime(pattern)


def large(number: float | None) -> str:
    """12.3 M, 456 K: three digits are enough to see how much it is."""
    if number is None:
        return NULL
    for unit, size in (("G", 1e9), ("M", 1e6), ("K", 1e4)):
        if abs(number) >= size:
            scaled = number / (1e3 if unit == "K" else size)
            return f"{scaled:,.{0 if scaled >= 100 else 1}f} {unit}"
    return f"{number:,.0f}"
