"""`lessllm compare`, against real services and the simulated provider."""

import json
import os
import re
import signal
import socket
import statistics
import subprocess
import threading
import time

import pyarrow.parquet as pq
import pytest
import yaml

from .conftest import QUESTION

pytestmark = pytest.mark.usefixtures("here")

LONG = {**QUESTION, "messages": [{"role": "system", "content": "Be kind. " * 900}, *QUESTION["messages"]]}


def run_of(used, session):
    return used.rows("session_id = ?", session)


def report(result):
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_recorded_calls_go_to_every_model_and_their_figures_stand_side_by_side(run, used):
    ids = [used.call(), used.call("/v1/messages", {**QUESTION, "model": "claude-sonnet-5", "max_tokens": 50})]
    result = run("compare", *ids, "--models", "own/gpt-4o, claude-sonnet-5", "--repeat", "3")
    assert (result.code, result.err) == (0, "")
    first, how, _, heading, _, *rows = result.out.splitlines()
    session = how.rpartition(" ")[2]
    calls = run_of(used, session)
    cost_usd = sum(call["estimated_cost_usd"] for call in calls if call["estimated_cost_usd"] is not None)
    assert cost_usd > 0
    assert first.startswith("12 calls, $")
    titles = "model calls failed TTFT TPOT total cost tokens out tokens/s cached"
    assert heading.split() == titles.split()
    assert [row.split()[:3] for row in rows[:4:2]] == [
        ["own/gpt-4o", "6", "0"],
        ["claude-sonnet-5", "6", "0"],
    ]
    assert all(row.startswith("  p10 to p90") for row in rows[1:4:2])
    assert {call["tags"] and json.loads(call["tags"])["replay_of"] for call in calls} == set(ids)
    assert {(call["model"], call["api_format"]) for call in calls} == {
        (model, api_format)
        for model in ("own/gpt-4o", "claude-sonnet-5")
        for api_format in ("openai-chat", "anthropic-messages")
    }


def test_the_figures_are_those_of_the_records(run, used):
    found = report(run("compare", used.call(), "--models", "gpt-4o,nobody", "--repeat", "5", "--json"))
    assert (found["planned_calls"], found["calls"], found["stopped"]) == (10, 10, None)
    good, bad = found["models"]
    rows = [call for call in run_of(used, found["session"]) if call["model"] == "gpt-4o"]
    latencies = [call["total_latency_ms"] for call in rows]
    figure = good["figures"]["total_latency_ms"]
    assert figure["n"] == good["calls"] == good["complete_calls"] == 5
    assert figure["p50"] == pytest.approx(statistics.median(latencies))
    tenths = statistics.quantiles(latencies, n=10, method="inclusive")
    assert [figure["p10"], figure["p90"]] == pytest.approx([tenths[0], tenths[-1]])
    assert found["cost_usd"] == pytest.approx(sum(call["estimated_cost_usd"] for call in rows))

    assert (bad["calls"], bad["complete_calls"]) == (5, 0)
    assert bad["figures"]["total_latency_ms"] == {"n": 0, "p10": None, "p50": None, "p90": None}
    (failure,) = bad["failures"]
    assert (failure["calls"], failure["status_code"], failure["error_code"]) == (5, 404, "model_not_found")


def test_failures_are_counted_by_model_and_in_no_figure(run, used):
    result = run("compare", used.call(), "--models", "gpt-4o,down/x,nobody")
    assert result.code == 0
    assert "3 calls, $" in result.out and ", 2 failed" in result.out
    failures = result.out.partition("What failed, and is in no figure above")[2]
    assert [line.split()[:4] for line in failures.splitlines()[4:]] == [
        ["down/x", "1", "502", "connect_error"],
        ["nobody", "1", "404", "upstream_error"],
    ]
    every = run("compare", used.call(), "--models", "nobody")
    assert (every.code, every.err) == (1, "lessllm: every call failed\n")


