"""What the services hold at the rests of a soak's second half: a line through each, and a verdict. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from soak_run import Rest, Soak
from trend import Trend, Verdict, trend

# A call that leaves something behind leaves more: the text of its id alone is 85 bytes, its record kilobytes.
MEMORY_A_CALL_MB = 64 / 2**20
NUMBER_A_CALL = 1 / 1000


@dataclass(frozen=True, slots=True)
class Holding:
    """One figure."""

    of: str
    what: str
    is_memory: bool  # in MB; else a number of things
    trend: Trend | None  # by hours; None: there are too few samples
    calls_an_hour: float
    limit_a_call: float | None  # None: to grow is what it is for

    @property
    def a_call(self) -> float | None:
        """What each call adds."""
        return None if self.trend is None else self.trend.slope / self.calls_an_hour

    @property
    def verdict(self) -> Verdict | Literal["", "not known"]:
        """Empty where there is none."""
        if self.limit_a_call is None:
            return ""
        if self.trend is None:
            return "not known"
        return self.trend.verdict(self.limit_a_call * self.calls_an_hour)


def holdings(soak: Soak) -> Iterator[Holding]:
    """All of them."""
    rests = [rest for rest in soak.rests if soak.plan.is_late(rest.spell)]
    calls_an_hour = (rests[-1].calls - rests[0].calls) / (rests[-1].at_s - rests[0].at_s) * 3600
    for of, what, is_memory, read, limit in _FIGURES:
        points = [(rest.at_s / 3600, read(rest)) for rest in rests]
        yield Holding(of, what, is_memory, trend(points), calls_an_hour, limit)


def _beside_duckdb_mb(rest: Rest) -> float:
    return rest.collector.rss_mb - rest.cache_mb - rest.work_mb


_FIGURES: Sequence[tuple[str, str, bool, Callable[[Rest], float], float | None]] = (
    ("gateway", "memory", True, lambda rest: rest.gateway.rss_mb, MEMORY_A_CALL_MB),
    ("gateway", "open files", False, lambda rest: rest.gateway.files, NUMBER_A_CALL),
    ("gateway", "threads", False, lambda rest: rest.gateway.threads, NUMBER_A_CALL),
    ("collector", "memory but DuckDB's", True, _beside_duckdb_mb, MEMORY_A_CALL_MB),
    ("collector", "open files", False, lambda rest: rest.collector.files, NUMBER_A_CALL),
    ("collector", "threads", False, lambda rest: rest.collector.threads, NUMBER_A_CALL),
    ("DuckDB", "cache in memory", True, lambda rest: rest.cache_mb, None),
    ("DuckDB", "work in memory", True, lambda rest: rest.work_mb, MEMORY_A_CALL_MB),
    ("DuckDB", "files on disk", True, lambda rest: rest.database_mb, None),
)
