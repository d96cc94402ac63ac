"""Which calls a list shows: filters and a place in; the next calls from there, newest first, out.

Time is gone through backwards in windows that grow, so that the newest calls are found without looking at all
the others. Text is looked for in prompts, which have to be unpacked: when its time is over, the page ends
where the search had come to, and the next one goes on from there.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from lessllm_collector.console.period import Period
from lessllm_collector.errors import Refusal

PAGE_ROWS = 50
SEARCH_S = 0.8  # after which a search for text pauses
_FIRST_WINDOW = timedelta(minutes=10)
_GROWTH = 4
_SEARCHED_ROWS = 2000  # with bodies of 8 KB about 40 ms
_COLUMNS = (
    *("request_id", "timestamp", "model", "response_model", "provider", "user_id", "streaming"),
    *("status_code", "end_reason", "error_code", "total_latency_ms", "estimated_ttft_ms"),
    *("actual_prompt_tokens", "actual_completion_tokens", "actual_cache_hit_rate"),
    *("estimated_cost_usd", "sensitive_findings"),
)
_SELECT = ", ".join(f'"{name}"' for name in _COLUMNS)


@dataclass(frozen=True)
class Wanted:
    """A form's fields. Empty: all."""

    model: str = ""
    user: str = ""
    session: str = ""
    status: str = ""  # 429, or 4xx
    end: str = ""
    slower_ms: float | None = None
    dearer_usd: float | None = None
    sensitive: bool = False
    text: str = ""


@dataclass(frozen=True)
class Place:
    """Just before this call: later ones were seen."""

    when: datetime
    request_id: str = ""

    def __str__(self) -> str:
        us = (self.when - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
        return f"{us}.{self.request_id}"


@dataclass(frozen=True)
class Page:
    """`next` is None at the period's end. `paused`: a search for text has come there, with too few found."""

    calls: Sequence[Mapping[str, Any]]
    next: Place | None
    paused: bool = False


def wanted(parameters: Mapping[str, str]) -> Wanted:
    """From a URL. Raises Refusal."""
    text = {name: parameters.get(name, "").strip() for name in ("model", "user", "session", "status", "end")}
    return Wanted(
        **text,
        slower_ms=_number(parameters, "slower_ms"),
        dearer_usd=_number(parameters, "dearer_usd"),
        sensitive=parameters.get("sensitive") == "1",
        text=parameters.get("text", ""),
    )


def parameters(chosen: Wanted) -> dict[str, str]:
    """What a URL says to mean these."""
    fields = asdict(replace(chosen, sensitive=False))
    given = {
        name: f"{value:g}" if isinstance(value, float) else value for name, value in fields.items() if value
    }
    return {**given, "sensitive": "1"} if chosen.sensitive else given


def place(text: str) -> Place | None:
    """A page's beginning, as the link of the one before says it. Raises Refusal."""
    if not text:
        return None
    us, _, request_id = text.partition(".")
    try:
        return Place(datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(us)), request_id)
    except (ValueError, OverflowError):
        raise Refusal(400, "invalid_place", f"before: {text!r} is no place in the list") from None


def look(
    connection: duckdb.DuckDBPyConnection,
    chosen: Wanted,
    period: Period,
    before: Place | None,
    clock_s: Callable[[], float],
) -> Page:
    """The next PAGE_ROWS calls. Raises Refusal, duckdb.Error."""
    condition, values = _condition(chosen)
    deadline_s = clock_s() + SEARCH_S
    start_from = before or Place(period.until)
    end, width = min(period.until, start_from.when + timedelta(microseconds=1)), _FIRST_WINDOW
    found: list[dict[str, Any]] = []
    while end > period.since and len(found) <= PAGE_ROWS:
        start = max(period.since, end - width)
        if chosen.text:
            start = max(start, _few(connection, start, end))
        found += _between(connection, start, end, start_from, condition, values, PAGE_ROWS + 1 - len(found))
        width = _GROWTH * max(end - start, _FIRST_WINDOW)
        end = start
        if chosen.text and clock_s() > deadline_s:
            break
    if len(found) > PAGE_ROWS:
        last = found[PAGE_ROWS - 1]
        return Page(found[:PAGE_ROWS], Place(last["timestamp"], last["request_id"]))
    return Page(found, Place(end) if end > period.since else None, paused=end > period.since)


def _few(connection: duckdb.DuckDBPyConnection, start: datetime, end: datetime) -> datetime:
    """From when on there are so many calls as are searched at once."""
    sql = """
        SELECT min("timestamp") FROM (
            SELECT "timestamp" FROM internal.calls WHERE "timestamp" >= ? AND "timestamp" < ?
            ORDER BY "timestamp" DESC LIMIT ?
        ) HAVING count(*) = ?
    """
    table = connection.execute(sql, [start, end, _SEARCHED_ROWS, _SEARCHED_ROWS]).to_arrow_table()
    moment: datetime = table.to_pylist()[0].popitem()[1] if table.num_rows else start
    return moment


def _between(
    connection: duckdb.DuckDBPyConnection,
    start: datetime,
    end: datetime,
    before: Place,
    condition: str,
    values: Sequence[Any],
    limit: int,
) -> list[dict[str, Any]]:
    sql = f"""
        SELECT {_SELECT} FROM internal.calls
        WHERE "timestamp" >= ? AND "timestamp" < ? AND ("timestamp" < ? OR request_id < ?) AND {condition}
        ORDER BY "timestamp" DESC, request_id DESC LIMIT ?
    """  # noqa: S608 - our own names
    given = [start, end, before.when, before.request_id, *values, limit]
    rows: list[dict[str, Any]] = connection.execute(sql, given).to_arrow_table().to_pylist()
    return rows


def _condition(chosen: Wanted) -> tuple[str, list[Any]]:
    conditions, values = ["true"], list[Any]()
    for column, value in (
        ("model", chosen.model),
        ("user_id", chosen.user),
        ("session_id", chosen.session),
        ("end_reason", chosen.end),
    ):
        if value:
            conditions.append(f'"{column}" = ?')
            values.append(value)
    if chosen.status:
        conditions.append("status_code BETWEEN ? AND ?")
        values += _statuses(chosen.status)
    if chosen.slower_ms is not None:
        conditions.append("total_latency_ms > ?")
        values.append(chosen.slower_ms)
    if chosen.dearer_usd is not None:
        conditions.append("estimated_cost_usd > ?")
        values.append(chosen.dearer_usd)
    if chosen.sensitive:
        conditions.append("sensitive_findings <> '{}'")
    if chosen.text:
        spellings = _spellings(chosen.text)
        conditions.append(f"({' OR '.join(['contains(TRY(decode(request_body)), ?)'] * len(spellings))})")
        values += spellings
    return " AND ".join(conditions), values


def _spellings(text: str) -> list[str]:
    """How JSON may write it."""
    return list(
        dict.fromkeys(json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True))
    )


def _statuses(status: str) -> tuple[int, int]:
    first = status[0]
    if status.lower() == f"{first}xx" and first.isdigit():
        return int(first) * 100, int(first) * 100 + 99
    if status.isascii() and status.isdigit() and len(status) == 3:
        return int(status), int(status)
    raise Refusal(400, "invalid_filter", f"status: {status!r} is neither one such as 429 nor such as 4xx")


def _number(given: Mapping[str, str], name: str) -> float | None:
    text = given.get(name, "").strip()
    try:
        return float(text) if text else None
    except ValueError:
        raise Refusal(400, "invalid_filter", f"{name}: {text!r} is no number") from None