def test_models_take_turns_in_being_first_and_repeats_come_last(run, used):
    ids = [used.call(), used.call(body={**QUESTION, "temperature": 0})]
    models = ["gpt-4o", "gpt-4o-mini", "gpt-4.1"]
    options = ("--repeat", "2", "--concurrency", "1", "--json")
    found = report(run("compare", *ids, "--models", ",".join(models), *options))
    calls = run_of(used, found["session"])
    tags = [json.loads(call["tags"]) for call in calls]
    assert [(tag["repeat"], tag["request"]) for tag in tags] == [
        (repeat, request) for repeat in "12" for request in "12" for _ in models
    ]
    turns = [calls[i]["model"] for i in range(0, 12, 3)]
    assert turns == ["gpt-4o", "gpt-4o-mini", "gpt-4o-mini", "gpt-4.1"]
    assert all({call["model"] for call in calls[i : i + 3]} == set(models) for i in range(0, 12, 3))


def test_the_calls_are_exported_with_every_column(run, used, tmp_path):
    recorded = used.call()
    options = ("--parquet", "compared.parquet", "--json")
    result = run("compare", recorded, "--models", "gpt-4o,gpt-4.1", *options)
    table = pq.read_table(tmp_path / "compared.parquet")
    assert result.err.startswith("compared.parquet: 2 calls, ")
    assert table["session_id"].to_pylist() == [report(result)["session"]] * 2
    run("export", "all.parquet")
    assert table.schema == pq.read_schema(tmp_path / "all.parquet")

    nowhere = run("compare", recorded, "--models", "gpt-4o", "--parquet", "nowhere/x.parquet")
    assert (nowhere.code, nowhere.out) == (1, "")  # nothing was spent
    assert nowhere.err == "lessllm: nowhere/x.parquet: can't be written: No such file or directory\n"


def test_prompts_come_from_text_or_json_lines(run, used, tmp_path):
    (tmp_path / "p.txt").write_text("What is two and two?\n\nName a river.\n")
    found = report(run("compare", "--prompts", "p.txt", "--models", "claude-sonnet-5", "--json"))
    asked = [(call["streaming"], json.loads(call["raw_request"])) for call in run_of(used, found["session"])]
    assert sorted((stream, body["messages"][0]["content"]) for stream, body in asked) == [
        (True, "Name a river."),
        (True, "What is two and two?"),
    ]
    lines = [
        {"prompt": "Hello", "max_completion_tokens": 9},
        {"model": "replaced", "messages": [{"role": "user", "content": "Hi"}], "stream": False},
        {
            "custom_id": "1",
            "url": "/v1/messages",
            "body": {"max_tokens": 9, "messages": QUESTION["messages"]},
        },
    ]
    text = "\n".join(map(json.dumps, lines))
    options = ("--models", "claude-sonnet-5", "--concurrency", "1", "--json")
    found = report(run("compare", "--prompts", "-", *options, stdin=text))
    calls = run_of(used, found["session"])
    assert [(call["api_format"], call["streaming"], call["end_reason"]) for call in calls] == [
        ("openai-chat", True, "complete"),
        ("openai-chat", False, "complete"),
        ("anthropic-messages", True, "complete"),
    ]
    assert json.loads(calls[0]["raw_request"])["max_completion_tokens"] == 9


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is no prompt in it"),
        ('{"prompt": "a"}\nb', "line 2 is not JSON, as the first line seems to be"),
        ('{"prmopt": "a"}', 'line 1 has none of "prompt", "messages", and "url" with "body"'),
        ('{"url": "/v1/files", "body": {}}', "line 1: url must be one of /v1/chat/completions"),
    ],
)
def test_a_wrong_file_of_prompts_names_its_line(run, text, reason):
    result = run("compare", "--prompts", "-", "--models", "a", stdin=text)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("lessllm: -: ")
    assert reason in result.err


def test_a_file_of_prompts_that_can_not_be_read_is_named(run, tmp_path):
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    for name, reason in (("latin", "is not text in UTF-8"), ("none", "can't be read: No such file")):
        result = run("compare", "--prompts", name, "--models", "a")
        assert (result.code, result.out) == (1, "")
        assert result.err.startswith(f"lessllm: {name}: {reason}")


