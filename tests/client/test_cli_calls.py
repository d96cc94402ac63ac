"""`lessllm stats`, `calls`, `show` and `reanalyze`, over recorded calls."""

import json

import pytest
import yaml


@pytest.fixture(autouse=True)
def _here(recorded, tmp_path):
    """The working folder has the configuration of the server that runs."""
    (tmp_path / "lessllm.yaml").write_text(yaml.safe_dump(recorded.configuration))


def first(recorded, condition):
    return recorded.query(f"SELECT request_id FROM api_calls WHERE {condition} LIMIT 1")[0]["request_id"]


def rows_of(result):
    """Of the first table, by the first word."""
    _, _, heading, _, *lines = result.out.splitlines()
    end = lines.index("")
    return heading.split(), {line.split()[0]: line.split()[1:] for line in lines[:end]}


def test_stats_have_a_row_for_each_model_and_one_for_all(run):
    result = run("stats", "--days", "1")
    assert result.code == 0
    assert result.out.startswith("The last day: 16 calls, ")
    heading, rows = rows_of(result)
    assert heading[:8] == ["model", "calls", "errors", "cost", "TTFT", "TPOT", "cached", "predicted"]
    assert rows["gpt-4.1-mini"][:2] == ["6", "0"]
    assert list(rows)[-1] == "all" and rows["all"][:2] == ["16", "2"]


@pytest.mark.parametrize(
    ("kind", "column"), [("user", "user_id"), ("session", "session_id"), ("day", "date(timestamp)")]
)
def test_stats_are_by_user_session_or_day_too(run, recorded, kind, column):
    heading, rows = rows_of(run("stats", "--by", kind))
    assert heading[:5] == [kind, "calls", "errors", "cost", "saved"]
    found = recorded.query(
        f"SELECT {column}::VARCHAR AS name, count(*) AS calls FROM api_calls"
        f" WHERE name IS NOT NULL GROUP BY 1"
    )
    assert len(found) and all(rows[row["name"]][0] == str(row["calls"]) for row in found)


def test_stats_name_the_dearest_and_the_slowest_calls(run, recorded):
    for heading, column in (("dearest", "estimated_cost_usd"), ("slowest", "total_latency_ms")):
        (most,) = recorded.query(
            f"SELECT request_id FROM api_calls ORDER BY {column} DESC NULLS LAST LIMIT 1"
        )
        lines = run("stats").out.split(f"The {heading} calls")[1].splitlines()
        assert lines[4].split()[0] == most["request_id"][-12:]


def test_prompts_are_shown_only_when_asked_for(run):
    assert " prompt " not in run("stats").out
    shown = run("stats", "--prompts").out
    assert " prompt " in shown and "Where is my order" in shown


def test_stats_for_programs_are_what_the_collector_says(run, recorded):
    stats = json.loads(run("stats", "--days", "1", "--json").out)
    assert stats["totals"] == recorded.client.get_usage_stats(days=1)["totals"]


def test_calls_are_a_line_each_the_newest_first(run, recorded):
    result = run("calls")
    heading, _, *lines = result.out.splitlines()
    assert heading.split() == ["time", "request", "model", "end", "total", "TTFT", "cost", "tokens", "user"]
    newest = recorded.query("SELECT request_id FROM api_calls ORDER BY timestamp DESC, request_id DESC")
    assert [line.split()[1] for line in lines] == [row["request_id"][-12:] for row in newest]
    assert sum(" ok " in line for line in lines) == 14
    assert any("overloaded_error" in line for line in lines)


def test_calls_can_be_chosen_by_model_and_user(run):
    calls = json.loads(run("calls", "--model", "gpt-4.1-mini", "--user", "orders", "--json").out)
    assert {(call["model"], call["user_id"]) for call in calls} == {("gpt-4.1-mini", "orders")}
    assert run("calls", "--model", "nobody's").out == "no calls\n"
    assert len(json.loads(run("calls", "--limit", "2", "--json").out)) == 2


@pytest.mark.parametrize("columns", [40, 80, 130])
@pytest.mark.parametrize("command", ["stats", "calls"])
def test_a_narrow_terminal_shows_the_most_important_columns(terminal, command, columns):
    result = terminal(command, columns=columns)
    assert result.code == 0
    assert max(map(len, result.out.splitlines())) <= columns
    assert ("wider terminal" in result.out) == (columns < 130)


def test_a_call_is_shown_with_its_tokens_its_cost_its_time_and_what_was_said(run, recorded):
    cached = first(recorded, "model = 'claude-sonnet-5' AND actual_cached_tokens > 0")
    result = run("show", cached)
    assert result.code == 0
    assert result.out.startswith(f"{cached}  ")
    for words in (
        "anthropic-messages, streaming",
        "support, session support-0, 127.0.0.1",
        "complete, status 200, finished by end_turn",
        " read from cache, ",
        "caching saved $",
        "server wait",
        "first token",
        "(4,436 characters more)",
        "This is a simulated answer.",
    ):
        assert words in result.out


def test_the_last_part_of_an_id_is_enough(run, recorded):
    whole = first(recorded, "true")
    assert run("show", whole[-12:]).out == run("show", whole).out
    result = run("show", "0" * 12)
    assert (result.code, result.err) == (1, "lessllm: no call with the id 000000000000 is recorded\n")
    ambiguous = run("show", "")
    assert ambiguous.code == 1
    assert "several calls" in ambiguous.err


def test_a_call_that_failed_says_why(run, recorded):
    result = run("show", first(recorded, "model = 'gpt-4.1-maxi'"))
    assert "model_not_found: The model `gpt-4.1-maxi` does not exist" in result.out
    assert "unknown: no_usage" in result.out


def test_a_translated_call_shows_both_names_and_formats(run, recorded):
    result = run("show", first(recorded, "model = 'assistant'"))
    assert "assistant → claude-haiku-4-5 → claude-haiku-4-5-20251001" in result.out
    assert "openai-chat → anthropic-messages" in result.out


def test_the_whole_call_is_there_on_request(run, recorded):
    long = first(recorded, "model = 'claude-sonnet-5'")
    assert "characters more" not in run("show", long, "--full").out
    call = json.loads(run("show", long, "--json").out)
    assert call["raw_request"]["model"] == "claude-sonnet-5"
    assert call["request_id"] == long


def test_figures_are_worked_out_again(run):
    assert run("reanalyze").out == "16 calls worked out again\n"
    assert json.loads(run("reanalyze", "--since", "2099-01-01", "--json").out) == {"rows": 0}
