"""What could be changed so that calls cost less: the analyst's suggestions, and where texts part."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from lessllm_collector.console.context import Console
from lessllm_collector.errors import Refusal
from lessllm_collector.suggestions import Wanted

DAYS = (1, 7, 30)
_MOST = 20


def add(router: APIRouter, console: Console) -> None:
    """`/console/suggestions`; what was found by itself, for a page that is there already; the dearest one."""

    async def found(request: Request) -> dict[str, Any]:
        wanted = _wanted(request.query_params)
        answer = await console.reading.analyst.suggest(wanted, console.now(), _MOST)
        return {
            "wanted": wanted,
            "answer": answer,
            "suggestions": [_in_parts(one) for one in answer["suggestions"]],
        }

    @router.get("/console/suggestions")
    async def page(request: Request) -> HTMLResponse:
        wanted = _wanted(request.query_params)
        # An analysis takes seconds: without one, the page is there first, and asks for what is found.
        is_quick = console.reading.analyst.knows(wanted) or "wait" in request.query_params
        values = await found(request) if is_quick else {"wanted": wanted, "answer": None}
        return console.page(request, "suggestions.html", choices=DAYS, **values)

    @router.get("/console/suggestions/found")
    async def part(request: Request) -> HTMLResponse:
        return console.page(request, "suggestions_found.html", **await found(request))

    @router.get("/console/suggestions/dearest")
    async def dearest(request: Request) -> HTMLResponse:
        answer = await console.reading.analyst.suggest(Wanted(DAYS[1]), console.now(), 1)
        return console.page(request, "dearest.html", answer=answer, days=DAYS[1])


def _wanted(parameters: Mapping[str, str]) -> Wanted:
    chosen = {name: parameters.get(name) or None for name in ("model", "provider", "user")}
    return Wanted(_days(parameters), **chosen)


def _days(parameters: Mapping[str, str]) -> int:
    text = parameters.get("days", str(DAYS[1]))
    if text not in map(str, DAYS):
        raise Refusal(400, "invalid_period", f"days: {text!r} is none of {', '.join(map(str, DAYS))}")
    return int(text)


def _in_parts(suggestion: Mapping[str, Any]) -> dict[str, Any]:
    """Both excerpts cut where their difference begins and ends."""
    evidence = suggestion["evidence"]
    sides = {side: _cut(evidence[side]) for side in ("before", "after") if evidence[side] is not None}
    return {**suggestion, "sides": sides}


def _cut(excerpt: Mapping[str, Any]) -> dict[str, str]:
    text, start, end = excerpt["text"], excerpt["start"], excerpt["end"]
    return {
        "request_id": excerpt["request_id"],
        "same": text[:start],
        "different": text[start:end],
        "same_again": text[end:],
    }
