"""What client keys have spent: rows in, the table `internal.spent` and its sums by day and month out.

A call is booked on the UTC day it began, in the transaction that commits its row: every call once, whatever
is sent again. A call without a price is counted, so that whoever has a budget can assume something of it.
"""

import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
from lessllm_shared.wire import Spent

MOST_TOKENS = 10**9  # of one call: whatever a provider reports, sums stay sums

_DAY_US = 86_400 * 10**6
_DAYS = (date.max - date(1970, 1, 1)).days
_UNPRICED = frozenset(("unknown_model", "unknown_terms"))


@dataclass(slots=True)
class Sums:
    """Over calls."""

    calls: int = 0
    usd: float = 0.0
    tokens: int = 0
    unpriced_calls: int = 0

    def add(self, other: "Sums", times: int = 1) -> None:
        self.calls += times * other.calls
        self.usd += times * other.usd
        self.tokens += times * other.tokens
        self.unpriced_calls += times * other.unpriced_calls


Booking = dict[tuple[str, date], Sums]  # by client key and day


def booking(rows: Iterable[Mapping[str, Any]], minus: Iterable[Mapping[str, Any]] = ()) -> Booking:
    """What these rows add to the books; `minus`: the same calls as they were booked before."""
    found: Booking = {}
    for times, some in ((1, rows), (-1, minus)):
        for row in some:
            if (key := row["client_key"]) is None or (sums := _sums(row)) is None:
                continue
            days = row["timestamp"] // _DAY_US
            if 0 <= days < _DAYS:
                found.setdefault((key, date(1970, 1, 1) + timedelta(days)), Sums()).add(sums, times)
    return found


def _sums(row: Mapping[str, Any]) -> Sums | None:
    """None: nothing of it is known to cost anything."""
    usd, is_unpriced = row["estimated_cost_usd"], row["price_source"] in _UNPRICED
    tokens = row["actual_total_tokens"]
    if tokens is None:
        kinds = ("prompt", "completion")
        tokens = sum(row[f"actual_{kind}_tokens"] or row[f"estimated_{kind}_tokens"] or 0 for kind in kinds)
    if usd is None and not is_unpriced and not tokens:
        return None
    has_cost = usd is not None and math.isfinite(usd)
    return Sums(1, usd if has_cost else 0.0, min(max(tokens, 0), MOST_TOKENS), int(is_unpriced))


def book(connection: duckdb.DuckDBPyConnection, booked: Booking) -> None:
    """Into the table, within the transaction of the rows."""
    if booked:
        connection.executemany(
            "INSERT INTO internal.spent VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (client_key, day) DO UPDATE SET"
            " calls = calls + excluded.calls, usd = usd + excluded.usd, tokens = tokens + excluded.tokens,"
            " unpriced_calls = unpriced_calls + excluded.unpriced_calls",
            [
                [key, day, sums.calls, sums.usd, sums.tokens, sums.unpriced_calls]
                for (key, day), sums in booked.items()
            ],
        )


def read(connection: duckdb.DuckDBPyConnection) -> Booking:
    """What the table holds of the last two months."""
    found = connection.execute(
        "SELECT client_key, day, calls, usd, tokens, unpriced_calls FROM internal.spent WHERE day >= ?",
        [first_of_last_month(datetime.now(UTC).date())],
    ).fetchall()
    return {(key, day): Sums(*sums) for key, day, *sums in found}


def first_of_last_month(today: date) -> date:
    """What is before that is nobody's budget any more, whatever the time zone or the clock."""
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1)


class Spending:
    """The same in memory, by period. From any thread."""

    def __init__(
        self, booked: Booking | None = None, today: Callable[[], date] = lambda: datetime.now(UTC).date()
    ) -> None:
        self._today = today
        self._changing = threading.Lock()
        self.load(booked or {})

    def load(self, booked: Booking) -> None:
        """The books are these."""
        with self._changing:
            self._sums: dict[str, dict[str, Sums]] = {}
            self._since = date.min
        self.add(booked)

    def add(self, booked: Booking) -> None:
        """The books have changed by that."""
        with self._changing:
            self._forget()
            for (key, day), sums in booked.items():
                if day < self._since:
                    continue
                of_key = self._sums.setdefault(key, {})
                for period in _periods(day):
                    of_key.setdefault(period, Sums()).add(sums)

    def of(self, keys: Iterable[str]) -> list[Spent]:
        """Of each key: this day's and this month's."""
        periods = _periods(self._today())
        with self._changing:
            return [
                Spent(key, period, sums.calls, sums.usd, sums.tokens, sums.unpriced_calls)
                for key in keys
                for period in periods
                for sums in (self._sums.get(key, {}).get(period) or Sums(),)
            ]

    def _forget(self) -> None:
        since = first_of_last_month(self._today())
        if since == self._since:
            return
        self._since = since
        for of_key in self._sums.values():
            for period in [name for name in of_key if name < since.isoformat()[: len(name)]]:
                del of_key[period]


def _periods(day: date) -> tuple[str, str]:
    return day.isoformat(), day.isoformat()[:7]
