"""How likely an entry is still there at an age, where providers don't say exactly: learnt from their figures.

For each rule, TTL and age, both in powers of two of seconds. It begins with two observations of what the
rule says.
"""

_PRIOR = 2
_HALF = 0.5


class Ages:
    """Counts of hits and tries, by rule, TTL and age."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, int, int], tuple[int, int]] = {}

    def is_likely(self, rule: str, age_s: float, ttl_s: float) -> bool:
        """Whether an entry of that age is more likely there than not."""
        hits, tries = self.counts.get((rule, _bucket(ttl_s), _bucket(age_s)), (0, 0))
        expected = _PRIOR if age_s < ttl_s else 0
        return (hits + expected) / (tries + _PRIOR) >= _HALF

    def learn(self, rule: str, age_s: float, ttl_s: float, *, hit: bool) -> None:
        """An entry of that age was there, or was not."""
        key = (rule, _bucket(ttl_s), _bucket(age_s))
        hits, tries = self.counts.get(key, (0, 0))
        self.counts[key] = (hits + hit, tries + 1)


def _bucket(time_s: float) -> int:
    return int(max(0.0, time_s)).bit_length()