def test_calls_are_chosen_by_sql_model_and_session_and_never_those_made_again(run, used):
    wanted = used.call(**{"x-lessllm-session": "s-1"})
    used.call(body={**QUESTION, "model": "gpt-4o"}, **{"x-lessllm-session": "s-1"})
    used.call("/v1/models", b"", method="GET", **{"x-lessllm-session": "s-1"})
    assert run("replay", wanted).code == 0

    def chosen(*options):
        found = report(run("compare", *options, "--models", "gpt-4.1", "--json"))
        return [json.loads(call["tags"])["replay_of"] for call in run_of(used, found["session"])]

    assert chosen("--session", "s-1", "--model", "gpt-4.1-mini") == [wanted]
    assert chosen("--where", f"request_id = '{wanted}' -- this one") == [wanted]
    newest = used.call()
    report(run("compare", "--prompts", "-", "--models", "gpt-4.1", "--json", stdin="Hello"))
    assert chosen("--last", "1") == [newest]  # not the calls of the comparisons before

    nothing = run("compare", "--session", "nobody's", "--models", "gpt-4.1")
    assert (nothing.code, nothing.err) == (1, "lessllm: no recorded call was chosen that can be sent again\n")
    wrong = run("compare", "--where", "modle = 'x'", "--models", "gpt-4.1")
    assert (wrong.code, wrong.out) == (1, "")
    assert 'Referenced column "modle" not found' in wrong.err


def test_chosen_calls_that_can_not_be_sent_again_are_named_and_left_out(run, used):
    session = {"x-lessllm-session": "s-2"}
    broken, good = used.call(body=b'{"model": "gpt-4o", "mess', **session), used.call(**session)
    result = run("compare", "--session", "s-2", "--models", "gpt-4.1", "--json")
    assert report(result)["calls"] == 1
    assert result.err == f"left out: {broken}: the request's body is not a JSON object\n"
    named = run("compare", good, broken, "--models", "gpt-4.1")
    assert (named.code, named.out) == (1, "")
    assert broken in named.err


def test_calls_come_from_one_place(run, used):
    for arguments in ((), ("x", "--last", "1"), ("--last", "1", "--prompts", "-")):
        result = run("compare", *arguments, "--models", "a", stdin="hello")
        assert (result.code, result.out) == (2, "")
        assert "one of the three" in result.err
    assert run("compare", used.call(), "--models", " , ").code == 2
    assert "--models" in run("compare", "x").err


def test_many_calls_are_asked_about_first(run, used):
    recorded = used.call()
    many = ("compare", recorded, "--models", "gpt-4.1", "--repeat", "21")
    result = run(*many)
    assert (result.code, result.out) == (2, "")
    assert "that would be 21 calls to 1 model: --yes makes them" in result.err
    assert "21 calls, $" in run(*many, "--yes").out


def test_repeats_hit_prompt_caches_unless_prompts_are_fresh(run, used):
    recorded = used.call(body=LONG)

    def cached(*options):
        options = ("--models", "gpt-4.1-mini", "--repeat", "4", "--concurrency", "1", "--json", *options)
        found = report(run("compare", recorded, *options))
        return found["models"][0]["figures"]["actual_cache_hit_rate"]["p50"], run_of(used, found["session"])

    rate, calls = cached()
    assert rate > 0.9
    assert {call["raw_request"] for call in calls} == {json.dumps(LONG)}
    rate, calls = cached("--fresh")
    assert rate == 0
    assert len({call["raw_request"] for call in calls}) == 4


def test_streaming_can_be_chosen(run, used):
    recorded = used.call(body={**QUESTION, "stream": True, "stream_options": {"include_usage": True}})
    for option, streaming in ((), True), (("--no-stream",), False):
        found = report(run("compare", recorded, "--models", "gpt-4.1,claude-sonnet-5", "--json", *option))
        assert {(c["streaming"], c["end_reason"]) for c in run_of(used, found["session"])} == {
            (streaming, "complete")
        }


def test_it_stops_when_the_money_is_spent(run, used):
    options = ("--repeat", "20", "--concurrency", "2", "--max-cost-usd", "0.0000001")
    result = run("compare", used.call(), "--models", "gpt-4.1", *options)
    assert result.code == 1
    made = int(result.out.split()[0])
    assert 1 <= made <= 2  # no more than were under way
    assert f"{made} call" in result.out and " of 20, $" in result.out
    assert result.err.startswith(f"lessllm: stopped after {made} of 20 calls: the calls have cost as much as")


