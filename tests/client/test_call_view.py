"""One call for people: what is unknown is left out, what is long is cut, and nothing moves the cursor."""

import json

from lessllm import call_view, tables
from lessllm_collector.schema import COLUMNS

UNKNOWN = {column.name: None for column in COLUMNS} | {
    "request_id": "01a21063-3a69-7343-999c-e17d73b36454",
    "timestamp": "2026-11-25T01:47:48.123456Z",
    "end_reason": "rejected",
    "method": "POST",
    "endpoint": "/v1/chat/completions",
    "api_format": "openai-chat",
    "streaming": False,
    "total_latency_ms": 0.3,
}


def shown(width=80, full=False, **columns):
    parts = call_view.view({**UNKNOWN, **columns}, width, full=full)
    return "\n".join(tables.as_text(part, width) for part in parts)


def test_what_is_unknown_is_left_out():
    text = shown(error_code="unknown_model", error_message="there is no such model")
    assert "unknown_model: there is no such model" in text
    for name in ("tokens", "cost", "cache", "speed", "provider", "who"):
        assert f"\n{name} " not in text
    assert "None" not in text


def test_bodies_may_be_json_text_bytes_or_gone():
    text = shown(raw_request={"model": "x"}, raw_response="<html>\n<h1>502</h1>\n</html>")
    assert '  "model": "x"' in text
    assert "<h1>502</h1>" in text
    assert shown().count("(none)") == 2
    assert "(1.2 MB, not kept or not text)" in shown(request_body_bytes=1_200_000)


def test_long_bodies_are_cut_and_whole_on_request():
    body = {"messages": [{"role": "user", "content": f"{i} " + "x" * 1000} for i in range(100)]}
    text = shown(raw_request=body)
    assert "more lines: --full shows them" in text and "characters more)" in text
    whole = shown(raw_request=body, full=True, width=2000)
    assert json.loads(whole[whole.index("{") : whole.rindex("}") + 1]) == body


def test_what_came_over_the_network_can_not_move_the_cursor():
    text = shown(raw_response="a\x1b[2Jb\nc\x07", model="\x1b]0;title\x07", user_id="u\r\nv")
    assert "\x1b" not in text and "\x07" not in text and "\r" not in text
    assert "a�[2Jb\n" in text


def test_ids_are_told_apart_by_their_random_part():
    assert call_view.short_id(UNKNOWN) == "e17d73b36454"
