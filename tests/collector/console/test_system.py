"""The page about LessLLM itself says what keeps it from its work, and what is missing."""

import pytest
from collector.conftest import add, call
from lessllm_collector import rows
from lessllm_shared.record import EndReason


async def text_of(visitor):
    answer = await visitor.get("/console/system")
    assert answer.status_code == 200
    return answer.text


async def test_an_empty_database_has_a_page_too(visit):
    async with visit() as visitor:
        page = await text_of(visitor)
    assert "Records are committed." in page and "No gateway has delivered anything yet." in page


async def test_why_records_can_not_be_committed_comes_first(visit, writer):
    writer.trouble = "no space left on <device>"
    async with visit() as visitor:
        page = await text_of(visitor)
    assert "Records can&#39;t be committed: no space left on &lt;device&gt;" in page
    assert page.index("no space left") < page.index('class="tiles"')


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_gateways_routes_and_gaps_are_those_of_the_calls(visit, store, hours_ago, language):
    def made(hours, **fields):
        return call(t0_unix_ns=int(hours_ago(hours).timestamp()) * 10**9, request_id=f"{hours}", **fields)

    proxy = "socks5://proxy:1080"
    refused = {"end_reason": EndReason.PROXY_ERROR, "route": proxy, "status_code": 502, "response_body": None}
    killed = {"end_reason": EndReason.GATEWAY_ERROR, "error_code": "gateway_killed"}
    add(store, [made(1), made(2, **refused), made(3, **killed), made(50, route="http://old:3128")])
    with store.cursor() as connection:
        rows.set_committed(connection, {"g": 4})
        rows.add_lost(connection, "g", 5, 9)
    async with visit() as visitor:
        page = (await visitor.get(f"/console/system?lang={language}")).text
    assert proxy in page and "direct" in page and "http://old:3128" not in page
    found = {
        "en": ("lost: memory and spool were full", "the gateway was killed"),
        "zh": ("丢失", "网关被终止"),
    }
    assert all(words in page for words in found[language])
