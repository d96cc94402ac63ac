"""The page of an API: it says all, runs nothing, and asks nobody for anything."""

import html
from html.parser import HTMLParser

from fastapi import FastAPI
from lessllm_shared import api_page

EVIL = '</pre><script src="https://evil.test/x.js">&'


def _api() -> FastAPI:
    app = FastAPI(title=f"An API {EVIL}", docs_url=None)
    answer = {200: {"description": EVIL, "content": {"text/x": {"example": {"a": EVIL}}}}}

    @app.get("/calls/{name}", summary=EVIL, responses=answer)
    def calls(name: str, limit: int = 50) -> None:
        """Those of a name."""

    return app


def test_each_operation_is_there_with_parameters_and_answers() -> None:
    page = html.unescape(api_page.page(_api().openapi()))
    for part in ("GET /calls/{name}", "Those of a name.", "integer, 50 unless given", '"a":', "422: "):
        assert part in page


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes.update(attrs)


def test_nothing_on_it_runs_or_comes_from_elsewhere() -> None:
    tags = _Tags()
    tags.feed(api_page.page(_api().openapi()))
    assert tags.names <= {
        *("html", "meta", "title", "style", "h1", "h2", "p", "a", "b", "code", "pre", "table", "tr", "td")
    }
    assert tags.attributes == {("lang", "en"), ("charset", "utf-8"), ("href", "/openapi.json")}
    assert "default-src 'none'" in api_page.HEADERS["content-security-policy"]
