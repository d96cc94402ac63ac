"""A call's own time: nanoseconds since t0, the moment at which its headers were parsed."""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Clock:
    """Started when a call begins."""

    t0: int = field(default_factory=time.monotonic_ns)

    def now(self) -> int:
        """Nanoseconds since t0."""
        return time.monotonic_ns() - self.t0

    def at(self, mark: int | None) -> int | None:
        """A mark of `time.monotonic_ns`, since t0."""
        return None if mark is None else mark - self.t0
