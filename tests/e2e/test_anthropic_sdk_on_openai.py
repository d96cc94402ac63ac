"""The official Anthropic SDK on providers that speak OpenAI's format: our simulator, aimock, a real model.

What the SDK gets is compared with what OpenAI's own SDK gets from the same upstream for the same question.
"""

import asyncio
import json

import anthropic
import openai
import pytest
from e2e.processes import running_services

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = [{"name": "get_weather", "description": "The weather", "input_schema": SCHEMA, "strict": True}]
FUNCTIONS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather",
            "parameters": SCHEMA,
            "strict": True,
        },
    }
]
MODES = pytest.mark.parametrize("mode", ["plain", "stream", "async plain", "async stream"])
BOTH = pytest.mark.parametrize("upstream", ["aimock", "simulator"], indirect=True)


@pytest.fixture(scope="module")
def gateways(tmp_path_factory):
    """Services before the upstream of that name and URL, with a key of their own for it."""
    started = {}

    def before(name, url):
        if name not in started:
            document = {
                "providers": {"openai": {"base_url": f"{url}/v1", "api_key": "sk-own"}},
                "models": {"claude-opus-4-8": {"provider": "openai", "model": "gpt-4o"}},
                "timeouts": {"total_s": 60},
            }
            services = running_services(tmp_path_factory.mktemp(f"on-{name}"), document)
            started[name] = (services, services.__enter__())
        return started[name][1]

    yield before
    for services, _ in started.values():
        services.__exit__(None, None, None)


@pytest.fixture
def services(gateways, upstream):
    return gateways(*upstream)


def ask(services, mode, simulate="", **asked):
    """The final message, whichever way it is asked for."""
    headers = {"extra_headers": {"x-simulate": simulate}} if simulate else {}
    asked = {"model": "claude-opus-4-8", "max_tokens": 300, **asked, **headers}
    url = services.gateway.url
    if mode.startswith("async"):
        return asyncio.run(_ask_async(url, asked, streaming=mode.endswith("stream")))
    with anthropic.Anthropic(base_url=url, api_key="sk-ant-clients", max_retries=0) as client:
        if mode == "plain":
            return client.messages.create(**asked)
        with client.messages.stream(**asked) as stream:
            return stream.get_final_message()


async def _ask_async(url, asked, *, streaming):
    async with anthropic.AsyncAnthropic(base_url=url, api_key="sk-ant-clients", max_retries=0) as client:
        if not streaming:
            return await client.messages.create(**asked)
        async with client.messages.stream(**asked) as stream:
            return await stream.get_final_message()


def chat(upstream, **asked):
    """The same question by OpenAI's SDK to the upstream itself."""
    asked = {"model": "gpt-4o", "max_completion_tokens": 300, **asked}
    with openai.OpenAI(base_url=f"{upstream[1]}/v1", api_key="sk-own", max_retries=0) as client:
        return client.chat.completions.create(**asked)


def user(text):
    return [{"role": "user", "content": text}]


@BOTH
@MODES
def test_text_and_usage_are_what_openais_sdk_gets(services, upstream, mode):
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    got = ask(services, mode, messages=user("Hello"), system=system)
    expected = chat(upstream, messages=[{"role": "system", "content": "Be brief."}, *user("Hello")])
    assert [block.type for block in got.content] == ["text"]
    assert got.stop_reason == "end_turn"
    assert got.model == expected.model
    if upstream[0] == "aimock":  # it says the same to everybody
        assert got.content[0].text == expected.choices[0].message.content
    usage = got.usage
    prompt = usage.input_tokens + (usage.cache_read_input_tokens or 0)
    assert prompt == expected.usage.prompt_tokens
    assert usage.output_tokens > 0


@BOTH
@MODES
def test_a_tool_is_called_and_its_result_read(services, upstream, mode):
    question = user("How is the weather in Berlin?")
    got = ask(services, mode, messages=question, tools=TOOLS)
    calls = [block for block in got.content if block.type == "tool_use"]
    assert got.stop_reason == "tool_use"
    if upstream[0] == "aimock":  # two calls at once
        assert [call.input for call in calls] == [{"city": "Berlin"}, {"city": "Oslo"}]
    assert all(call.name == "get_weather" and isinstance(call.input["city"], str) for call in calls)
    assert len({call.id for call in calls}) == len(calls)
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "21 °C"} for call in calls]
    turns = [*question, {"role": "assistant", "content": [block.to_dict() for block in got.content]}]
    answer = ask(services, mode, messages=[*turns, {"role": "user", "content": results}], tools=TOOLS)
    assert [block.type for block in answer.content] == ["text"]
    sent = json.loads(
        services.rows("SELECT * FROM api_calls ORDER BY timestamp DESC LIMIT 1")[0]["upstream_request_body"]
    )
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", *["tool"] * len(calls)]
    assert [call["id"] for call in sent["messages"][1]["tool_calls"]] == [
        message["tool_call_id"] for message in sent["messages"][2:]
    ]
    assert sent["tools"] == FUNCTIONS


