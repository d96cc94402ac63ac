"""Suggestions on request: calls are read step by step, traced, compared, judged, shown with their evidence.

One analysis at a time, on the reports' threads; its answer is given again for a minute. It ends when the
collector stops.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import duckdb
from lessllm_shared.config.sections import Cache

from lessllm_collector.cache.rules import Rules
from lessllm_collector.errors import Refusal
from lessllm_collector.query import Readers
from lessllm_collector.store import Store
from lessllm_collector.suggestions import reading
from lessllm_collector.suggestions.comparing import compare
from lessllm_collector.suggestions.evidence import Difference, difference, settings_difference
from lessllm_collector.suggestions.findings import DAYS, Finding, find
from lessllm_collector.suggestions.limits import CACHE_S, STEP_CALLS
from lessllm_collector.suggestions.reading import Choice, Wanted
from lessllm_collector.suggestions.telling import example_of, projection, suggestion
from lessllm_collector.suggestions.traces import Trace, Tracer, prompt_of

_MAX_ANSWERS = 8
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class _Analysis:
    choice: Choice
    looked_at: int
    findings: Sequence[Finding]
    done_s: float


class Analyst:
    """Owns the latest answers."""

    def __init__(self, store: Store, readers: Readers, cache: Cache) -> None:
        self._store = store
        self._readers = readers
        self._cache = cache
        self._busy = asyncio.Lock()
        self._analyses: dict[Wanted, _Analysis] = {}

    async def suggest(self, wanted: Wanted, until: datetime, limit: int) -> dict[str, Any]:
        """The `limit` dearest. Raises Refusal, StoreError."""
        async with self._busy:
            analysis = self._known(wanted)
            if analysis is None:
                analysis = await self._analyse(wanted, until)
                self._keep(wanted, analysis)
            return await self._read(partial(_answer, analysis=analysis, limit=limit))

    def knows(self, wanted: Wanted) -> bool:
        """Whether an answer is there, so that `suggest` takes no time."""
        return self._known(wanted) is not None and not self._busy.locked()

    def _known(self, wanted: Wanted) -> _Analysis | None:
        analysis = self._analyses.get(wanted)
        return None if analysis is None or time.monotonic() - analysis.done_s > CACHE_S else analysis

    async def _analyse(self, wanted: Wanted, until: datetime) -> _Analysis:
        choice = await self._read(partial(reading.choose, wanted=wanted, until=until))
        tracer = Tracer(Rules(self._cache.providers), self._cache.workspaces)
        traces: list[Trace] = []
        rowids = sorted(choice.rowids)
        for start in range(0, len(rowids), STEP_CALLS):
            traces += await self._read(
                partial(_trace, rowids=rowids[start : start + STEP_CALLS], tracer=tracer)
            )
        findings = await asyncio.to_thread(_find, traces, choice)
        return _Analysis(choice, len(traces), findings, time.monotonic())

    async def _read(self, job: Callable[[duckdb.DuckDBPyConnection], _Found]) -> _Found:
        if self._store.closing.is_set():
            raise Refusal(503, "stopping", "the collector is stopping: ask again when it is back")
        return await self._readers.read(job, _as_it_is)

    def _keep(self, wanted: Wanted, analysis: _Analysis) -> None:
        self._analyses.pop(wanted, None)
        self._analyses[wanted] = analysis
        while len(self._analyses) > _MAX_ANSWERS:
            del self._analyses[next(iter(self._analyses))]


def _as_it_is(found: _Found) -> _Found:
    return found


def _trace(connection: duckdb.DuckDBPyConnection, rowids: Iterable[int], tracer: Tracer) -> list[Trace]:
    found = (tracer.trace(row) for row in reading.rows(connection, rowids))
    return [trace for trace in found if trace is not None]


def _find(traces: Sequence[Trace], choice: Choice) -> list[Finding]:
    return find(compare(traces, choice.until.timestamp()), choice.days)


def _answer(connection: duckdb.DuckDBPyConnection, analysis: _Analysis, limit: int) -> dict[str, Any]:
    choice, findings = analysis.choice, analysis.findings
    loss_usd = sum((one.usd for one in findings if one.usd is not None), 0.0)
    return {
        "since": choice.since,
        "until": choice.until,
        "calls": choice.total,
        "looked_at": analysis.looked_at,
        "cut": len(choice.rowids) < choice.total,
        "loss_usd": loss_usd,
        "projected_30_days_usd": loss_usd * DAYS / choice.days,
        "projection": projection(choice.days),
        "found": len(findings),
        "suggestions": [suggestion(one, _evidence(connection, one), choice.days) for one in findings[:limit]],
    }


def _evidence(connection: duckdb.DuckDBPyConnection, finding: Finding) -> Difference | None:
    example = example_of(finding)
    if example.other is None:
        return None
    wanted = {example.other.rowid: example.other, example.trace.rowid: example.trace}
    prompts = {
        row["rowid"]: prompt_of(row)
        for row in reading.rows(connection, wanted)
        if row["request_id"] == wanted[row["rowid"]].request_id
    }
    before, after = prompts.get(example.other.rowid), prompts.get(example.trace.rowid)
    if before is None or after is None:
        return None
    if finding.kind == "settings_flip":
        return settings_difference(example.what, before, after)
    return difference(before, after)
