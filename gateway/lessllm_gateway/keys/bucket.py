"""A limit per minute: a bucket that holds a minute's worth and is filled evenly. Pure; time is a parameter.

A burst may empty it at once; then calls go on as it fills. What was taken turns out to be more only later, so
it may be in debt: by a minute's worth at most, so that nobody waits longer than that for the first drop.
"""


class Bucket:
    """Times are of a monotonic clock, and never go back."""

    def __init__(self, per_minute: int, now_s: float) -> None:
        self.per_minute = per_minute
        self._level = float(per_minute)
        self._at_s = now_s

    def wait_s(self, now_s: float) -> float:
        """How long until there is one in it; 0: now."""
        return max(0.0, (1 - self._filled(now_s)) * 60 / self.per_minute)

    def take(self, amount: float, now_s: float) -> None:
        """Whether or not there are so many in it. A negative amount is given back."""
        level = self._filled(now_s) - amount
        self._level = max(-float(self.per_minute), min(float(self.per_minute), level))

    def _filled(self, now_s: float) -> float:
        level = self._level + (now_s - self._at_s) * self.per_minute / 60
        self._level, self._at_s = min(float(self.per_minute), level), now_s
        return self._level
