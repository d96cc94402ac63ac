"""Names of a result's columns."""

from collections.abc import Sequence


def distinct(names: Sequence[str]) -> list[str]:
    """SQL may name two columns alike; a dict can't, nor a JSON object. The second becomes name_2."""
    taken = set(names)
    used: set[str] = set()
    result = []
    for name in names:
        own, number = name, 1
        while own in used or (number > 1 and own in taken):
            number += 1
            own = f"{name}_{number}"
        used.add(own)
        result.append(own)
    return result
