"""The collector's HTTP API: a request in, its answer or an error as {"error": {"code", "message"}} out.

Every path here only reads, but for the two that change settings or start a reanalysis. It must never run
on the event loop what takes long.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import StreamingResponse

from lessllm_collector import calls, formats, leaks, openapi, stats
from lessllm_collector.backup import Backups
from lessllm_collector.errors import Refusal, install_errors
from lessllm_collector.export import Exports
from lessllm_collector.filters import moment, parse_filters
from lessllm_collector.query import Question, Readers, ask
from lessllm_collector.reading import Reading
from lessllm_collector.requests import Reanalysis, SettingsChange, key_check, read_json
from lessllm_collector.store import Store
from lessllm_collector.suggestions import Analyst, Wanted
from lessllm_collector.switches import Switches

__all__ = ["create_api", "install_errors"]

Reanalyze = Callable[[datetime | None], Awaitable[int]]


def create_api(
    store: Store,
    reading: Reading,
    switches: Switches,
    reanalyze: Reanalyze,
    backups: Backups,
    api_key: str | None,
) -> APIRouter:
    """The paths. `reanalyze` works calls out again and returns how many. It closes the readers at its end."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        yield
        await reading.close()

    router = APIRouter(
        dependencies=[Depends(key_check(api_key))] if api_key is not None else [],
        responses=openapi.COMMON,
        lifespan=lifespan,
    )
    _add_questions(router, reading.users, reading.max_rows)
    _add_reports(router, reading.reports)
    _add_suggestions(router, reading.analyst)
    _add_files(router, Exports(store), backups)
    _add_controls(router, switches, reanalyze)
    return router


def _add_questions(router: APIRouter, readers: Readers, max_rows: int) -> None:
    @router.post(
        "/query", summary="Ask in SQL", openapi_extra=openapi.QUERY_BODY, responses=openapi.QUERY_ANSWER
    )
    async def query(request: Request) -> StreamingResponse:
        """One SELECT (DuckDB's SQL) over `api_calls`, with a row for each call. `params` fill ? or $name."""
        kind = formats.accepted(request.headers.get("accept", "*/*"))
        if kind is None:
            raise Refusal(406, "not_acceptable", f"Accept one of {', '.join(formats.MEDIA_TYPES)}")
        question = await read_json(request, Question)
        result, pieces = await readers.read(
            partial(ask, question=question, max_rows=max_rows),
            lambda result: (result, formats.encode(kind, result)),
        )
        headers = {
            "x-lessllm-truncated": str(result.truncated).lower(),
            "x-lessllm-elapsed-ms": f"{result.elapsed_ms:.3f}",
            "content-length": str(sum(map(len, pieces))),
        }
        return StreamingResponse(_each(pieces), media_type=kind, headers=headers)


def _add_reports(router: APIRouter, readers: Readers) -> None:
    async def answer(job: Callable[[Any], dict[str, Any]]) -> Response:
        return Response(await readers.read(job, msgspec.json.encode), media_type=formats.JSON)

    @router.get(
        "/calls",
        summary="The latest calls",
        responses=openapi.CALLS_ANSWER,
        openapi_extra={
            "parameters": [openapi.parameter("since", "ISO date or time."), *openapi.COLUMN_FILTERS]
        },
    )
    async def latest(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
        before: Annotated[str | None, Query(description="A request_id: older calls than that one.")] = None,
    ) -> Response:
        """Without bodies. Any column with one value is a filter too."""
        chosen = parse_filters(_others(request, {"limit", "before"}))
        return await answer(partial(calls.latest, chosen=chosen, before=before, limit=limit))

    @router.get("/calls/{request_id}", summary="One call, whole", responses=openapi.CALL_ANSWER)
    async def whole(request_id: str) -> Response:
        """Every column, with what was sent and what came back."""
        return await answer(partial(calls.whole, request_id=request_id))

    @router.get("/stats", summary="The last days' figures", responses=openapi.STATS_ANSWER)
    async def usage(
        days: Annotated[int, Query(ge=1, le=stats.MAX_DAYS)] = 7,
        prompts: Annotated[bool, Query(description="Say how the slowest and dearest prompts begin.")] = False,
    ) -> Response:
        """Calls, errors, tokens, cost, cache hit rates and times; the slowest and the dearest calls; models
        without a price; how near cache predictions came. Sums of nothing are null."""
        job = partial(stats.usage, until=datetime.now(UTC), days=days, with_prompts=prompts)
        return await answer(job)

    @router.get("/sensitive", summary="Sensitive data found in requests", responses=openapi.SENSITIVE_ANSWER)
    async def sensitive(days: Annotated[int, Query(ge=1, le=stats.MAX_DAYS)] = 7) -> Response:
        """How many of each kind; then who sent which to which model and provider, the latest first."""
        return await answer(partial(leaks.report, until=datetime.now(UTC), days=days))


