"""A call's own time: nanoseconds since t0, the moment at which its headers were parsed."""

import time


class Clock:
    """Started when a call begins."""

    __slots__ = ("t0",)

    def __init__(self) -> None:
        self.t0 = time.monotonic_ns()

    def now(self) -> int:
        """Nanoseconds since t0."""
        return time.monotonic_ns() - self.t0

    def at(self, mark: int | None) -> int | None:
        """A mark of `time.monotonic_ns`, since t0."""
        return None if mark is None else mark - self.t0
