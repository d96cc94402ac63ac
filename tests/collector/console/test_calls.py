"""The pages of calls: what is listed and found, and that whatever a call holds is only text."""

import itertools
import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from collector.conftest import add, call
from lessllm_collector.calls import row
from lessllm_collector.console import as_curl, calls, conversation, listing, parts_of_cost
from lessllm_collector.console.period import Period
from lessllm_shared.record import ApiFormat, Attempt, EndReason

EVER = {"from": "2026-11-01", "to": "2026-11-09"}
BIDI = "\u202etxt.exe\u2066"
HOSTILE = (
    f"<script>alert(1)</script><img src=x onerror=alert(1)>\"' onload='x {{{{7*7}}}} {BIDI} \x00\x1b[31m"
)


class Page(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return "".join(self.texts)

    def links(self, begin=""):
        return [
            a.get("href", "") for tag, a in self.tags if tag == "a" and a.get("href", "").startswith(begin)
        ]

    @property
    def ids(self):
        return [attributes["data-id"] for tag, attributes in self.tags if "data-id" in attributes]


async def opened(visitor, path, expected=200, /, **parameters):
    answer = await visitor.get(path, params=parameters or None)
    assert answer.status_code == expected, answer.text[-2000:]
    return Page(answer.text)


def chat(*contents, **fields):
    messages = [{"role": "user", "content": content} for content in contents]
    body = json.dumps({"model": "gpt-4o", "messages": messages}).encode()
    return {"request_body": body, "request_body_bytes": len(body), **fields}


def row_of(store, request_id):
    with store.cursor() as connection:
        return row(connection, request_id)


async def test_the_newest_calls_come_first_and_pages_follow_each_other_without_gaps(
    visit, store, monkeypatch
):
    monkeypatch.setattr(listing, "PAGE_ROWS", 2)
    same_moment = [call(3, request_id=f"c{n}") for n in range(3)]
    add(store, [call(0, request_id="a"), call(1, request_id="b"), *same_moment])
    seen, path = [], f"{calls.PATH}?from=2026-11-01"
    async with visit() as visitor:
        while path:
            page = await opened(visitor, path)
            seen.append(page.ids)
            path = next((link for link in page.links(calls.PATH) if "before=" in link), None)
    assert seen == [["c2", "c1"], ["c0", "b"], ["a"]]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"model": "mine"}, ["b"]),
        ({"user": "bob"}, ["c"]),
        ({"end": "rejected"}, ["d"]),
        ({"status": "4xx"}, ["d"]),
        ({"status": "200", "user": "ann"}, ["a"]),
        ({"slower_ms": "406.5"}, ["c"]),
        ({"dearer_usd": "0.002105"}, ["c", "b"]),
        ({"session": "s"}, ["b"]),
        ({"sensitive": "1"}, ["c"]),
        ({"text": 'say "hi"\nnow'}, ["b"]),
        ({"text": "你好"}, ["a"]),
        ({"text": "HELLO"}, []),
        ({"model": "nobody's"}, []),
        ({"period": "24h"}, None),
    ],
)
async def test_filters_choose(visit, store, filters, expected):
    add(
        store,
        [
            call(0, request_id="a", **chat("你好")),
            call(
                1,
                request_id="b",
                model="mine",
                upstream_model="mine",
                user_id=None,
                session_id="s",
                **chat('say "hi"\nnow'),
            ),
            call(2, request_id="c", user_id="bob", sensitive_policy="flag", sensitive_findings={"email": 1}),
            call(
                0,
                request_id="d",
                status_code=401,
                end_reason=EndReason.REJECTED,
                user_id=None,
                response_body=b"",
            ),
        ],
    )
    with store.cursor() as connection:
        connection.execute("UPDATE internal.calls SET sensitive_findings = '{}' WHERE request_id <> 'c'")
    async with visit() as visitor:
        page = await opened(visitor, calls.PATH, **({} if "period" in filters else EVER), **filters)
    assert page.ids == (expected or [])
    assert ("No calls match" in page.text) == (not expected)


@pytest.mark.parametrize("wrong", [{"status": "4x"}, {"slower_ms": "fast"}, {"before": "x"}, {"from": "x"}])
async def test_a_filter_that_means_nothing_is_refused_on_a_page(visit, wrong):
    async with visit() as visitor:
        assert next(iter(wrong)) in (await opened(visitor, calls.PATH, 400, **wrong)).text


