"""SQL in the browser: a statement in the URL in; its rows as a table and a chart out, or as a file.

It runs as /query runs it: the same guard, readers, time and memory. What a page shows has a limit of its own.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from lessllm_shared import figures
from starlette.responses import StreamingResponse

from lessllm_collector import formats
from lessllm_collector.console import rendering
from lessllm_collector.console.charts import Bar, Series, Words, bars, lines
from lessllm_collector.console.context import Console
from lessllm_collector.console.language import Words as Messages
from lessllm_collector.console.language import wanted_language
from lessllm_collector.console.visible import visible
from lessllm_collector.errors import Refusal, described
from lessllm_collector.query import Question, Result, ask
from lessllm_collector.reports import VIEWS
from lessllm_collector.schema import COLUMNS, GAP_COLUMNS
from lessllm_collector.store import StoreError

PATH = "/console/sql"
SHOWN_ROWS = 200
SHOWN_CHARACTERS = 2000  # of a cell
_EXAMPLE = """SELECT model, count(*) AS calls, sum(estimated_cost_usd) AS cost_usd,
       round(approx_quantile(estimated_ttft_ms, 0.5)) AS ttft_p50_ms
FROM api_calls
WHERE "timestamp" > now() - INTERVAL 7 DAY
GROUP BY model
ORDER BY cost_usd DESC"""
_MOST_BARS, _MOST_POINTS, _MOST_LINES = 40, 400, 4
_FILES = {"csv": formats.CSV, "parquet": formats.PARQUET}
# By table: its columns, with what each means
SCHEMA: Mapping[str, Mapping[str, str]] = {
    "api_calls": {column.name: f"{column.sql_type}. {column.comment}" for column in COLUMNS},
    **{name: view.comments for name, view in VIEWS.items()},
    "delivery_gaps": GAP_COLUMNS,
}


def add(router: APIRouter, console: Console) -> None:
    """`/console/sql`, and its results as files."""
    readers, max_rows = console.reading.users, console.reading.max_rows

    @router.get(PATH)
    async def editor(request: Request) -> HTMLResponse:
        sql = request.query_params.get("q", "").strip()
        shown: dict[str, Any] = {"result": None, "fault": None, "chart": None}
        status = 200
        if sql:
            try:
                job = partial(ask, question=Question(sql), max_rows=SHOWN_ROWS)
                shown |= await readers.read(job, partial(_shown, t=Messages(wanted_language(request))))
            except (Refusal, StoreError) as error:
                status, code, message, _ = described(error)
                shown["fault"] = (code, message)
        return console.page(
            request,
            "sql.html",
            status=status,
            sql=sql or _EXAMPLE,
            asked=bool(sql),
            schema=SCHEMA,
            rows=SHOWN_ROWS,
            timeout_s=f"{console.settings.collector.query.timeout_s:g}",
            max_rows=max_rows,
            path=PATH,
            visible=visible,
            **shown,
        )

    @router.get(f"{PATH}/result.{{kind}}")
    async def file(request: Request, kind: str) -> Response:
        if kind not in _FILES:
            raise Refusal(404, "not_found", f"results come as {' or '.join(_FILES)}, not as {kind}")
        job = partial(ask, question=Question(request.query_params.get("q", "")), max_rows=max_rows)
        pieces = await readers.read(job, lambda result: formats.encode(_FILES[kind], result))
        headers = {
            **rendering.HEADERS,
            "content-disposition": f'attachment; filename="lessllm-result.{kind}"',
        }
        return StreamingResponse(iter(pieces), media_type=_FILES[kind], headers=headers)


def _shown(result: Result, t: Messages) -> dict[str, Any]:
    """What the page makes of a result."""
    names = [str(name) for name in result.schema.names]
    rows = [row for batch in result.batches for row in zip(*map(formats.values, batch.columns), strict=True)]
    are_numbers = [_is_number(kind) for kind in result.types]
    shown = {
        "columns": list(zip(map(visible, names), result.types, are_numbers, strict=True)),
        "rows": [[_cell(value, name) for value, name in zip(row, names, strict=True)] for row in rows],
        "truncated": result.truncated,
        "elapsed": figures.milliseconds(result.elapsed_ms),
    }
    return {"result": shown, "chart": _chart(names, result.types, rows, t)}


def _cell(value: Any, column: str) -> str:
    text = value if isinstance(value, str) else figures.cell(value, column)
    return visible(text[:SHOWN_CHARACTERS]) + ("…" if len(text) > SHOWN_CHARACTERS else "")


def _chart(
    names: Sequence[str], types: Sequence[str], rows: Sequence[Sequence[Any]], t: Messages
) -> str | None:
    """Of what comes as one name or time and figures beside it. None: that is no chart."""
    numbers = [at for at, kind in enumerate(types) if at and _is_number(kind)]
    if len(rows) < 2 or not numbers or any(row[0] is None for row in rows):
        return None
    words = Words(t("charts.nothing"), t("charts.data"), t("charts.time"))
    column = numbers[0]
    if types[0].startswith(("TIMESTAMP", "DATE")):
        ordered = sorted(rows, key=lambda row: row[0])
        times = [_moment(row[0]) for row in ordered]
        if len(set(times)) < len(times) or len(times) > _MOST_POINTS:
            return None
        alike = [at for at in numbers if _unit(names[at]) == _unit(names[column])][:_MOST_LINES]
        series = [Series(visible(names[at]), [_figure(row[at]) for row in ordered]) for at in alike]
        caption = ", ".join(one.name for one in series)
        return lines(caption, times, series, _writer(names[column]), words)
    if types[0] != "VARCHAR" or len(rows) > _MOST_BARS:
        return None
    drawn = [Bar(visible(row[0][:100]), [_figure(row[column])]) for row in rows]
    return bars(visible(names[column]), drawn, _writer(names[column]), words)


def _unit(column: str) -> str | None:
    return next((unit for unit in ("_usd", "_ms", "_rate", "_tokens", "_s") if unit in column), None)


def _writer(column: str) -> Any:
    return lambda value: figures.cell(value, column)


def _figure(value: Any) -> float | None:
    return value if isinstance(value, int | float) else None


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_number(kind: str) -> bool:
    return kind in _NUMBERS or kind.startswith("DECIMAL")


_NUMBERS = {
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
}
