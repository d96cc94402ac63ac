"""`lessllm replay`, against real services and the simulated provider."""

import json

import pytest

from .conftest import KEY, QUESTION

pytestmark = pytest.mark.usefixtures("here")

# Not as Python would write it: spaces, an exponent, an escape
ODD = b'{ "model":"gpt-4.1-mini","temperature":1e0, "messages":[{"role":"user","content":"\\u0041 or b?"}] }'
CLAUDE = {"model": "claude-sonnet-5", "max_tokens": 60, "messages": QUESTION["messages"]}


def figures(result):
    """The lines of the table by their names."""
    return {line[:11].strip(): line for line in result.out.splitlines()}


def test_the_request_is_sent_again_byte_for_byte_and_both_calls_are_shown(run, used):
    recorded = used.call(body=ODD, **{"x-lessllm-user": "ana", "idempotency-key": "7", "openai-beta": "x=1"})
    result = run("replay", recorded)
    assert (result.code, result.err) == (0, "")

    before, after = used.row("request_id = ?", recorded), used.replay_of(recorded)
    assert after["request_body"] == ODD
    assert (after["endpoint"], after["streaming"]) == ("/v1/chat/completions", False)
    assert after["key_fingerprint"] == before["key_fingerprint"]
    headers = dict(json.loads(after["request_headers"]))
    assert headers["openai-beta"] == "x=1"
    assert not {"x-lessllm-user", "idempotency-key"} & set(headers)

    shown = figures(result)
    assert result.out.startswith(f"recorded  {recorded}  ")
    assert f"\nreplay    {after['request_id']}  " in result.out
    assert shown["end"].split()[1:] == ["complete,", "status", "200"] * 2
    assert shown["tokens out"].split()[-3:] == [str(before["actual_completion_tokens"])] * 2 + ["="]
    for name in ("TTFT", "total", "compute", "cost"):
        assert name in shown
    assert "(the same, to the letter)\nThis is a simulated answer." in result.out


def test_a_stream_is_streamed_again(run, used):
    recorded = used.call("/v1/messages", {**CLAUDE, "stream": True})
    assert run("replay", recorded).code == 0
    after = used.replay_of(recorded)
    assert after["streaming"] is True
    assert after["estimated_ttft_ms"] is not None


@pytest.mark.parametrize(
    ("path", "body", "model", "formats"),
    [
        ("/v1/chat/completions", QUESTION, "claude-sonnet-5", ("openai-chat", "anthropic-messages")),
        ("/v1/messages", CLAUDE, "own/gpt-4o", ("anthropic-messages", "openai-chat")),
        ("/v1/responses", {"model": "gpt-5-mini", "input": "Hello"}, "assistant", None),
        ("/openai/v1/chat/completions", QUESTION, "anthropic/claude-haiku-4-5", None),
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "a"}, "text-embedding-3-large", None),
    ],
)
def test_another_model_may_be_another_providers(run, used, path, body, model, formats):
    recorded = used.call(path, body)
    result = run("replay", recorded, "--model", model)
    assert result.code == 0, result.err
    after = used.replay_of(recorded)
    assert after["model"] == model
    assert {**json.loads(after["raw_request"]), "model": None} == {**body, "model": None}
    assert formats in (None, (after["api_format"], after["upstream_format"]))
    assert figures(result)["end"].split()[1:] == ["complete,", "status", "200"] * 2
    if path != "/v1/embeddings":
        assert result.out.count("This is a simulated answer.") == 2
    else:
        assert "(1 embedding of 1,536 numbers)" in result.out
        assert "(1 embedding of 3,072 numbers)" in result.out


def test_for_programs_both_calls_are_whole(run, used):
    recorded = used.call()
    calls = json.loads(run("replay", recorded, "--json").out)
    assert calls["recorded"]["request_id"] == recorded
    assert calls["replay"]["tags"] == {"replay_of": recorded}
    assert calls["replay"]["raw_request"] == QUESTION
    assert calls["replay"]["answer_text"] == calls["recorded"]["answer_text"]
    assert calls["replay"]["answer_text"].startswith("This is a simulated answer.")


def test_the_last_part_of_an_id_is_enough(run, used):
    recorded = used.call()
    assert run("replay", recorded[-12:]).code == 0
    assert used.replay_of(recorded)
    unknown = run("replay", "0" * 12)
    assert (unknown.code, unknown.err) == (1, "lessllm: no call with the id 000000000000 is recorded\n")