def test_a_search_for_text_ends_with_its_time_and_goes_on_from_there(store):
    add(store, [call(n, request_id=f"c{n}", **chat("needle" if n == 1 else "hay")) for n in range(100)])
    until = datetime(2026, 11, 6, tzinfo=UTC)
    period = Period("custom", until - timedelta(days=6), until)
    found, before, pages = [], None, 0
    clock = itertools.count(0, listing.SEARCH_S / 4)  # each look at it is as much later
    with store.cursor() as connection:
        while pages == 0 or before:
            page = listing.look(
                connection, listing.Wanted(text="needle"), period, before, lambda: next(clock)
            )
            found, before, pages = found + [one["request_id"] for one in page.calls], page.next, pages + 1
            assert page.paused == (page.next is not None)
    assert found == ["c1"] and pages > 3


async def test_whatever_a_call_holds_is_text_on_every_page(visit, store):
    add(
        store,
        [
            call(
                0,
                request_id="x",
                model=HOSTILE,
                user_id=HOSTILE,
                session_id=HOSTILE,
                tags={HOSTILE: HOSTILE},
                provider=HOSTILE,
                route=HOSTILE,
                upstream_url=HOSTILE,
                endpoint=f"/v1/{HOSTILE}",
                error_code=HOSTILE,
                error_message=HOSTILE,
                end_reason=EndReason.UPSTREAM_ERROR,
                request_headers=[(HOSTILE, HOSTILE)],
                response_body=json.dumps({"choices": [{"message": {"content": HOSTILE}}]}).encode(),
                attempts=[Attempt(provider=HOSTILE, url="u", route=HOSTILE, start_ns=0, error_code=HOSTILE)]
                * 2,
                **chat(HOSTILE, [{"type": "text", "text": HOSTILE}, {"type": HOSTILE, HOSTILE: HOSTILE}]),
            )
        ],
    )
    async with visit() as visitor:
        pages = [await opened(visitor, calls.PATH, **EVER), await opened(visitor, f"{calls.PATH}/x")]
        pages.append(await opened(visitor, f"{calls.PATH}/x", lang="zh"))
    for page in pages:
        scripts = [attributes for tag, attributes in page.tags if tag == "script"]
        assert all(attributes["src"].startswith("/console/static/") for attributes in scripts)
        assert not [tag for tag, _ in page.tags if tag in {"img", "iframe", "style"}]
        names = {name for _, attributes in page.tags for name in attributes}
        assert not [name for name in names if name.startswith("on") or name == "style"]
        assert "<script>alert(1)</script>" in page.text and "{{7*7}}" in page.text
        assert "[U+202E]txt.exe[U+2066]" in page.text and "[U+001B]" in page.text
        hidden = re.search("[\u202e\u2066\x00\x1b]", page.text)
        assert not hidden, page.text[hidden.start() - 100 : hidden.end() + 40]


async def test_a_large_body_is_cut_on_the_page_and_whole_below_it(visit, store):
    content = "x" * 3_000_000
    add(store, [call(0, request_id="x", **chat(content, *["short"] * 2000))])
    async with visit() as visitor:
        page = await visitor.get(f"{calls.PATH}/x")
        assert page.status_code == 200 and len(page.content) < 700_000
        (link,) = Page(page.text).links(f"{calls.PATH}/x/request_body")
        whole = await visitor.get(link)
    assert json.loads(whole.content)["messages"][0]["content"] == content
    assert (
        whole.headers["content-type"].startswith("text/plain")
        and "sandbox" in whole.headers["content-security-policy"]
    )


@pytest.mark.parametrize(
    "path", ["nobody", "nobody/request_body", "x/error_message", "x/upstream_request_body"]
)
async def test_what_is_not_there_is_a_page_that_says_so(visit, store, path):
    add(store, [call(0, request_id="x")])
    async with visit() as visitor:
        await opened(visitor, f"{calls.PATH}/{path}", 404)