def test_without_a_gateway_nothing_is_sent(run, used):
    recorded = used.call()
    assert used.rows(
        "request_id = ?", recorded
    )  # waits for it: the gateway that is not there can't be asked to
    elsewhere = ("--url", used.collector_url, "--gateway-url", "http://127.0.0.1:9")
    result = run("compare", recorded, "--models", "gpt-4.1,gpt-4o", *elsewhere)
    assert result.code == 1
    assert result.err == (
        "lessllm: stopped after 0 of 2 calls: no gateway answers at http://127.0.0.1:9: is it running?\n"
    )


def test_without_a_collector_it_says_how_the_calls_are_found_later(run, used):
    elsewhere = ("--url", "http://127.0.0.1:9", "--gateway-url", used.url)
    result = run("compare", "--prompts", "-", "--models", "gpt-4.1", *elsewhere, stdin="Hi\nHello")
    assert (result.code, result.out) == (1, "")
    assert "nothing answers at http://127.0.0.1:9" in result.err
    session = re.search(r"; 2 calls ended, with the session (compare-\w+)\n", result.err)[1]
    assert len(run_of(used, session)) == 2

    limited = ("--max-cost-usd", "1", "--concurrency", "1")
    result = run("compare", "--prompts", "-", "--models", "gpt-4.1", *limited, *elsewhere, stdin="Hi\nHello")
    assert "; 1 call ended" in result.err  # no more are made than what they cost is known of


@pytest.mark.parametrize("columns", [40, 80, 140])
def test_it_fits_in_any_terminal(terminal, used, columns):
    options = ("--models", "gpt-4.1,claude-sonnet-5,nobody", "--repeat", "2")
    result = terminal("compare", used.call(), *options, columns=columns)
    assert result.code == 0
    shown = result.out[result.out.index("\n6 calls") if "\n6 calls" in result.out else 0 :]
    table = [line.rpartition("\r")[2] for line in shown.splitlines()]
    assert max(map(len, table)) <= columns
    for words in ("TTFT", "TPOT", "cost", "cached", "tokens/s", "model_not_found"):
        assert words in shown


@pytest.fixture
def hanging():
    """A provider that takes calls and never answers: its URL, and an event for its first call."""
    called = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def take():
            try:
                while True:
                    held.append(server.accept()[0])
                    called.set()
            except OSError:
                pass

        thread = threading.Thread(target=take)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1", called
        server.shutdown(socket.SHUT_RDWR)
        for connection in held:
            connection.close()
        thread.join(10)


def test_ctrl_c_ends_a_run_and_shows_what_there_is(lessllm_command, used, tmp_path, hanging):
    """By a server of its own, since one of its providers hangs."""
    from lessllm import Client

    url, called = hanging
    configuration = {
        **used.configuration,
        "logging": {"db_path": str(tmp_path / "own.duckdb")},
        "providers": {
            **used.configuration["providers"],
            "hangs": {"format": "openai", "base_url": url, "api_key": "sk-any", "proxy": "direct"},
        },
    }
    (tmp_path / "lessllm.yaml").write_text(yaml.safe_dump(configuration))
    client = Client()
    client.configure(configuration)
    try:
        (tmp_path / "p.txt").write_text("Hello")
        options = ("--models", "gpt-4.1,hangs/x,gpt-4o", "--concurrency", "1")
        process = subprocess.Popen(
            [lessllm_command, "compare", "--prompts", "p.txt", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        assert called.wait(30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (130, "")
        assert out.startswith("1 call of 3, $")
        assert [line.split()[:3] for line in out.splitlines() if line.startswith(("gpt", "hangs"))][:3] == [
            ["gpt-4.1", "1", "0"],
            ["hangs/x", "1", "1"],
            ["gpt-4o", "0", "0"],
        ]
        assert "client_cancelled" in out
        deadline_s = time.monotonic() + 20
        while (calls := client.query("SELECT end_reason FROM api_calls ORDER BY timestamp")) != [
            {"end_reason": "complete"},
            {"end_reason": "client_cancelled"},
        ]:
            assert time.monotonic() < deadline_s, calls
            time.sleep(0.05)
    finally:
        client.shutdown()
