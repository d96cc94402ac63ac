"""What charts say themselves, in the reader's language."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """Translated."""

    nothing: str  # there is no data to draw
    data: str  # opens the table below a chart
    time: str  # head of a column of moments
