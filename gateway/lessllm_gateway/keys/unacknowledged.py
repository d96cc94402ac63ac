"""Which calls of which key wait for their acknowledgement, by the numbers of their records. Pure.

Told one by one while they are few; of many, as in a long absence of the collector, a thousand at a time: the
memory that a day of them takes stays small, and what is acknowledged is taken off a little late.
"""

from collections import deque
from dataclasses import dataclass, field

from lessllm_gateway.keys.account import Account

EXACT = 10_000
TOGETHER = 1_000


@dataclass(slots=True)
class _Part:
    last_number: int
    records: int = 0
    # By account and day: calls, and the tokens they were assumed to be
    sums: dict[tuple[Account, str], tuple[int, float]] = field(default_factory=dict)


class Unacknowledged:
    """In the order of numbers."""

    def __init__(self) -> None:
        self._parts: deque[_Part] = deque()

    def add(self, number: int, account: Account, day: str, tokens: float) -> None:
        """The call's record got this number."""
        account.add(day, 1)
        last = self._parts[-1] if len(self._parts) >= EXACT else None
        if last is None or last.records == TOGETHER:
            last = _Part(number)
            self._parts.append(last)
        last.last_number = number
        last.records += 1
        calls, sum_tokens = last.sums.get((account, day), (0, 0.0))
        last.sums[account, day] = (calls + 1, sum_tokens + tokens)

    def acknowledge(self, committed: int) -> dict[Account, float]:
        """Everything up to this number is in the database. Returns the tokens that were assumed of it."""
        assumed: dict[Account, float] = {}
        while self._parts and self._parts[0].last_number <= committed:
            for (account, day), (calls, tokens) in self._parts.popleft().sums.items():
                account.add(day, -calls)
                assumed[account] = assumed.get(account, 0.0) + tokens
        return assumed
