"""How LessLLM itself does: what keeps it from its work, gateways, ways out, gaps, space, versions."""

import asyncio
import platform
from datetime import datetime, timedelta
from functools import partial
from importlib.metadata import version
from typing import Any

import duckdb
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from lessllm_shared import disk

from lessllm_collector import room
from lessllm_collector.console.context import Console
from lessllm_collector.schema import INTERPRETER_VERSION
from lessllm_collector.store import Store

Row = dict[str, Any]

_DAY = timedelta(days=1)
_MOST = 20  # gateways, routes
_GATEWAYS = f"""
    SELECT gateway_id, committed, epoch_us(last_seen) AS last_seen, calls, errors
    FROM internal.deliveries LEFT JOIN (
        SELECT gateway_id, count(*) AS calls,
            count(*) FILTER (end_reason = 'gateway_error' OR error_code = 'gateway_killed') AS errors
        FROM internal.calls WHERE "timestamp" >= $since GROUP BY gateway_id
    ) USING (gateway_id)
    ORDER BY last_seen DESC LIMIT {_MOST}
"""  # noqa: S608 - our own names
# Of the last try of each call; what failed before it is in `attempts`.
_ROUTES = f"""
    SELECT route, provider, count(*) AS calls,
        count(*) FILTER (end_reason IN ('connect_error', 'proxy_error', 'upstream_timeout')) AS failed,
        count(*) FILTER (prior_attempts_ms > 0) AS after_others,
        avg(connection_reused::INT) AS reused,
        approx_quantile(tcp_connect_ms + coalesce(proxy_handshake_ms, 0) + coalesce(tls_ms, 0), 0.5)
            AS connect_ms
    FROM internal.calls WHERE "timestamp" >= $since AND route IS NOT NULL
    GROUP BY route, provider ORDER BY calls DESC LIMIT {_MOST}
"""  # noqa: S608 - our own names
_GAPS = """
    SELECT reason, sum(calls)::BIGINT AS calls, epoch_us(max(noticed)) AS noticed
    FROM main.delivery_gaps GROUP BY reason ORDER BY reason
"""
_CALLS = """
    SELECT count(*) AS calls, epoch_us(min("timestamp")) AS first, epoch_us(max("timestamp")) AS last
    FROM internal.calls
"""
_SPACE = """
    SELECT block_size * free_blocks AS free_bytes,
        (SELECT sum(memory_usage_bytes)::BIGINT FROM duckdb_memory()) AS memory_bytes
    FROM pragma_database_size()
"""


def add(router: APIRouter, console: Console) -> None:
    """`/console/system`."""

    @router.get("/console/system")
    async def system(request: Request) -> HTMLResponse:
        found = await console.read(partial(look, since=console.now() - _DAY))
        sizes = await asyncio.to_thread(_sizes, console.store)
        writer = console.writer()
        return console.page(
            request,
            "system.html",
            trouble=console.store.trouble or writer.trouble,
            waiting_bytes=writer.waiting_bytes,
            sizes=sizes,
            recording=console.settings.logging,
            versions=_versions(),
            **found,
        )


def look(connection: duckdb.DuckDBPyConnection, since: datetime) -> dict[str, Any]:
    """What the database says; gateways and routes of the calls since then."""

    def rows(sql: str, **values: Any) -> list[Row]:
        found: list[Row] = connection.execute(sql, values).to_arrow_table().to_pylist()
        return found

    (calls,) = rows(_CALLS)
    (space,) = rows(_SPACE)
    return {
        "gateways": rows(_GATEWAYS, since=since),
        "routes": rows(_ROUTES, since=since),
        "gaps": rows(_GAPS),
        "calls": calls,
        "space": space,
    }


def _sizes(store: Store) -> dict[str, int]:
    log, space = room.log_of(store.path), disk.look(store.path.parent)
    return {
        "file": store.size_bytes(),
        "log": log.stat().st_size if log.exists() else 0,
        "disk": space.size_bytes,
        "disk_free": space.free_bytes,
    }


def _versions() -> dict[str, str]:
    return {
        "lessllm-collector": version("lessllm-collector"),
        "interpreter": str(INTERPRETER_VERSION),
        "DuckDB": version("duckdb"),
        "genai-prices": version("genai-prices"),
        "Python": platform.python_version(),
    }
