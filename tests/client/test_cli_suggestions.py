"""`lessllm suggestions`: readable at 80 columns, with the difference marked, colours or not."""

import json

import httpx
import pytest
from lessllm import Client
from lessllm.simulator import running_simulator
from lessllm.state import ServerState

from .conftest import on_free_ports

ANSWER = {
    "since": "2026-11-18T12:00:00Z",
    "until": "2026-11-25T12:00:00Z",
    "calls": 412,
    "looked_at": 398,
    "cut": True,
    "loss_usd": 1.08,
    "projected_30_days_usd": 4.63,
    "projection": "if the next 30 days go on like the 7 days looked at",
    "found": 3,
    "suggestions": [
        {
            "kind": "volatile_early_content",
            "title": "A time in messages[0].content changes from call to call: the 8,000 tokens behind it are"
            " never read from cache",
            "provider": "openai",
            "model": "gpt-4.1",
            "api_format": "openai-chat",
            "calls": 90,
            "tokens": 720_000,
            "loss_usd": 1.08,
            "projected_30_days_usd": 4.63,
            "projection": "if the next 30 days go on like the 7 days looked at",
            "evidence": {
                "request_ids": ["01a21063-3a69-7343-999c-e17d73b36454"],
                "path": "messages[0].content",
                "before": {
                    "request_id": "01a21063-3a69-7343-999c-aaaaaaaaaaaa",
                    "text": 'role":"system"}{"type":"text","text":"It is 10:02:07.\\n'
                    + "You are kind. " * 10,
                    "start": 47,
                    "end": 49,
                },
                "after": {
                    "request_id": "01a21063-3a69-7343-999c-e17d73b36454",
                    "text": 'role":"system"}{"type":"text","text":"It is 10:03:07.\\n'
                    + "You are kind. " * 10,
                    "start": 47,
                    "end": 49,
                },
            },
            "change": "Put what changes at the end: into the last message, behind everything that stays the"
            " same.",
            "snippet": 'messages = [\n    {"role": "system", "content": INSTRUCTIONS},\n]',
        },
        {
            "kind": "write_never_read",
            "title": "5,000 tokens a call are written to the cache, and gone before a call reads them",
            "provider": "local",
            "model": "mine",
            "api_format": "gemini",
            "calls": 1,
            "tokens": 5000,
            "loss_usd": None,
            "projected_30_days_usd": None,
            "projection": "if the next 30 days go on like the 7 days looked at",
            "evidence": {"request_ids": ["r1"], "path": None, "before": None, "after": None},
            "change": "Write only what will be read in time.\x1b[31m",
            "snippet": None,
        },
    ],
}


@pytest.fixture
def asked(stub):
    stub.answers_with("GET", "/suggestions", ANSWER)
    return stub


def test_dollars_first_then_the_finding_the_marked_difference_and_the_change(run, asked):
    result = run("suggestions", "--url", asked.url)
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0] == "$1.08 could have been saved, $4.63 in 30 days"
    assert lines[2] == "1. $1.08 lost, $4.63 in 30 days"
    assert lines[3].startswith("  A time in messages[0].content changes")
    assert "It is 10:[02]:07." in result.out and "It is 10:[03]:07." in result.out
    assert "└ e17d73b36454" in result.out
    assert '        {"role": "system", "content": INSTRUCTIONS},' in lines
    assert "2. 5,000 tokens (no price is known)" in lines
    assert "and 1 more" in lines
    assert lines[-1].startswith("398 of 412 calls looked at, the newest. 30 days: if the next 30 days go on ")
    assert "\x1b" not in result.out


def test_it_fits_80_columns_with_colours_for_the_difference(terminal, asked):
    result = terminal("suggestions", "--url", asked.url, columns=80)
    assert result.code == 0
    assert max(map(len, result.out.splitlines())) <= 80
    assert "It is 10:02:07." in result.out


def test_programs_get_what_the_collector_says_and_it_what_was_asked_for(run, asked):
    result = run("suggestions", "--json", "--days", "3", "--user", "ann", "--limit", "2", "--url", asked.url)
    assert json.loads(result.out) == ANSWER
    assert asked.last[1] == "/suggestions?days=3&user=ann&limit=2"


@pytest.mark.parametrize(
    ("calls", "words"),
    [
        (0, "no calls with known tokens in the last 7 days: there is nothing to judge yet"),
        (412, "nothing to change: no loss worth telling in the last 7 days"),
    ],
)
def test_nothing_found_says_why(run, stub, calls, words):
    stub.answers_with("GET", "/suggestions", {**ANSWER, "calls": calls, "found": 0, "suggestions": []})
    result = run("suggestions", "--url", stub.url)
    assert result.code == 0
    assert result.out.startswith(words)


RULES = "".join(f"Rule {n}: be brief, kind and exact about matter {n}. " for n in range(400))  # 5,000 tokens
VERSION = {"anthropic-version": "2023-06-01"}


@pytest.fixture
def spent(tmp_path):
    """A server with calls that could have cost less. Gives its collector's URL."""
    with running_simulator() as provider_url:
        database = tmp_path / "calls.duckdb"
        client = Client()
        client.configure(on_free_ports(database, provider_url))
        running = ServerState(database).running()
        with httpx.Client(base_url=running.url, trust_env=False, timeout=30) as http:
            for n in range(6):
                chat = [
                    {"role": "system", "content": f"It is 2026-11-25 10:0{n}.\n{RULES}"},
                    {"role": "user", "content": f"Question {n}?"},
                ]
                said = {"model": "gpt-4.1", "messages": chat, "max_tokens": 5}
                assert http.post("/v1/chat/completions", json=said).is_success
                message = {"system": RULES, "messages": [{"role": "user", "content": f"Question {n}?"}]}
                said = {"model": "claude-sonnet-5", "max_tokens": 5, **message}
                assert http.post("/v1/messages", json=said, headers=VERSION).is_success
        client.flush()
        yield running.collector_url
        client.shutdown()


def test_calls_through_the_services_get_the_suggestions_that_they_deserve(run, spent):
    answer = json.loads(run("suggestions", "--json", "--url", spent).out)
    assert (answer["calls"], answer["looked_at"], answer["cut"]) == (12, 12, False)
    found = {one["kind"]: one for one in answer["suggestions"]}
    assert found.keys() == {"volatile_early_content", "missing_cache_control"}
    tokens = len(RULES) / 4  # as the simulated provider counts
    # gpt-4.1: five of six calls, $2 per million, r = 0.25.
    volatile = found["volatile_early_content"]
    assert volatile["loss_usd"] == pytest.approx(5 * tokens * 2e-6 * 0.75, rel=0.01)
    assert volatile["evidence"]["before"]["text"] != volatile["evidence"]["after"]["text"]
    # claude-sonnet-5: $2 per million, r = 0.1, w = 1.25.
    unmarked = found["missing_cache_control"]
    assert unmarked["loss_usd"] == pytest.approx(tokens * 2e-6 * (5 * 0.9 - 0.25), rel=0.01)
    assert "cache_control" in unmarked["snippet"]

    shown = run("suggestions", "--url", spent).out
    assert "A date in messages[0].content changes from call to call" in shown
    assert "It is 2026-11-25 10:[0" in shown
