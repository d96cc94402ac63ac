"""What to do after a try at an upstream failed: another way, again, another model, or nothing. No I/O.

In goes what happened, out comes the next step or None: the client gets this failure. That nothing is tried
once the first byte went to the client is the caller's to hold; so are the ways themselves and the time.

Another way (nothing was processed) and another model (asked once each) cost nothing. Asking the same model
again does, from a budget that calls fill: however many fail, further tries stay a fraction of the calls, so
that they can't turn a provider's trouble into an outage.
"""

import email.utils
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from lessllm_shared.config.sections import Retries

FIRST_WAIT_S, LAST_WAIT_S = 0.5, 8.0  # these and the jitter as in OpenAI's and Anthropic's SDKs
JITTER = 0.25  # less, by up to
BUDGET = (
    100.0  # further tries, at most, that earlier calls have left: what a dying proxy held can break at once
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a try failed: before it was sent, by an answer, or else in between."""

    is_unsent: bool = False  # it failed while connecting: nothing can have been processed
    status: int | None = None
    retry_after_s: float | None = None
    should_retry: bool | None = None  # if it is known: the provider's own word, a mistake of configuration

    @property
    def is_broken(self) -> bool:
        """Sent, and no answer: nobody knows whether it was processed."""
        return not self.is_unsent and self.status is None


UNSENT = Outcome(is_unsent=True)
BROKEN = Outcome()


def answered(status: int, headers: Mapping[str, str], now_unix_s: float) -> Outcome:
    """The outcome of an answer that is a failure. Header names are in lower case, or case does not matter."""
    should_retry = {"true": True, "false": False}.get(headers.get("x-should-retry", ""))
    return Outcome(status=status, retry_after_s=retry_after_s(headers, now_unix_s), should_retry=should_retry)


def retry_after_s(headers: Mapping[str, str], now_unix_s: float) -> float | None:
    """How long the provider asks to wait, as the SDKs read it; None if it does not say, or says now."""
    wait_s = _number(headers.get("retry-after-ms")) / 1000
    value = headers.get("retry-after")
    if math.isnan(wait_s):
        wait_s = _number(value)
    if math.isnan(wait_s):
        wait_s = _date_unix_s(value) - now_unix_s
    return wait_s if wait_s > 0 else None


def _number(value: str | None) -> float:
    try:
        return float(value or "nan")
    except ValueError:
        return math.nan


def _date_unix_s(value: str | None) -> float:
    try:
        parsed = email.utils.parsedate_tz(value or "")
        return math.nan if parsed is None else float(email.utils.mktime_tz(parsed))
    except (ValueError, OverflowError, OSError):
        return math.nan


class RetryBudget:
    """How many further tries there may be, as a share of the calls."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._left = BUDGET if ratio > 0 else 0.0

    def deposit(self) -> None:
        """A call was made."""
        self._left = min(BUDGET, self._left + self._ratio)

    def withdraw(self) -> bool:
        """Pay for a further try. False: there must be none."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(frozen=True, slots=True)
class Policy:
    """Of one provider, for all calls to it."""

    retries: Retries
    budget: RetryBudget


class Action(Enum):
    """What comes next."""

    NEXT_WAY = auto()  # the same target by its next way
    AGAIN = auto()  # the same target, from its first way
    NEXT_TARGET = auto()


@dataclass(frozen=True, slots=True)
class Step:
    """The next try, after a wait."""

    action: Action
    wait_s: float = 0.0


class Tries:
    """Of one call at one target: a provider's model."""

    def __init__(
        self, policy: Policy, *, has_fallback: bool, draw: Callable[[], float] = random.random
    ) -> None:
        policy.budget.deposit()
        self._policy = policy
        self._has_fallback = has_fallback  # another target, if this one fails
        self._draw = draw
        self._further = 0  # tries, after the first

    def after(self, outcome: Outcome, *, way_left: bool, time_left_s: float) -> Step | None:
        """The next step. `way_left`: not every way to the target was tried in this round."""
        if outcome.is_unsent and way_left:
            return Step(Action.NEXT_WAY)
        wait_s = self._wait_s(outcome, time_left_s)
        if wait_s is not None and self._policy.budget.withdraw():
            self._further += 1
            return Step(Action.AGAIN, wait_s)
        if self._has_fallback and self._may_fall_back(outcome):
            return Step(Action.NEXT_TARGET)
        return None

    def _wait_s(self, outcome: Outcome, time_left_s: float) -> float | None:
        """How long to wait before the same target is asked again; None if it is not to be."""
        retries = self._policy.retries
        if self._further >= retries.attempts or not self._may_repeat(outcome):
            return None
        wait_s = outcome.retry_after_s
        if wait_s is None:
            backoff_s = min(FIRST_WAIT_S * 2**self._further, LAST_WAIT_S, retries.max_wait_s)
            wait_s = backoff_s * (1 - JITTER * self._draw())
        return wait_s if wait_s <= retries.max_wait_s and wait_s < time_left_s else None

    def _may_repeat(self, outcome: Outcome) -> bool:
        if outcome.is_broken:
            return self._policy.retries.resend
        if outcome.should_retry is not None:
            return outcome.should_retry
        return outcome.is_unsent or _is_passing(outcome.status)

    def _may_fall_back(self, outcome: Outcome) -> bool:
        if outcome.is_broken:
            return self._policy.retries.resend
        return outcome.is_unsent or _is_passing(outcome.status) or outcome.status in _OF_THE_PROVIDER


def _is_passing(status: int | None) -> bool:
    """Timeouts, conflicts, limits, overload and faults: the same request may well succeed later."""
    return status is not None and (status in {408, 409, 429} or status >= 500)


# The key, the account's credit, its rights, or the model: at another provider or model they are others. Any
# other 4xx blames the request itself. Another model would refuse it too or, worse, answer something else.
_OF_THE_PROVIDER = frozenset((401, 402, 403, 404))
