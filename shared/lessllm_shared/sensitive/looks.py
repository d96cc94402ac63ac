"""How many places of a body are looked at closer: each takes time, and who sends it chooses how many."""

MAX_LOOKS = 200_000  # 0.5 s; a megabyte of log lines has 50,000


class Looks:
    """What is left of them."""

    def __init__(self, left: int = MAX_LOOKS) -> None:
        self._left = left

    def take(self) -> bool:
        """One more. False: there are none left."""
        self._left -= 1
        return self._left >= 0
