"""For what anybody can make a service say any number of times."""

import math
import time

EVERY_S = 60.0


class NowAndThen:
    """Whether to say something: of each kind at most once in so long."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._said_s: dict[str, float] = {}

    def __call__(self, kind: str) -> bool:
        """True: say it. The kinds are few."""
        now_s = time.monotonic()
        if now_s - self._said_s.get(kind, -math.inf) < self._every_s:
            return False
        self._said_s[kind] = now_s
        return True