def _add_suggestions(router: APIRouter, analyst: Analyst) -> None:
    @router.get(
        "/suggestions", summary="What to change so that calls cost less", responses=openapi.SUGGESTIONS_ANSWER
    )
    async def suggestions(
        days: Annotated[int, Query(ge=1, le=stats.MAX_DAYS)] = 7,
        model: Annotated[str | None, Query(description="As the clients ask for it.")] = None,
        provider: str | None = None,
        user: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> Response:
        """What prompt caches could have saved, the dearest first, each with its evidence and what to change.
        The newest calls are looked at, `cut` says whether there are more. An answer is kept for a minute."""
        wanted = Wanted(days, model, provider, user)
        found = await analyst.suggest(wanted, datetime.now(UTC), limit)
        return Response(msgspec.json.encode(found), media_type=formats.JSON)


def _add_files(router: APIRouter, exports: Exports, backups: Backups) -> None:
    dates = [
        openapi.parameter("start_date", "ISO date or time, inclusive."),
        openapi.parameter("end_date", "Exclusive."),
    ]

    @router.get(
        "/export",
        summary="Calls as a Parquet file",
        responses=openapi.EXPORT_ANSWER,
        openapi_extra={"parameters": [*dates, *openapi.COLUMN_FILTERS]},
        response_class=StreamingResponse,
    )
    async def export(request: Request) -> StreamingResponse:
        """Every column of the calls that pass the filters; any column with one value is one."""
        return await exports.start(parse_filters(_others(request, set())))

    @router.get(
        "/backup",
        summary="The whole database as a DuckDB file",
        responses=openapi.BACKUP_ANSWER,
        response_class=StreamingResponse,
    )
    async def backup() -> StreamingResponse:
        """As it is when asked for: all calls, and how far each gateway's records are in it."""
        return await backups.start()


def _add_controls(router: APIRouter, switches: Switches, reanalyze: Reanalyze) -> None:
    settings_answer = openapi.example("As it is now.", {"debug_mode": False, "enable_cache_analysis": True})

    def current() -> dict[str, bool]:
        return {
            "debug_mode": switches.debug_mode,
            "enable_cache_analysis": switches.enable_cache_analysis,
        }

    @router.get("/settings", summary="What can be changed while it runs", responses=settings_answer)
    async def settings() -> dict[str, bool]:
        """`debug_mode` logs each call; `enable_cache_analysis` predicts cache hits."""
        return current()

    @router.patch(
        "/settings",
        summary="Change it",
        responses=settings_answer,
        openapi_extra=openapi.body(openapi.schema(SettingsChange), example={"debug_mode": True}),
    )
    async def change(request: Request) -> dict[str, bool]:
        """What is not named stays as it is."""
        wanted = await read_json(request, SettingsChange)
        for name, value in msgspec.structs.asdict(wanted).items():
            if value is not msgspec.UNSET:
                setattr(switches, name, value)
        return current()

    @router.post(
        "/reanalyze",
        summary="Work calls out again",
        responses=openapi.example("How many calls.", {"rows": 412}),
        openapi_extra=openapi.body(openapi.schema(Reanalysis), example={"since": "2026-11-01"}),
    )
    async def again(request: Request) -> dict[str, int]:
        """Tokens, cost and times, from the raw data. Calls whose raw data is gone keep what they have."""
        since = (await read_json(request, Reanalysis)).since
        return {"rows": await reanalyze(None if since is None else moment("since", since))}


def _others(request: Request, known: set[str]) -> Iterable[tuple[str, str]]:
    return [(name, value) for name, value in request.query_params.multi_items() if name not in known]


async def _each(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
