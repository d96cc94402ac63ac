"""Does sensitive data leak? Who sent which kinds of it to which model and provider in the last days.

Counts only, and the ids of calls: what was found is in the calls themselves, if it was recorded.
"""

from datetime import datetime, timedelta
from typing import Any

import duckdb

from lessllm_collector import reports
from lessllm_collector.formats import records
from lessllm_collector.query import run

_MOST = 400  # of combinations, those seen last
_WINDOW = '"timestamp" >= ? AND "timestamp" < ?'
_FOUND = f"({reports.KINDS_FOUND})"
_TOTALS = f"""
    SELECT count(*) AS calls, count(sensitive_findings) AS looked_at,
        count(*) FILTER (sensitive_findings <> '{{}}') AS with_findings,
        count(*) FILTER (error_code = 'sensitive_data') AS blocked
    FROM internal.calls WHERE {_WINDOW}
"""  # noqa: S608 - our own names
_BY_KIND = f"""
    SELECT kind, {reports.columns(reports.SENSITIVE)} FROM {_FOUND} WHERE {_WINDOW}
    GROUP BY kind ORDER BY findings DESC, kind
"""  # noqa: S608 - our own names
_WHERE_TO = f"""
    SELECT user_id, client_key, model, provider, policy, kind, {reports.columns(reports.SENSITIVE)},
        max(request_id, 3) AS request_ids
    FROM {_FOUND} WHERE {_WINDOW} GROUP BY ALL ORDER BY last_call DESC, kind LIMIT {_MOST}
"""  # noqa: S608 - our own names


def report(connection: duckdb.DuckDBPyConnection, until: datetime, days: int) -> dict[str, Any]:
    """{"since", "until", "calls", "looked_at", "with_findings", "blocked", "by_kind": […], "found": […]}.

    `found`: a row for each user, key, model, provider, policy and kind, with the latest calls' ids.
    """
    window = [until - timedelta(days=days), until]
    (totals,) = records(run(connection, _TOTALS, window, 1))
    return {
        "since": window[0],
        "until": until,
        **totals,
        "by_kind": records(run(connection, _BY_KIND, window, _MOST)),
        "found": records(run(connection, _WHERE_TO, window, _MOST)),
    }
