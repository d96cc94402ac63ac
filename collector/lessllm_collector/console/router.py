"""The console's paths: pages for who may see them, signing in and out, preferences, static files.

What a page refuses is a page too. A form is only taken from a page of our own: the browser's guard judges
the Origin, and here it must be there.
"""

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qsl

import duckdb
from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute

from lessllm_collector.console import (
    call,
    calls,
    compare,
    overview,
    rendering,
    sql,
    static,
    suggestions,
    system,
)
from lessllm_collector.console.context import Console
from lessllm_collector.console.door import SignInWanted
from lessllm_collector.console.language import COOKIE as LANGUAGE_COOKIE
from lessllm_collector.console.language import LANGUAGES
from lessllm_collector.errors import Refusal, described
from lessllm_collector.requests import read_body
from lessllm_collector.store import StoreError

_PAGES = (overview, calls, call, compare, suggestions, sql, system)
_MAX_FORM_BYTES = 64 * 1024
_YEAR_S = 365 * 24 * 3600


def create_console(console: Console) -> APIRouter:
    """All of it."""
    router = APIRouter(include_in_schema=False, route_class=_Route)
    _add_static(router)
    _add_door(router, console)
    _add_preferences(router)
    pages = APIRouter(route_class=_Route, dependencies=[Depends(console.door.check)])
    for module in _PAGES:
        module.add(pages, console)

    @pages.get("/console/{rest:path}")
    async def unknown(rest: str) -> Response:
        raise Refusal(404, "not_found", f"there is no page /console/{rest}")

    router.include_router(pages)
    return router


class _Route(APIRoute):
    """Errors of the console are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except SignInWanted:
                return _sign_in_first(request)
            except (Refusal, StoreError, RequestValidationError, duckdb.Error) as error:
                status, code, message, _ = described(error)
                return rendering.page(request, "error.html", status=status, code=code, message=message)

        return handled


def _sign_in_first(request: Request) -> Response:
    if request.headers.get("sec-fetch-mode", "navigate") != "navigate":
        return Response("", 401, rendering.HEADERS)  # a script asked: it can't show a form
    asked = rendering.link(request.url.path, dict(request.query_params))
    return rendering.redirect(rendering.link("/console/sign-in", next=asked if asked != "/" else None))


def _add_static(router: APIRouter) -> None:
    @router.get("/console/static/{version}/{name}")
    async def file(version: str, name: str) -> Response:
        del version  # only makes the address a new one
        return static.served(name)


def _add_door(router: APIRouter, console: Console) -> None:
    door = console.door

    @router.get("/console/sign-in")
    async def form(request: Request) -> Response:
        if not door.has_key:
            return rendering.redirect("/")
        return _sign_in_page(request, request.query_params.get("next", "/"))

    @router.post("/console/sign-in")
    async def sign_in(request: Request) -> Response:
        fields = await form_fields(request)
        after = fields.get("next", "/")
        if not (door.has_key and door.fits(fields.get("key", ""))):
            return _sign_in_page(request, after, status=403)
        response = rendering.redirect(after)
        door.let_in(response, is_encrypted=request.url.scheme == "https")
        return response

    @router.post("/console/sign-out")
    async def sign_out(request: Request) -> Response:
        await form_fields(request)
        response = rendering.redirect("/console/sign-in")
        door.see_off(response)
        return response


def _sign_in_page(request: Request, after: str, status: int = 200) -> HTMLResponse:
    return rendering.page(request, "sign_in.html", status=status, after=after, wrong=status != 200)


def _add_preferences(router: APIRouter) -> None:
    @router.post("/console/preferences")
    async def prefer(request: Request) -> Response:
        fields = await form_fields(request)
        response = rendering.redirect(fields.get("next", "/"))
        for name, cookie, known in (
            ("language", LANGUAGE_COOKIE, tuple(LANGUAGES)),
            ("theme", rendering.THEME_COOKIE, rendering.THEMES),
        ):
            if fields.get(name) in known:
                response.set_cookie(cookie, fields[name], max_age=_YEAR_S, samesite="strict", httponly=True)
        return response


async def form_fields(request: Request) -> dict[str, str]:
    """The fields of a form that one of our pages sends. Raises Refusal."""
    if "origin" not in request.headers:
        raise Refusal(403, "cross_origin", "forms are taken from pages of this service only")
    body = await read_body(request, "application/x-www-form-urlencoded", _MAX_FORM_BYTES)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100))
    except ValueError as error:
        raise Refusal(400, "invalid_form", f"the form can't be read: {error}") from None
