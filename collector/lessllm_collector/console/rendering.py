"""Templates and values in, a page out, in the reader's language and colours.

Everything is escaped, whatever it is: what calls hold is hostile. A template that names what it was not given
fails. The policy lets a page run nothing, load nothing and send nothing but what this service serves.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from lessllm_shared import figures
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from lessllm_collector.console import shown
from lessllm_collector.console.language import LANGUAGES, Words, wanted_language
from lessllm_collector.console.static import asset

THEMES = ("auto", "light", "dark")
THEME_COOKIE = "lessllm_theme"
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # no-referrer would make the Origin of forms null
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
# The navigation: a page's name, its path, and the key of its word
PAGES: Mapping[str, str] = {
    "overview": "/",
    "calls": "/console/calls",
    "compare": "/console/compare",
    "suggestions": "/console/suggestions",
    "sql": "/console/sql",
    "system": "/console/system",
}


def link(path: str, *parameters: Mapping[str, Any], **more: Any) -> str:
    """A path with parameters; those that are None or empty are left out, lists are repeated."""
    merged = {name: value for one in (*parameters, more) for name, value in one.items()}
    kept = {name: value for name, value in merged.items() if value not in (None, "", [])}
    return f"{path}?{urlencode(kept, doseq=True)}" if kept else path


def page(
    request: Request, template: str, *, status: int = 200, signed_in: bool = False, **values: Any
) -> HTMLResponse:
    """The page that a template makes of these values."""
    words = Words(wanted_language(request))
    theme = request.cookies.get(THEME_COOKIE, "")
    html = _ENVIRONMENT.get_template(template).render(
        t=words,
        here=request.url.path,
        here_whole=link(request.url.path, _without_language(request)),
        theme=theme if theme in THEMES else THEMES[0],
        signed_in=signed_in,
        **values,
    )
    return HTMLResponse(html, status, HEADERS)


def redirect(path: str) -> RedirectResponse:
    """To one of our pages: a path that leads elsewhere becomes the first page's."""
    own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return RedirectResponse(path if own else "/", 303, HEADERS)


def _without_language(request: Request) -> dict[str, list[str]]:
    names = dict.fromkeys(request.query_params)
    return {name: request.query_params.getlist(name) for name in names if name != "lang"}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lessllm_collector.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "LANGUAGES": LANGUAGES,
        "PAGES": PAGES,
        "THEMES": THEMES,
        "asset": asset,
        "figures": figures,
        "link": link,
        "shown": shown,
    }
    return environment


_ENVIRONMENT = _environment()