def test_a_failure_is_reproduced_and_said(run, used):
    recorded = used.call(**{"x-simulate": "status=429"})
    result = run("replay", recorded)
    assert result.code == 1
    assert result.err == "lessllm: the replay failed: rate_limit_exceeded\n"
    assert "recorded: rate_limit_exceeded: Rate limit reached" in result.out
    assert "replay: rate_limit_exceeded: Rate limit reached" in result.out


def test_a_missing_key_is_said_with_where_it_is_looked_for(run, used, monkeypatch):
    recorded = used.call()
    monkeypatch.delenv("OPENAI_API_KEY")
    result = run("replay", recorded)
    assert result.code == 1
    assert "replay: invalid_request_error: You didn't provide an API key." in result.out
    assert "openai takes yours from OPENAI_API_KEY, or from what --api-key-env names" in result.err

    monkeypatch.setenv("MY_KEY", KEY)
    assert run("replay", recorded, "--api-key-env", "MY_KEY").code == 0
    unset = run("replay", recorded, "--api-key-env", "HIS_KEY")
    assert unset.code == 2
    assert "the environment variable HIS_KEY is not set" in unset.err


def test_a_key_that_is_refused_is_said_and_never_shown(run, used, monkeypatch):
    recorded = used.call()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-one")
    result = run("replay", recorded)
    assert result.code == 1
    assert "replay: invalid_api_key: " in result.out
    assert "OPENAI_API_KEY" in result.err
    assert "sk-wrong-one" not in result.out + result.err

    for model, provider in (("wrong/gpt-4.1-mini", "wrong"), ("deepseek-chat", "deepseek")):
        other = run("replay", recorded, "--model", model)
        assert other.code == 1
        assert f"set providers.{provider}.api_key" in other.out + other.err
        assert "OPENAI_API_KEY" not in other.err  # it goes to nobody else


def test_a_provider_that_is_down_is_an_ended_call(run, used):
    recorded = used.call()
    result = run("replay", recorded, "--model", "down/gpt-4.1-mini")
    assert result.code == 1
    assert "connect_error, status 502" in figures(result)["end"]
    assert "lessllm: the replay failed: upstream_unreachable\n" in result.err


def test_what_does_more_than_run_a_model_is_sent_again_only_if_asked_for(run, used):
    recorded = used.call("/v1/models", b"", method="GET")
    result = run("replay", recorded)
    assert (result.code, result.out) == (1, "")
    assert "GET /v1/models does more than run a model" in result.err
    assert "--any-endpoint" in result.err
    assert run("replay", recorded, "--any-endpoint").code == 0
    assert used.replay_of(recorded)["method"] == "GET"


def test_a_body_that_was_cut_is_not_sent(run, used):
    long = {**QUESTION, "model": "deepseek-chat", "padding": "x" * 5000}  # no key: rejected, and kept in part
    recorded = used.call("/v1/messages", long)
    result = run("replay", recorded)
    assert (result.code, result.out) == (1, "")
    assert result.err == f"lessllm: {recorded}: the request's body was cut when it was recorded\n"


def test_a_body_that_is_no_json_is_not_sent(run, used):
    recorded = used.call(body=b'{"model": "gpt-4.1-mini", "messages": [')
    result = run("replay", recorded)
    assert (result.code, result.out) == (1, "")
    assert result.err == f"lessllm: {recorded}: the request's body is not a JSON object\n"


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_it_fits_in_any_terminal(terminal, used, columns):
    result = terminal("replay", used.call(), "--model", "claude-sonnet-5", columns=columns)
    assert result.code == 0
    assert max(map(len, result.out.splitlines())) <= max(columns, 72)  # ids with their times are not cut
    for words in ("TTFT", "recorded", "anthropic-messages", "This is a simulated"):
        assert words in result.out


def test_where_the_gateway_is_must_be_known(run, used, tmp_path):
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text("{}")
    recorded = used.call()
    no_server = run("replay", recorded, "--config", elsewhere)
    assert no_server.code == 1
    assert "no server runs here" in no_server.err and "--gateway-url" in no_server.err
    collector = ("--config", elsewhere, "--url", used.collector_url)
    half = run("replay", recorded, *collector)
    assert half.code == 2
    assert f"--gateway-url is missing: the gateway that records to {used.collector_url}" in half.err
    assert run("replay", recorded, *collector, "--gateway-url", f"{used.url}/v1").code == 0

    nobody = run("replay", recorded, *collector, "--gateway-url", "http://127.0.0.1:9")
    assert (nobody.code, nobody.out) == (1, "")
    assert "no gateway answers at http://127.0.0.1:9" in nobody.err
    other = run("replay", recorded, *collector, "--gateway-url", used.collector_url)
    assert (other.code, other.out) == (1, "")
    assert "an answer that isn't a LessLLM gateway's" in other.err