@pytest.mark.parametrize("upstream", ["aimock"], indirect=True)
@MODES
def test_thinking_comes_before_the_answer(services, upstream, mode):
    del upstream
    got = ask(services, mode, model="openai/gpt-5", messages=user("Reason"))
    thinking, text = got.content
    assert (thinking.type, thinking.thinking[:3], bool(thinking.signature)) == ("thinking", "Six", True)
    assert text.text == "42."
    history = [*user("Reason"), {"role": "assistant", "content": [b.to_dict() for b in got.content]}]
    again = ask(services, mode, model="openai/gpt-5", messages=[*history, *user("Hello")])
    assert again.stop_reason == "end_turn"
    off = ask(services, mode, model="openai/gpt-5", messages=user("Reason"), thinking={"type": "disabled"})
    assert [block.type for block in off.content] == ["text"]


@pytest.mark.parametrize("upstream", ["aimock"], indirect=True)
@MODES
def test_text_before_a_call_stays_before_it(services, upstream, mode):
    del upstream
    got = ask(services, mode, messages=user("Look first"), tools=TOOLS)
    assert [block.type for block in got.content] == ["text", "tool_use"]
    assert got.content[1].input == {"city": "Rome"}


@pytest.mark.parametrize("upstream", ["simulator"], indirect=True)
@MODES
@pytest.mark.parametrize("model", ["openai/gpt-5", "openai/gpt-5.6-sol", "openai/gpt-4o"])
def test_what_claude_code_sends_is_taken_by_every_model(services, upstream, mode, model):
    del upstream
    got = ask(
        services,
        mode,
        model=model,
        max_tokens=20_000,  # more than gpt-4o takes; the SDK asks for a stream beyond 21,333
        system=[
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.117; cch=71fea;"},
            {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}},
        ],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "<system-reminder>x</system-reminder>"}]},
            {"role": "system", "content": "Agents: none."},
            *user("How is the weather in Berlin?"),
        ],
        tools=[*TOOLS, {"name": "mcp__" + "x" * 70, "input_schema": {"type": "object"}}],
        thinking={"type": "adaptive"},
        output_config={"effort": "high"},
        metadata={"user_id": "user_" + "0" * 64 + "_session_" + "1" * 36},
        extra_body={
            "temperature": 1,
            "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        },
    )
    assert got.stop_reason == "tool_use"


@pytest.mark.parametrize("upstream", ["simulator"], indirect=True)
@MODES
def test_structured_outputs_limits_and_refusals(services, upstream, mode):
    del upstream
    form = {"format": {"type": "json_schema", "schema": SCHEMA}}
    got = ask(services, mode, messages=user("As JSON"), output_config=form)
    assert isinstance(json.loads(got.content[0].text)["city"], str)
    cut = ask(services, mode, "tokens=100", messages=user("Hello"), max_tokens=10)
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 10)
    refused = ask(services, mode, "refusal", messages=user("Hello"))
    assert refused.stop_reason == "refusal"
    assert refused.content[0].text.startswith("I'm sorry")


@pytest.mark.parametrize("upstream", ["simulator"], indirect=True)
@MODES
@pytest.mark.parametrize(
    ("simulate", "error", "status", "kind"),
    [
        ("status=401", anthropic.AuthenticationError, 401, "authentication_error"),
        ("status=429", anthropic.RateLimitError, 429, "rate_limit_error"),
        ("status=500", anthropic.InternalServerError, 500, "api_error"),
        ("status=503", anthropic.OverloadedError, 529, "overloaded_error"),
        ("html", anthropic.InternalServerError, 502, "api_error"),
    ],
)
def test_errors_are_what_anthropics_sdk_knows(services, upstream, mode, simulate, error, status, kind):
    del upstream
    with pytest.raises(error) as raised:
        ask(services, mode, simulate, messages=user("Hello"))
    assert raised.value.status_code == status
    assert raised.value.body["error"]["type"] == kind
    if status == 429:
        assert "anthropic-ratelimit-requests-limit" in raised.value.response.headers
        assert raised.value.request_id


