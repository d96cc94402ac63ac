"""Who may see pages, how they are refused, and in which language and colours they come."""

import re
import string
from importlib.resources import files

import pytest
from collector.console.conftest import KEY, URL
from lessllm_collector.console.language import LANGUAGES, MESSAGES

FORM = {"origin": URL}


async def sign_in(visitor, key=KEY, after="/console/system?x=1"):
    return await visitor.post("/console/sign-in", data={"key": key, "next": after}, headers=FORM)


async def test_without_a_key_pages_are_open_and_nobody_is_asked_to_sign_in(visit):
    async with visit() as visitor:
        page = await visitor.get("/")
        assert page.status_code == 200 and "sign-out" not in page.text
        assert (await visitor.get("/console/sign-in")).headers["location"] == "/"


async def test_the_key_opens_pages_until_one_signs_out_and_leads_to_where_one_wanted_to_go(visit):
    async with visit(KEY) as visitor:
        asked = await visitor.get("/console/nowhere", params={"x": "1 2"})
        assert asked.status_code == 303
        assert asked.headers["location"] == "/console/sign-in?next=%2Fconsole%2Fnowhere%3Fx%3D1%2B2"
        entered = await sign_in(visitor)
        assert (entered.status_code, entered.headers["location"]) == (303, "/console/system?x=1")
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and KEY not in cookie
        assert (await visitor.get("/")).status_code == 200
        await visitor.post("/console/sign-out", headers=FORM, data={"any": ""})
        assert (await visitor.get("/")).status_code == 303


async def test_a_wrong_key_or_a_made_up_cookie_opens_nothing(visit):
    async with visit(KEY) as visitor:
        refused = await sign_in(visitor, KEY + "x")
        assert refused.status_code == 403 and "set-cookie" not in refused.headers
        genuine = (await sign_in(visitor)).cookies["lessllm_console"]
        until, _, proof = genuine.partition(".")
        for made_up in (f"{int(until) + 1}.{proof}", f"{until}.{'0' * 64}", ".", "1.", f"²{until}.{proof}"):
            visitor.cookies.clear()
            cookie = {"cookie": f"lessllm_console={made_up}".encode()}
            assert (await visitor.get("/", headers=cookie)).status_code == 303, made_up
    async with visit("another key", headers={"cookie": f"lessllm_console={genuine}"}) as visitor:
        assert (await visitor.get("/")).status_code == 303


async def test_programs_show_the_key_as_they_do_to_the_api(visit):
    async with visit(KEY, headers={"authorization": f"Bearer {KEY}"}) as program:
        assert (await program.get("/")).status_code == 200


@pytest.mark.parametrize("path", ["sign-in", "sign-out", "preferences"])
@pytest.mark.parametrize(
    "headers", [{}, {"origin": "http://evil.test"}, {"origin": "null"}], ids=["none", "another", "null"]
)
async def test_a_form_of_another_origin_or_of_none_is_refused(visit, path, headers):
    async with visit(KEY) as visitor:
        answer = await visitor.post(f"/console/{path}", data={"key": KEY, "theme": "dark"}, headers=headers)
        assert answer.status_code == 403 and "set-cookie" not in answer.headers


@pytest.mark.parametrize("after", ["//evil.test", "/\\evil.test", "https://evil.test", "/\t/evil.test", ""])
async def test_nobody_is_led_away_from_the_console(visit, after):
    async with visit(KEY) as visitor:
        assert (await sign_in(visitor, after=after)).headers["location"] == "/"


async def test_the_language_is_that_of_the_url_else_the_chosen_one_else_the_browsers(visit):
    async def language(visitor, path="/", **headers):
        return re.search(r'<html lang="([^"]+)"', (await visitor.get(path, headers=headers)).text)[1]

    async with visit() as visitor:
        assert await language(visitor) == "en"
        assert await language(visitor, **{"accept-language": "fr, zh-TW;q=0.8, en;q=0.5"}) == "zh-CN"
        assert await language(visitor, "/?lang=zh") == "zh-CN"
        assert await language(visitor, "/?lang=tlh") == "en"
        data = {"language": "zh", "theme": "dark", "next": "/"}
        await visitor.post("/console/preferences", data=data, headers=FORM)
        assert await language(visitor) == "zh-CN" and 'data-theme="dark"' in (await visitor.get("/")).text
        assert await language(visitor, "/?lang=en") == "en"


async def test_what_is_refused_is_a_page_that_says_why(visit):
    async with visit() as visitor:
        for path, status, code in (
            ("/console/nowhere", 404, "not_found"),
            ("/?period=1y", 400, "invalid_period"),
            ("/?from=yesterday", 400, "invalid_date"),
            ("/?from=2026-11-02&to=2026-11-01", 400, "invalid_period"),
        ):
            answer = await visitor.get(path)
            assert answer.status_code == status and f"<code>{code}</code>" in answer.text, path
            assert answer.headers["content-type"].startswith("text/html")


async def test_every_page_forbids_the_browser_what_it_does_not_need(visit):
    async with visit(KEY) as visitor:
        for path in ("/console/sign-in", "/", "/console/nowhere"):
            policy = (await visitor.get(path)).headers["content-security-policy"]
            assert policy.startswith("default-src 'none';") and "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy


async def test_static_files_are_kept_by_browsers_and_their_names_change_with_them(visit):
    async with visit(KEY) as visitor:
        page = (await visitor.get("/console/sign-in")).text
        path = re.search(r'href="(/console/static/\w+/app\.css)"', page)[1]
        answer = await visitor.get(path)
        assert answer.headers["content-type"] == "text/css; charset=utf-8"
        assert "immutable" in answer.headers["cache-control"]
        assert (await visitor.get("/console/static/x/..%2Frouter.py")).status_code in {303, 404}
        assert (await visitor.get("/console/static/x/none.css")).status_code == 404


def test_both_languages_fill_in_the_same_fields():
    def fields(text):
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}

    for key, message in MESSAGES.items():
        texts = [getattr(message, language) for language in LANGUAGES]
        assert all(text.strip() for text in texts), key
        assert len({frozenset(fields(text)) for text in texts}) == 1, key


def test_every_message_that_a_template_names_exists():
    folder = files("lessllm_collector.console") / "templates"
    named = {
        key for file in folder.iterdir() for key in re.findall(r"\bt\('([a-z_.0-9]+)'[,)]", file.read_text())
    }
    assert named and named <= MESSAGES.keys()
