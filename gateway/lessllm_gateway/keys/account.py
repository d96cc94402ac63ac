"""What a client key has spent: what the collector said last, and what it can't know yet. Pure.

Calls whose cost is not known, since they are under way, not acknowledged or have no price, are assumed to
cost the mean of the key's calls.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from lessllm_shared.config.sections import Budget
from lessllm_shared.wire import Spent

ASSUMED_USD, ASSUMED_TOKENS = 0.01, 1000.0  # of a call, before any of the key's is known

_LENGTHS = {"day": len("2026-11-26"), "month": len("2026-11")}


@dataclass(frozen=True, slots=True)
class Use:
    """Of a budget: what is known, and with what is assumed besides."""

    limit: float
    known: float
    likely: float


class Account:
    """Of one client key."""

    def __init__(self) -> None:
        self.under_way = 0  # calls
        self.mean_usd, self.mean_tokens = ASSUMED_USD, ASSUMED_TOKENS
        self._unacknowledged: dict[str, int] = {}  # calls that ended, by the day they began
        self._known: dict[str, Spent] = {}  # by period

    @property
    def is_settled(self) -> bool:
        """Nothing is left that only this account knows."""
        return not self.under_way and not self._unacknowledged

    def add(self, day: str, calls: int) -> None:
        """Calls that began on that day ended, or (negative) are acknowledged."""
        left = self._unacknowledged.get(day, 0) + calls
        if left:
            self._unacknowledged[day] = left
        else:
            del self._unacknowledged[day]

    def learn(self, spent: Iterable[Spent]) -> int | None:
        """What is known now. Returns the tokens spent since the last time; None: this is the first."""
        before, self._known = self._known, {one.period: one for one in spent}
        month = next((one for name, one in self._known.items() if len(name) == _LENGTHS["month"]), None)
        if month is None:
            return None
        priced_calls = month.calls - month.unpriced_calls
        if priced_calls > 0:
            self.mean_usd = month.usd / priced_calls
        if month.calls:
            self.mean_tokens = month.tokens / month.calls
        if not before:
            return None
        earlier = before.get(month.period)
        return month.tokens - (earlier.tokens if earlier else 0)

    def use(self, budget: Budget, day: str) -> Use:
        """How much of a budget is used on that day."""
        period = day[: _LENGTHS[budget.per]]
        spent = self._known.get(period) or Spent("", period)
        calls = self.under_way + sum(n for at, n in self._unacknowledged.items() if at.startswith(period))
        if budget.usd is not None:
            known = spent.usd + spent.unpriced_calls * self.mean_usd
            return Use(budget.usd, known, known + calls * self.mean_usd)
        assert budget.tokens is not None  # noqa: S101 - the one or the other
        return Use(budget.tokens, spent.tokens, spent.tokens + calls * self.mean_tokens)


def day_of(unix_s: float) -> str:
    """Such as 2026-11-26, UTC."""
    return datetime.fromtimestamp(unix_s, UTC).date().isoformat()


def end_of(per: Literal["day", "month"], unix_s: float) -> datetime:
    """When the day or month ends that this moment is in."""
    now = datetime.fromtimestamp(unix_s, UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if per == "day":
        return midnight + timedelta(days=1)
    return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
