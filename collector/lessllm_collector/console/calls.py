"""The list of calls: a form's filters in, the newest calls that pass out, page by page, or live."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import duckdb
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from lessllm_shared.record import EndReason

from lessllm_collector.console import listing
from lessllm_collector.console import period as periods
from lessllm_collector.console.context import Console
from lessllm_collector.console.listing import Page, Wanted
from lessllm_collector.console.period import Period
from lessllm_collector.console.visible import visible

PATH = "/console/calls"
_CHOICES = 50  # names offered for a field
_NAMES = """
    SELECT "{column}" AS name FROM internal.calls
    WHERE "timestamp" >= ? AND "timestamp" < ? AND "{column}" IS NOT NULL
    GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT ?
"""


def add(router: APIRouter, console: Console) -> None:
    """`/console/calls`."""

    @router.get(PATH)
    async def calls(request: Request) -> HTMLResponse:
        parameters = request.query_params
        period = periods.chosen(parameters, console.now())
        wanted = listing.wanted(parameters)
        before = listing.place(parameters.get("before", ""))
        job = partial(_look, wanted=wanted, period=period, before=before)
        page, choices = await console.read(job)
        return console.page(
            request,
            "calls.html",
            period=period,
            wanted=wanted,
            page=page,
            choices=choices,
            before=parameters.get("before", ""),
            live=parameters.get("live") == "1" and not before,
            listed=listing.parameters(wanted),
            keep={**listing.parameters(wanted), **period.parameters},
            search_s=listing.SEARCH_S,
            ends=[str(reason) for reason in EndReason],
            path=PATH,
            visible=visible,
        )


def _look(
    connection: duckdb.DuckDBPyConnection, wanted: Wanted, period: Period, before: listing.Place | None
) -> tuple[Page, Mapping[str, list[str]]]:
    page = listing.look(connection, wanted, period, before, time.monotonic)
    return page, {column: _names(connection, column, period) for column in ("model", "user_id")}


def _names(connection: duckdb.DuckDBPyConnection, column: str, period: Period) -> list[Any]:
    values = [period.since, period.until, _CHOICES]
    return [name for (name,) in connection.execute(_NAMES.format(column=column), values).fetchall()]
