"""Names from outside that become labels of metrics: a bounded number, for each is time series that stay.

Clients choose the names of models, and providers those of errors. A name becomes a label once there is
reason to believe in it, while there is room; all others are one.
"""

NONE = "none"  # there is no name
OTHER = "other"


class Names:
    """The first so many names. For one thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def label(self, name: str | None, *, is_believed: bool = True) -> str:
        """The name itself, or what it is counted as."""
        if name is None:
            return NONE
        if name in self._known:
            return name
        if is_believed and len(self._known) < self._limit:
            self._known.add(name)
            return name
        return OTHER
