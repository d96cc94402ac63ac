"""Which records of each gateway process are here, which are committed, and what to answer. Sans I/O.

A frame is taken if it continues what was taken before; what it repeats is cut off. Only commits are
acknowledged, so whatever dies in between is sent again: every number becomes exactly one row.
"""

from collections.abc import Mapping

from lessllm_shared.wire import Ack, Expect


class Ledger:
    """Per gateway process: the highest number taken, and the highest committed."""

    def __init__(self, committed: Mapping[str, int]) -> None:
        self._committed = dict(committed)
        self._taken = dict(committed)

    def repeated(self, gateway_id: str, first_seq: int, last_seq: int) -> int | Expect:
        """How many numbers at the frame's beginning were taken before; Expect: some before it are missing."""
        taken = self._taken.get(gateway_id, 0)
        if first_seq > taken + 1:
            return Expect(gateway_id, self._committed.get(gateway_id, 0) + 1)
        return min(taken, last_seq) - first_seq + 1

    def take(self, gateway_id: str, last_seq: int) -> None:
        """Everything up to `last_seq` is on its way into the database."""
        self._taken[gateway_id] = max(last_seq, self._taken.get(gateway_id, 0))

    def commit(self, gateway_id: str, last_seq: int) -> Ack:
        """Everything up to `last_seq` is in the database."""
        self._committed[gateway_id] = max(last_seq, self._committed.get(gateway_id, 0))
        return self.state(gateway_id)

    def expected(self, gateway_id: str) -> Expect | None:
        """What is wanted next; None while something of it is on its way into the database."""
        committed = self._committed.get(gateway_id, 0)
        return Expect(gateway_id, committed + 1) if self._taken.get(gateway_id, 0) == committed else None

    def state(self, gateway_id: str) -> Ack:
        """What is committed."""
        return Ack(gateway_id, self._committed.get(gateway_id, 0))
