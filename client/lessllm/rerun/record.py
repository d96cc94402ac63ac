"""What the collector recorded of calls that were sent again: waited for, counted, summed up by model.

Every figure here is the gateway's and the provider's. Only calls that are complete count in times, tokens,
costs and rates; all others are errors, or were cancelled, and are counted as what they are.
"""

import datetime as dt
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lessllm.connection import JSON, Connection
from lessllm.errors import QueryError, ServerError

WAIT_S = 15.0  # for a record, which takes a tenth of a second unless the collector is away or far behind
_POLL_S = 0.05

# In the order in which they are shown
FIGURES = (
    "estimated_ttft_ms",
    "estimated_tpot_ms",
    "total_latency_ms",
    "estimated_cost_usd",
    "actual_completion_tokens",
    "output_tokens_per_s",
    "actual_cache_hit_rate",
)
_QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
_COMPLETE = "end_reason = 'complete'"
_OF_FIGURE = ", ".join(
    f"quantile_cont({name}, {share}) FILTER ({_COMPLETE}) AS {name}_{quantile}"
    for name in FIGURES
    for quantile, share in _QUANTILES.items()
)
_COUNTS = ", ".join(f"count({name}) FILTER ({_COMPLETE}) AS {name}_n" for name in FIGURES)
_OF_RUN = 'FROM api_calls WHERE session_id = $session AND "timestamp" >= $since'
_SO_FAR = f"""
    SELECT count(*) AS calls, sum(estimated_cost_usd) AS cost_usd,
           count(*) FILTER ({_COMPLETE} AND estimated_cost_usd IS NULL) AS unpriced_calls,
           count(*) FILTER (NOT {_COMPLETE}) AS failed
    {_OF_RUN}
"""
_BY_MODEL = f"""
    SELECT model, count(*) AS calls, count(*) FILTER ({_COMPLETE}) AS complete_calls,
           sum(estimated_cost_usd) AS cost_usd, {_COUNTS}, {_OF_FIGURE}
    {_OF_RUN} GROUP BY model
"""
_FAILURES = f"""
    SELECT model, end_reason, status_code, error_code, count(*) AS calls, any_value(error_message) AS message
    {_OF_RUN} AND NOT {_COMPLETE}
    GROUP BY model, end_reason, status_code, error_code ORDER BY calls DESC, status_code, error_code
"""


@dataclass(frozen=True)
class SoFar:
    """A run's records up to now. `unpriced_calls` cost nobody knows what."""

    calls: int = 0
    cost_usd: float | None = None
    unpriced_calls: int = 0
    failed: int = 0


def recorded_call(asked: Connection, request_id: str) -> dict[str, Any]:
    """A call that has just ended, once its record is there. Raises ServerError."""
    deadline_s = time.monotonic() + WAIT_S
    while True:
        try:
            return asked.call(request_id)
        except QueryError as error:
            if error.code != "unknown_call":
                raise
            if time.monotonic() > deadline_s:
                raise ServerError(
                    f"the call {request_id} ended, but no record of it came within {WAIT_S:g} s:"
                    " does that gateway send its records to this collector?"
                ) from None
        time.sleep(_POLL_S)


class RunRecord:
    """The records of one run of `compare`, which all have its session."""

    def __init__(self, asked: Connection, session: str) -> None:
        self._asked = asked
        day_before = dt.datetime.now(dt.UTC) - dt.timedelta(
            days=1
        )  # clocks differ, and days of rows stay unread
        self._parameters = {"session": session, "since": day_before.isoformat()}

    def so_far(self, calls: int, wait_s: float = WAIT_S) -> SoFar:
        """With at least so many calls in it, or what there is after that time."""
        deadline_s = time.monotonic() + wait_s
        while True:
            (row,) = self._rows(_SO_FAR)
            if row["calls"] >= calls or time.monotonic() > deadline_s:
                return SoFar(**row)
            time.sleep(_POLL_S)

    def by_model(self, models: Sequence[str]) -> list[dict[str, Any]]:
        """For each model {"model", "calls", "complete_calls", "cost_usd", "figures": {name: {n, p10, p50,
        p90}}, "failures": […]}."""
        rows = {row["model"]: row for row in self._rows(_BY_MODEL)}
        failures = self._rows(_FAILURES)
        return [
            {
                "model": model,
                "calls": rows[model]["calls"] if model in rows else 0,
                "complete_calls": rows[model]["complete_calls"] if model in rows else 0,
                "cost_usd": rows[model]["cost_usd"] if model in rows else None,
                "figures": {name: _figure(rows.get(model, {}), name) for name in FIGURES},
                "failures": [
                    {key: value for key, value in failure.items() if key != "model"}
                    for failure in failures
                    if failure["model"] == model
                ],
            }
            for model in models
        ]

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        answer = json.loads(self._asked.query(sql, self._parameters, None, JSON).content)
        names = [column["name"] for column in answer["columns"]]
        return [dict(zip(names, row, strict=True)) for row in answer["rows"]]


def _figure(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {
        "n": row.get(f"{name}_n", 0),
        **{quantile: row.get(f"{name}_{quantile}") for quantile in _QUANTILES},
    }
