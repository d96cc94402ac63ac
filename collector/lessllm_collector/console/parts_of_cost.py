"""What a call's cost is made of: a row in, its parts with tokens, price and cost out.

Only what the row holds is multiplied: prices as they were for this call. Unknown stays unknown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Part:
    """A line. `name` is a message's key."""

    name: str
    tokens: int | None
    usd_per_mtok: float | None
    usd: float | None


def parts(row: Mapping[str, Any]) -> Sequence[Part]:
    """Those of which there are tokens, or might be."""
    prompt = _first(row["actual_prompt_tokens"], row["estimated_prompt_tokens"])
    output = _first(row["actual_completion_tokens"], row["estimated_completion_tokens"])
    read, written = row["actual_cached_tokens"], row["actual_cache_write_tokens"]
    hour = row["actual_cache_write_1h_tokens"]
    fresh = None if prompt is None else max(0, prompt - (read or 0) - (written or 0))
    lines = [
        _part("fresh", fresh, row["input_usd_per_mtok"]),
        _part("read", read, row["cache_read_usd_per_mtok"]),
        _part("write", None if written is None else written - (hour or 0), row["cache_write_usd_per_mtok"]),
        _part("write_1h", hour, row["cache_write_1h_usd_per_mtok"]),
        _part("output", output, row["output_usd_per_mtok"]),
    ]
    shown = [line for line in lines if line.tokens or line.name in {"fresh", "output"}]
    return [*shown, *([Part("fees", None, None, row["fees_usd"])] if row["fees_usd"] else [])]


def _part(name: str, tokens: int | None, usd_per_mtok: float | None) -> Part:
    usd = None if tokens is None or usd_per_mtok is None else tokens * usd_per_mtok / 1e6
    return Part(name, tokens, usd_per_mtok, usd)


def _first(*figures: int | None) -> int | None:
    return next((figure for figure in figures if figure is not None), None)
