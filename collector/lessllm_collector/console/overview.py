"""The first page: what a period's calls cost, how long they took, against the period before."""

from functools import partial
from typing import Any

import duckdb
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from lessllm_collector import reports
from lessllm_collector.console import period as periods
from lessllm_collector.console.context import Console
from lessllm_collector.console.period import Period
from lessllm_collector.formats import records
from lessllm_collector.query import run

Row = dict[str, Any]


def add(router: APIRouter, console: Console) -> None:
    """`/`."""

    @router.get("/")
    async def overview(request: Request) -> HTMLResponse:
        period = periods.chosen(request.query_params, console.now())
        found = await console.read(partial(_look, period=period))
        return console.page(request, "overview.html", period=period, **found)


def _look(connection: duckdb.DuckDBPyConnection, period: Period) -> dict[str, Any]:
    now, before = (_sums(connection, one) for one in (period, period.before))
    return {"now": now, "before": before}


def _sums(connection: duckdb.DuckDBPyConnection, period: Period) -> Row:
    sql = f"""
        SELECT {reports.columns(reports.SUMS)} FROM main.api_calls
        WHERE "timestamp" >= ? AND "timestamp" < ?
    """  # noqa: S608 - our own names
    (row,) = records(run(connection, sql, [period.since, period.until], 1))
    return row
