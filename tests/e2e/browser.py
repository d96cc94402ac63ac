"""A real browser on the console: Chromium without a window, from .ci/e2e-browser.

Pages leave that are watched: whatever they log, refuse or fetch from elsewhere is a complaint. Accessibility
is judged by axe-core.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

_QUIET = (  # it asks nobody but us
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",  # which can't be had as root in a container
)
_SERIOUS = {"serious", "critical"}


@contextlib.contextmanager
def running_browser() -> Iterator[Browser]:
    """Chromium, while the block runs."""
    program = shutil.which("chromium")
    assert program, "chromium is not installed: bash .ci/e2e-browser"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_QUIET))
        yield browser
        browser.close()


class Watched:
    """A page of the console, and what there is to complain about."""

    def __init__(self, page: Page, url: str, tools: Path) -> None:
        self.page = page
        self.complaints: list[str] = []
        self._url = url
        self._axe = (tools / "node_modules/axe-core/axe.min.js").read_text("utf-8")
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        page.on("request", self._asked)

    def go(self, path: str) -> None:
        """Opens a page, and judges it as far as all pages are, once all its parts are there."""
        self.complaints = []
        answer = self.page.goto(f"{self._url}{path}", wait_until="load")
        assert answer and answer.status == 200, (path, answer and answer.status)
        self.page.wait_for_selector("[data-loads]:not([data-loaded])", state="detached")
        self.judge(path)

    def judge(self, where: str) -> None:
        """Fails if anything is to be complained about in what is shown."""
        self.complaints += [f"axe: {one}" for one in self._barriers()]
        wide = self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        if wide:
            self.complaints.append("wider than the window")
        assert not self.complaints, f"{where}:\n" + "\n".join(self.complaints)

    def _barriers(self) -> list[str]:
        if not self.page.evaluate("typeof axe !== 'undefined'"):
            self.page.evaluate(self._axe)
        found: dict[str, Any] = self.page.evaluate(
            "axe.run(document, {resultTypes: ['violations'],"
            " runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})"
        )
        return [
            f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
            for one in found["violations"]
            if one["impact"] in _SERIOUS
            for node in one["nodes"]
        ]

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self._url}/", "data:")):
            self.complaints.append(f"a request to {urlsplit(request.url).netloc}")
