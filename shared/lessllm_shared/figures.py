"""How figures are written for people: enough digits to decide by, separators, units, NULL as a dash."""

import datetime as dt
import json
import math
import re
from typing import Any

NULL = "–"  # noqa: RUF001 - a dash of its own, not a minus sign


_UNIT = re.compile(r"[^\d.,]*$")


def money(usd: float | None) -> str:
    """$1,234 · $12.35 · $0.0123 · $0.0000123: about three digits that mean something."""
    if usd is None:
        return NULL
    sign, size = ("-" if usd < 0 else ""), abs(usd)
    if size == 0:
        return "$0"
    return f"{sign}${_digits(size, 2)}"


def milliseconds(ms: float | None) -> str:
    """0.35 ms · 412 ms · 3.21 s · 2 min 5 s."""
    if ms is None:
        return NULL
    if ms < 1000:
        return f"{_digits(ms)} ms"
    if ms < 100_000:
        return f"{_digits(ms / 1000)} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes:,} min {seconds} s"


def count(number: int | None) -> str:
    return NULL if number is None else f"{number:,}"


def calls(number: int | None) -> str:
    """calls · 1 call · 1,234 calls."""
    return "calls" if number is None else f"{number:,} call{'' if number == 1 else 's'}"


def percent(share: float | None) -> str:
    return NULL if share is None else f"{share:.1%}"


def between(low: str, high: str) -> str:
    """380-412 ms · 980 ms-1.20 s · $0.0012-0.0015: what both begin or end with is written once."""
    if NULL in (low, high) or low == high:
        return high
    unit, sign = _UNIT.search(low), high[: high.startswith("$")]
    if unit and high.endswith(unit[0]):
        low = low.removesuffix(unit[0])
    return f"{low}-{high.removeprefix(sign) if low.startswith(sign) else high}"


def size(number_of_bytes: float) -> str:
    for unit in ("B", "KB", "MB"):
        if number_of_bytes < 1000:
            return f"{number_of_bytes:.3g} {unit}"
        number_of_bytes /= 1000
    return f"{number_of_bytes:,.2f} GB"


def moment(value: dt.datetime | str | None) -> str:
    """In the local time zone, to the second: what a person compares with the clock on the wall."""
    if value is None:
        return NULL
    when = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
    return when.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def cell(value: Any, column: str = "") -> str:
    """Any value of a query's result, on one line."""
    if value is None:
        return NULL
    if isinstance(value, float):
        return money(value) if column.endswith("_usd") else _digits(value)
    if isinstance(value, int) and not isinstance(value, bool):
        is_amount = abs(value) >= 10_000 or column.endswith(("_tokens", "_bytes"))
        return f"{value:,}" if is_amount else str(value)  # 2026 may be a year
    if isinstance(value, dt.datetime):
        return value.isoformat(" ", "milliseconds")
    if isinstance(value, bytes):
        return f"<{len(value):,} bytes>"
    text = (
        json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
    )
    return printable(text)


def printable(text: str) -> str:
    """Without what moves the cursor or changes colours: the text came over the network."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "�" for c in text)


def _digits(number: float, least_decimals: int = 0) -> str:
    """Three digits that mean something, thousands in groups, an exponent only where zeros would bury them."""
    if not math.isfinite(number) or 0 < abs(number) < 1e-9:
        return f"{number:.3g}"
    exponent = math.floor(math.log10(abs(number))) if number else 2
    decimals = max(2 - exponent, least_decimals if exponent < 3 else 0, 0)
    return f"{number:,.{decimals}f}"
