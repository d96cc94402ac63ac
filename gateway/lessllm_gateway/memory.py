"""How many bytes a gateway process may hold: requests under way, answers, records that wait.

Bytes are counted before they are kept. Nothing waits for room: who gets none is told so, and cuts,
counts or refuses. Sizes are those of the bytes themselves; copies made in passing are not counted.
"""

from lessllm_gateway.metrics import BODIES_CUT


class Budget:
    """One limit for all that is held for one purpose."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0

    def take(self, size_bytes: int) -> bool:
        """False: there is no room for that many, and none are taken."""
        if self.used_bytes + size_bytes > self.limit_bytes:
            return False
        self.used_bytes += size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        """They are held no longer."""
        self.used_bytes -= size_bytes


class Lease:
    """What one holder has taken from a budget, given back as a whole."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held_bytes = 0

    def take(self, size_bytes: int) -> bool:
        """As `Budget.take`."""
        if not self._budget.take(size_bytes):
            return False
        self._held_bytes += size_bytes
        return True

    def close(self) -> None:
        """Give back what was taken."""
        self._budget.give_back(self._held_bytes)
        self._held_bytes = 0


class Tape:
    """The bytes of one body for the record: from its beginning, as far as limit and budget allow."""

    def __init__(self, limit_bytes: int, budget: Budget) -> None:
        self.size_bytes = 0  # of the body, kept or not
        self._room_bytes = limit_bytes
        self._lease = Lease(budget)
        self._parts: list[bytes] = []

    def add(self, data: bytes) -> None:
        """The body goes on."""
        self.size_bytes += len(data)
        if self._room_bytes <= 0:
            return
        part = data if len(data) <= self._room_bytes else data[: self._room_bytes]
        if self._lease.take(len(part)):
            self._parts.append(part)
            self._room_bytes -= len(part)
        else:
            self._room_bytes = 0
            BODIES_CUT.inc()

    def finish(self) -> bytes:
        """What was kept. The tape holds nothing any more."""
        kept = b"".join(self._parts)
        self._parts = []
        self._room_bytes = 0
        self._lease.close()
        return kept
