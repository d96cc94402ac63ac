"""Which of several ways is tried next, by what earlier tries told of their proxies. No I/O, one thread.

A proxy that failed is set aside: calls take the other ways first, so that they don't pay for it. When its
time has come exactly one call tries it (half-open) while the others still go elsewhere; what comes of that
sets it back, or aside for twice as long. To be set aside is to be tried last, not never: no call fails
while a way of it is untried, so a blip of the only proxy is no outage.

A failure counts only against what is still believed: a hundred calls that fail together are one failure,
and one that began before a proxy came back says nothing about it now.
"""

import math
import random
import time
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

FIRST_BACKOFF_S = 1.0
LAST_BACKOFF_S = 60.0
JITTER = 0.2  # more or less, so that gateways don't all come back at once


class Health:
    """What is known of one proxy, shared by all that goes through it.

    A try gets a ticket, which its report brings back: that of a try that began before things changed is void.
    """

    def __init__(
        self, on_change: Callable[[bool], None] = lambda _: None, draw: Callable[[], float] = random.random
    ) -> None:
        self._on_change = on_change  # gets `is_up`
        self._draw = draw
        self._backoff_s = 0.0  # 0: it is up
        self._is_probed = False
        self._valid = 0  # the ticket
        self.due_s = -math.inf  # when it is to be tried again, on the clock of `now_s`

    @property
    def is_up(self) -> bool:
        """False: it is set aside."""
        return self._backoff_s == 0

    def begin(self, now_s: float) -> int | None:
        """A ticket if it may be tried now; None while it is set aside, or another call is trying it."""
        if not self.is_up:
            if self._is_probed or now_s < self.due_s:
                return None
            self._is_probed = True
            self._valid += 1
        return self._valid

    def succeeded(self) -> None:
        """It did its part, whatever came of the call behind it."""
        if not self.is_up:
            self._believe(0.0, -math.inf)

    def failed(self, ticket: int, now_s: float) -> None:
        """It can't be reached, did not answer in time, or not as a proxy should."""
        if ticket == self._valid:
            backoff_s = min(max(FIRST_BACKOFF_S, 2 * self._backoff_s), LAST_BACKOFF_S)
            self._believe(backoff_s, now_s + backoff_s * (1 + JITTER * (2 * self._draw() - 1)))

    def abandoned(self, ticket: int) -> None:
        """The try was cancelled, or failed for another reason. If it was the probe, the next try is."""
        if ticket == self._valid:
            self._is_probed = False

    def _believe(self, backoff_s: float, due_s: float) -> None:
        was_up = self.is_up
        self._backoff_s, self.due_s, self._is_probed = backoff_s, due_s, False
        self._valid += 1
        if self.is_up != was_up:
            self._on_change(self.is_up)


class HasHealth(Protocol):
    """A way. That of its proxy; None if it goes direct, which is never set aside."""

    @property
    def health(self) -> Health | None: ...


WayT = TypeVar("WayT", bound=HasHealth)


class Round(Generic[WayT]):
    """One call's passage through its ways, each of them at most once.

    A way is chosen, and a probe begun, when it is asked for and not before. The first report on a way
    counts, so that `abandoned` may stand in a `finally`.
    """

    def __init__(self, ways: Sequence[WayT], clock: Callable[[], float] = time.monotonic) -> None:
        self._untried = list(ways)
        self._clock = clock
        self._health: Health | None = None  # of the way that is being tried
        self._ticket: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether every way was tried."""
        return not self._untried

    def next(self) -> WayT | None:
        """The next way; None after the last. What was not reported of the one before is abandoned."""
        self.abandoned()
        if self.is_over:
            return None
        index, self._ticket = self._choose(self._clock())
        way = self._untried.pop(index)
        self._health = way.health
        return way

    def succeeded(self) -> None:
        """The proxy did its part."""
        health, _ = self._end()
        if health is not None:
            health.succeeded()

    def failed(self) -> None:
        """The proxy did not."""
        health, ticket = self._end()
        if health is not None and ticket is not None:
            health.failed(ticket, self._clock())

    def abandoned(self) -> None:
        """Nothing is known of the proxy that was not known before."""
        health, ticket = self._end()
        if health is not None and ticket is not None:
            health.abandoned(ticket)

    def _choose(self, now_s: float) -> tuple[int, int | None]:
        """Which of the untried, and its ticket. None have those that go direct, and those set aside."""
        for index, way in enumerate(self._untried):
            ticket = way.health.begin(now_s) if way.health else None
            if ticket is not None or way.health is None:
                return index, ticket
        due_s = [way.health.due_s if way.health else -math.inf for way in self._untried]
        return due_s.index(min(due_s)), None

    def _end(self) -> tuple[Health | None, int | None]:
        ended = self._health, self._ticket
        self._health = self._ticket = None
        return ended