def test_the_part_of_a_prompt_that_an_earlier_call_had_is_marked_up_to_the_first_difference(store):
    add(
        store,
        [
            call(0, request_id="other", **chat("alpha")),
            call(1, request_id="before", **chat("one", "it is 12:00 now", "x")),
            call(2, request_id="now", **chat("one", "it is 13:37 now", "x")),
        ],
    )
    with store.cursor() as connection:
        connection.execute("UPDATE internal.calls SET cache_scope = 's'")
        found = conversation.of(connection, row(connection, "now"))
        first = conversation.of(connection, row(connection, "other"))
    assert [(turn.kind, turn.same, turn.rest) for turn in found.turns] == [
        ("user", "one", ""),
        ("user", "it is 1", "3:37 now"),
        ("user", "", "x"),
    ]
    assert (found.earlier, found.difference.path) == ("before", "messages[1].content")
    assert 0.2 < found.same_share < 0.6
    assert first.earlier is None and first.turns[0].rest == "alpha"


def test_tools_results_and_images_are_readable_and_come_in_the_models_order(store):
    body = {
        "tools": [{"name": "look", "description": "Looks up", "input_schema": {"type": "object"}}],
        "system": [{"type": "text", "text": "Be kind", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "1", "name": "look", "input": {"q": "é"}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "found"}]},
            {
                "role": "user",
                "content": [{"type": "image", "source": {"type": "base64", "data": "QUJD" * 999}}],
            },
        ],
    }
    record = call(
        0,
        request_id="x",
        request_body=json.dumps(body).encode(),
        api_format=ApiFormat.MESSAGES,
        upstream_format=ApiFormat.MESSAGES,
    )
    add(store, [record])
    with store.cursor() as connection:
        turns = conversation.of(connection, row(connection, "x")).turns
    assert [turn.kind for turn in turns] == ["tools", "system", "tool_use", "tool_result", "image"]
    assert turns[0].rest.startswith("look\nLooks up\n") and (turns[1].rest, turns[1].is_marked) == (
        "Be kind",
        True,
    )
    assert turns[2].rest == 'look\n{\n  "q": "é"\n}' and turns[3].rest == "found"
    assert "sha256:" in turns[4].rest and "QUJD" not in turns[4].rest


def test_the_parts_of_a_cost_add_up_to_it(store):
    add(store, [call(0, request_id="x")])
    found = row_of(store, "x")
    parts = parts_of_cost.parts(found)
    assert [(part.name, part.tokens) for part in parts] == [("fresh", 600), ("read", 400), ("output", 10)]
    assert sum(part.usd for part in parts) == pytest.approx(found["estimated_cost_usd"])


def test_a_curl_command_sends_the_same_without_any_credential(store):
    body = json.dumps({"messages": [{"role": "user", "content": 'it\'s $HOME `id` \\ "x"\n\x1b[31m é'}]})
    headers = [
        ("Authorization", "Bearer fp_0123456789abcdef"),
        ("content-type", "application/json"),
        ("x-lessllm-user", "ann'; id"),
        ("cookie", "fp_0123456789abcdef"),
        ("user-agent", "x"),
    ]
    add(
        store,
        [
            call(
                0,
                request_id="x",
                request_headers=headers,
                request_body=body.encode(),
                request_body_bytes=len(body.encode()),
            )
        ],
    )
    command = as_curl.command(row_of(store, "x"))
    assert "fp_" not in command
    show = f"curl() {{ printf '%s\\0' \"$@\"; }}; API_KEY=mine; {command}"
    given = (
        subprocess.run(["bash", "-c", show], capture_output=True, check=True).stdout.decode().split("\0")[:-1]
    )
    assert given[:4] == ["-sS", "-X", "POST", "http://127.0.0.1:8000/v1/chat/completions"]
    assert given[4:-2] == [
        "-H",
        "authorization: Bearer mine",
        "-H",
        "content-type: application/json",
        "-H",
        "x-lessllm-user: ann'; id",
    ]
    assert given[-2] == "--data-binary" and json.loads(given[-1]) == json.loads(body)


@pytest.mark.parametrize(
    ("now", "shown"),
    [(("one", "two", "three"), "The earlier prompt ended there."), (("one", "twelve"), "Then")],
)
async def test_the_page_leads_to_the_earlier_call_and_to_the_first_difference(visit, store, now, shown):
    add(store, [call(0, request_id="before", **chat("one", "two")), call(1, request_id="now", **chat(*now))])
    with store.cursor() as connection:
        connection.execute("UPDATE internal.calls SET cache_scope = 's'")
    async with visit() as visitor:
        page = await opened(visitor, f"{calls.PATH}/now")
    assert f"{calls.PATH}/before" in page.links() and "#difference" in page.links()
    assert [tag for tag, attributes in page.tags if attributes.get("id") == "difference"] == ["article"]
    assert shown in page.text
