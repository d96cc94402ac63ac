"""`lessllm sensitive`: what people and programs see."""

import json

ROW = {"kind": "email", "findings": 3, "calls": 2, "last_call": "2026-11-25T12:00:00.000000Z"}
FOUND = {
    **ROW,
    "user_id": "ann",
    "client_key": None,
    "model": "gpt-5",
    "provider": None,
    "policy": "flag",
    "request_ids": ["01a21063-3a69-7343-999c-e17d73b36454"],
}
REPORT = {"calls": 10, "looked_at": 8, "with_findings": 2, "blocked": 1, "by_kind": [ROW], "found": [FOUND]}


def test_who_sent_what_where(run, stub):
    stub.answers_with("GET", "/sensitive", REPORT)
    out = run("sensitive", "--days", "1", "--url", stub.url).out
    assert (
        "The last day: sensitive data in 2 of 8 calls looked at, 2 calls not looked at, 1 call blocked" in out
    )
    for shown in ("email", "ann", "gpt-5", "flag", "e17d73b36454"):
        assert shown in out
    assert stub.last[1] == "/sensitive?days=1"


def test_nothing_found(run, stub):
    stub.answers_with("GET", "/sensitive", {**REPORT, "with_findings": 0, "by_kind": [], "found": []})
    assert "sensitive data in 0 of 8 calls" in run("sensitive", "--url", stub.url).out
    stub.answers_with("GET", "/sensitive", {**REPORT, "calls": 0, "by_kind": [], "found": []})
    assert run("sensitive", "--url", stub.url).out == "no calls in the last 7 days\n"


def test_json_is_what_the_collector_says(run, stub):
    stub.answers_with("GET", "/sensitive", REPORT)
    assert json.loads(run("sensitive", "--json", "--url", stub.url).out) == REPORT
