"""Which calls are meant: query parameters of a URL in, a condition with its values out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from lessllm_collector.errors import Refusal
from lessllm_collector.schema import COLUMNS

# Columns of one value a row, none of them a body: what can be filtered by, and what lists of calls show.
METRICS: Mapping[str, str] = {
    column.name: column.sql_type for column in COLUMNS if not (column.compressed or column.generated)
}
_TIMES = {"start_date": ">=", "since": ">=", "end_date": "<"}


@dataclass(frozen=True)
class Filter:
    """A condition over stored columns, and the values for its question marks."""

    sql: str = "true"
    values: tuple[Any, ...] = ()


def parse_filters(parameters: Iterable[tuple[str, str]]) -> Filter:
    """start_date or since (inclusive), end_date (exclusive), and columns: repeated ones are alternatives.

    Raises Refusal.
    """
    conditions: list[str] = []
    values: list[Any] = []
    wanted: dict[str, list[str]] = {}
    for name, value in parameters:
        if name in _TIMES:
            conditions.append(f'"timestamp" {_TIMES[name]} ?')
            values.append(moment(name, value))
        elif name in METRICS:
            wanted.setdefault(name, []).append(value)
        else:
            near = get_close_matches(name, [*METRICS, *_TIMES], 1)
            hint = f"did you mean {near[0]}?" if near else "DESCRIBE api_calls lists the columns"
            raise Refusal(400, "unknown_filter", f"can't filter by {name}: {hint}")
    for name, alternatives in wanted.items():
        places = ", ".join([f"CAST(? AS {METRICS[name]})"] * len(alternatives))
        conditions.append(f'"{name}" IN ({places})')
        values.extend(alternatives)
    return Filter(" AND ".join(conditions) or "true", tuple(values))


def moment(name: str, text: str) -> datetime:
    """An ISO date or time, in UTC if it names no zone. Raises Refusal."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(
            400, "invalid_date", f"{name}: {text!r} is no date like 2026-11-25 or 2026-11-25T12:00:00Z"
        ) from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