@pytest.mark.parametrize("upstream", ["simulator"], indirect=True)
@MODES
@pytest.mark.parametrize(
    ("simulate", "end"), [("half_stream", "truncated"), ("error_in_stream", "upstream_error")]
)
def test_an_answer_that_breaks_off_is_never_taken_for_a_whole_one(services, upstream, mode, simulate, end):
    del upstream
    with pytest.raises(anthropic.APIError):
        ask(services, mode, simulate, messages=user("Hello"))
    row = services.rows("SELECT * FROM api_calls ORDER BY timestamp DESC LIMIT 1")[0]
    assert row["end_reason"] == end


@pytest.mark.parametrize("upstream", ["simulator"], indirect=True)
def test_what_can_not_be_kept_is_refused_by_name(services, upstream):
    del upstream
    with pytest.raises(anthropic.BadRequestError, match=r"tools\.web_search_20250305: tools\[0\]"):
        ask(
            services,
            "plain",
            messages=user("?"),
            tools=[{"type": "web_search_20250305", "name": "web_search"}],
        )


@pytest.mark.parametrize("upstream", ["simulator"], indirect=True)
def test_the_clients_key_goes_nowhere_and_the_row_shows_both_sides(services, upstream):
    del upstream
    got = ask(services, "stream", messages=user("Hello there"))
    row = services.rows("SELECT * FROM api_calls ORDER BY timestamp DESC LIMIT 1")[0]
    assert (row["api_format"], row["upstream_format"]) == ("anthropic-messages", "openai-chat")
    assert (row["model"], row["upstream_model"], row["provider"]) == ("claude-opus-4-8", "gpt-4o", "openai")
    assert row["actual_completion_tokens"] == got.usage.output_tokens
    assert row["end_reason"] == "complete"
    assert b"message_stop" in row["client_response_body"]
    assert b"sk-ant-clients" not in repr(row).encode()


@pytest.mark.parametrize("upstream", ["simulator"], indirect=True)
@pytest.mark.parametrize("is_marked", [True, False])
def test_a_marked_prefix_is_read_from_the_cache_by_another_question(services, upstream, is_marked):
    """OpenAI's newer models cache only where a request says so, or at its last message."""
    del upstream
    rules = f"{is_marked}: You answer in one short sentence. " * 300
    mark = {"cache_control": {"type": "ephemeral"}} if is_marked else {}
    asked = {"model": "openai/gpt-5.6-sol", "system": [{"type": "text", "text": rules, **mark}]}
    first, second = (ask(services, "plain", messages=user(said), **asked).usage for said in ("One?", "Two?"))
    assert (second.cache_read_input_tokens > 1024) == is_marked
    assert first.cache_creation_input_tokens > 1024


# --- A real model ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def local(gateways, real_model):
    return gateways("llama", real_model)


@MODES
def test_a_real_models_answer_and_its_cache(local, real_model, mode):
    rules = "You answer in one short sentence. " * 20
    question = user("What is the capital of France?")
    asked = {"model": "openai/smollm2", "max_tokens": 16, "system": rules, "extra_body": {"temperature": 0}}
    got = [ask(local, mode, messages=question, **asked) for _ in range(2)][1]
    with openai.OpenAI(base_url=f"{real_model}/v1", api_key="none", max_retries=0) as client:
        messages = [{"role": "system", "content": rules}, *question]
        expected = client.chat.completions.create(
            model="smollm2", messages=messages, max_tokens=16, temperature=0
        )
    assert got.content[0].text == expected.choices[0].message.content
    assert got.stop_reason in {"end_turn", "max_tokens"}
    assert got.usage.cache_read_input_tokens > 100
    assert got.usage.input_tokens + got.usage.cache_read_input_tokens == expected.usage.prompt_tokens
    assert got.usage.output_tokens == expected.usage.completion_tokens


def test_the_estimate_of_tokens_is_near_what_a_real_model_counts(local):
    text = "The gateway observes, the collector interprets: raw bytes and clock marks, nothing else. " * 20
    asked = {"model": "openai/smollm2", "messages": user(text)}
    with anthropic.Anthropic(base_url=local.gateway.url, api_key="none", max_retries=0) as client:
        counted = client.messages.with_raw_response.count_tokens(**asked)
        real = client.messages.create(**asked, max_tokens=1).usage
    assert counted.headers["x-lessllm-estimated"] == "true"
    tokens = real.input_tokens + (real.cache_read_input_tokens or 0)
    assert counted.parse().input_tokens == pytest.approx(tokens, rel=0.3)
