"""The console in a real browser: every page with real calls, in each language and theme, wide and narrow.

Whatever a page logs, loads from elsewhere, is refused by its policy, or axe-core finds seriously wrong fails.
"""

import os
from urllib.parse import quote

import pytest
from e2e import console_calls
from e2e.browser import Watched, running_browser
from e2e.processes import running_services
from lessllm.simulator import running_simulator

BY_USER = "SELECT user_id, count(*) AS calls FROM api_calls WHERE user_id IS NOT NULL GROUP BY 1"
PAGES = (
    *("/", "/console/calls", "/console/calls?live=1", "/console/compare", "/console/compare?by=provider"),
    *("/console/suggestions?wait=1", "/console/sql", f"/console/sql?q={quote(BY_USER)}", "/console/system"),
)
LOOKS = {
    "wide, light, English": {
        "color_scheme": "light",
        "locale": "en-GB",
        "viewport": {"width": 1280, "height": 900},
    },
    "narrow, dark, Chinese": {
        "color_scheme": "dark",
        "locale": "zh-CN",
        "viewport": {"width": 390, "height": 800},
    },
}


@pytest.fixture(scope="module")
def console(tools, tmp_path_factory):
    """The URL of a collector that has calls of all sorts."""
    del tools  # without them, nothing of this is started
    seed = int(os.environ["SEED"])
    folder = tmp_path_factory.mktemp("console")
    with (
        running_simulator(seed=seed) as provider,
        running_services(folder, console_calls.configuration(provider)) as services,
    ):
        console_calls.send(services.gateway.url, seed)
        yield services.collector.url


@pytest.fixture(scope="module")
def browser(console):
    del console  # first: while the browser runs, this thread has no other event loop
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module", params=LOOKS)
def reader(request, browser, console, tools):
    """Somebody who has signed in."""
    with browser.new_context(**LOOKS[request.param]) as context:
        watched = Watched(context.new_page(), console, tools)
        watched.go("/console/sign-in")
        watched.page.fill("#key", console_calls.KEY)
        watched.page.press("#key", "Enter")
        watched.page.wait_for_url(f"{console}/")
        yield watched


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_quiet_asks_nobody_else_and_has_no_serious_barrier(reader, path):
    reader.go(path)
    assert reader.page.evaluate("window.hacked") is None


def test_a_call_with_a_hostile_prompt_is_found_by_its_text_and_is_only_text(reader):
    reader.go("/console/calls?text=" + quote("<svg onload="))
    reader.page.click("table.calls tbody a")
    reader.page.wait_for_selector(".turn")
    for summary in reader.page.query_selector_all("summary"):
        summary.click()
    reader.judge("a hostile call")
    assert "{{ 7*7 }}" in reader.page.inner_text("main") and reader.page.evaluate("window.hacked") is None
    reader.page.click("[data-copies=replay]")
    assert reader.page.inner_text("#replay").startswith("lessllm replay ")


def test_a_statement_is_run_by_the_keyboard_and_a_refusal_is_shown(reader, console):
    reader.go("/console/sql")
    reader.page.fill("#q", "SELECT 6 * 7 AS answer")
    reader.page.press("#q", "Control+Enter")
    assert reader.page.inner_text(".result td") == "42"
    reader.page.goto(f"{console}/console/sql?q=DROP%20TABLE%20api_calls")
    assert "read_only" in reader.page.inner_text(".fault")
