"""The official OpenAI SDK, asking a provider that speaks Anthropic through the gateway, sync and async.

What the translation makes of each event is tested without a network; here that the whole way works: streams
and plain calls say the same, tools and thinking go there and back, errors are the SDK's own exceptions, and
the records say what happened. Against our simulator, which behaves as documented, and CopilotKit's aimock.
"""

import json

import openai
import pytest
from e2e.processes import running_services, wait_for
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

MODEL = "claude-opus-4-8"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
QUESTION = [{"role": "user", "content": "How is the weather in Berlin today?"}]
SYSTEM = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0xLjQK"
USAGE = {"stream_options": {"include_usage": True}}
BOTH = pytest.mark.parametrize("running", ["simulator", "aimock"], indirect=True)
SIMULATOR = pytest.mark.parametrize("running", ["simulator"], indirect=True)


class City(BaseModel):
    city: str


@pytest.fixture(scope="module")
def running(request, tmp_path_factory):
    """Services before the upstream that an indirect parameter names: it is Anthropic to them."""
    upstream = request.getfixturevalue(request.param)
    provider = {"anthropic": {"base_url": upstream, "api_key": "sk-ant-configured"}}
    with running_services(tmp_path_factory.mktemp(request.param), {"providers": provider}) as services:
        yield services


@pytest.fixture
def url(running):
    return f"{running.gateway.url}/v1"


@pytest.fixture
def client(url):
    with openai.OpenAI(base_url=url, api_key="sk-someone", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(url):
    async with openai.AsyncOpenAI(base_url=url, api_key="sk-someone", max_retries=0) as client:
        yield client


def simulate(words):
    return {"extra_headers": {"x-simulate": words}}


def read(client, **arguments):
    """The completion that a stream makes, by the SDK's own helper."""
    with client.chat.completions.stream(model=MODEL, **arguments) as stream:
        for _ in stream:
            pass
        return stream.current_completion_snapshot


def comparable(completion):
    message = completion.choices[0].message
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()]
    reasoning = (message.model_extra or {}).get("reasoning_content")
    return (message.content or "", calls, reasoning, completion.choices[0].finish_reason, completion.usage)


@BOTH
@pytest.mark.parametrize(
    "asked",
    [
        {"messages": SYSTEM, "temperature": 1, "user": "ann", "stop": ["NEVER"]},
        {"messages": QUESTION, "tools": [WEATHER]},
        {"messages": QUESTION, "tools": [WEATHER], "parallel_tool_calls": False},
    ],
    ids=["text", "tools", "one-tool"],
)
async def test_a_stream_says_what_the_plain_call_says(client, async_client, asked):
    plain = client.chat.completions.create(model=MODEL, **asked)
    ChatCompletion.model_validate(plain.model_dump(exclude_unset=True), strict=True)
    assert plain.usage is not None
    assert comparable(read(client, **asked, **USAGE)) == comparable(plain)
    async with async_client.chat.completions.stream(model=MODEL, **asked, **USAGE) as stream:
        async for _ in stream:
            pass
        assert comparable(stream.current_completion_snapshot) == comparable(plain)
    assert comparable(await async_client.chat.completions.create(model=MODEL, **asked)) == comparable(plain)


@BOTH
def test_tools_are_called_and_their_results_answered(client):
    asked = {"model": MODEL, "tools": [WEATHER]}
    called = client.chat.completions.create(messages=QUESTION, **asked).choices[0]
    assert called.finish_reason == "tool_calls"
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "21 °C"} for call in called.message.tool_calls
    ]
    answer = client.chat.completions.create(messages=[*QUESTION, called.message, *results], **asked)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content


@SIMULATOR
def test_thinking_comes_with_signatures_and_goes_back_with_the_results(client):
    asked = {"model": MODEL, "tools": [WEATHER], "reasoning_effort": "high"}
    for message in (
        client.chat.completions.create(messages=QUESTION, **asked).choices[0].message,
        read(client, messages=QUESTION, tools=[WEATHER], reasoning_effort="high").choices[0].message,
    ):
        assert message.reasoning_content
        assert message.thinking_blocks[0]["signature"]
        (call,) = message.tool_calls
        result = {"role": "tool", "tool_call_id": call.id, "content": "21 °C"}
        answer = client.chat.completions.create(
            messages=[*QUESTION, message.model_dump(exclude_unset=True), result], **asked
        )
        assert answer.choices[0].message.content
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0


@SIMULATOR
@pytest.mark.parametrize(
    "model", [MODEL, "claude-3-opus-20240229"]
)  # held to the schema; made to call a tool
def test_a_structured_answer_is_parsed(client, model):
    asked = {"model": model, "messages": QUESTION, "response_format": City}
    assert client.chat.completions.parse(**asked).choices[0].message.parsed.city
    with client.chat.completions.stream(**asked) as stream:
        assert stream.get_final_completion().choices[0].message.parsed.city


@SIMULATOR
def test_images_files_and_cache_marks_are_understood(client):
    marked = {
        "type": "text",
        "text": "All the rules of the house. " * 300,
        "cache_control": {"type": "ephemeral"},
    }
    parts = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
    ]
    asked = {"messages": [{"role": "system", "content": [marked]}, {"role": "user", "content": parts}]}
    first, second = (client.chat.completions.create(model=MODEL, **asked).usage for _ in range(2))
    assert first.prompt_tokens_details.cache_write_tokens > 1024
    assert second.prompt_tokens_details.cached_tokens == first.prompt_tokens_details.cache_write_tokens
    assert first.prompt_tokens == second.prompt_tokens


@SIMULATOR
def test_a_refusal_and_an_answer_that_was_cut_say_so(client):
    asked = {"model": MODEL, "messages": SYSTEM}
    refused = client.chat.completions.create(**asked, **simulate("refusal"))
    assert refused.choices[0].finish_reason == "content_filter"
    cut = client.chat.completions.create(**asked, max_tokens=5, **simulate("tokens=50"))
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 5)


@SIMULATOR
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("words", "error", "status"),
    [
        ("status=401", openai.AuthenticationError, 401),
        ("status=403", openai.PermissionDeniedError, 403),
        ("status=429", openai.RateLimitError, 429),
        ("status=500", openai.InternalServerError, 500),
        ("status=529", openai.InternalServerError, 503),
        ("html", openai.InternalServerError, 502),
    ],
)
def test_errors_are_the_sdks_own(client, words, error, status, stream):
    with pytest.raises(error) as caught:
        client.chat.completions.create(model=MODEL, messages=SYSTEM, stream=stream, **simulate(words))
    assert caught.value.status_code == status
    if words != "html":
        assert caught.value.request_id.startswith("req_")
    if status == 429:
        assert caught.value.response.headers["retry-after"] == "1"


@SIMULATOR
def test_limits_are_told_under_openais_names(client):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=SYSTEM)
    assert int(raw.headers["x-ratelimit-remaining-requests"]) > 0
    assert raw.headers["x-ratelimit-reset-tokens"].endswith("s")
    assert raw.request_id.startswith("req_")


@SIMULATOR
def test_an_unknown_model_and_a_prompt_that_is_too_long_have_openais_codes(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="claude-99", messages=SYSTEM)
    assert caught.value.code == "model_not_found"
    long = [{"role": "user", "content": "word " * 250_000}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="claude-3-opus-20240229", messages=long)
    assert caught.value.code == "context_length_exceeded"


@SIMULATOR
@pytest.mark.parametrize("words", ["error_in_stream", "half_stream", "invalid_json"])
def test_a_stream_that_fails_midway_raises_and_has_no_clean_end(client, words):
    stream = client.chat.completions.create(
        model=MODEL, messages=SYSTEM, stream=True, **simulate(f"{words},tokens=60")
    )
    chunks = []
    with pytest.raises((openai.APIError, json.JSONDecodeError)):
        chunks.extend(stream)
    assert chunks
    assert not any(choice.finish_reason for chunk in chunks for choice in chunk.choices)


@SIMULATOR
def test_what_can_not_be_kept_is_refused_by_name_and_hints_are_named(client):
    with pytest.raises(openai.BadRequestError, match="seed") as caught:
        client.chat.completions.create(model=MODEL, messages=SYSTEM, seed=7)
    assert caught.value.code == "unsupported_parameter"
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=SYSTEM, prompt_cache_key="k")
    assert raw.headers["x-lessllm-dropped"] == "prompt_cache_key"


def test_with_drop_params_it_is_left_out_and_named(services, simulator):
    provider = {"anthropic": {"base_url": simulator, "api_key": "sk-ant-x"}}
    running = services({"providers": provider, "gateway": {"drop_params": True}})
    with openai.OpenAI(base_url=f"{running.gateway.url}/v1", api_key="sk-someone", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(
            model=MODEL, messages=SYSTEM, seed=7, temperature=0.2
        )
        assert raw.headers["x-lessllm-dropped"] == "seed, temperature"
        assert raw.parse().choices[0].message.content


@SIMULATOR
def test_the_records_say_what_was_asked_in_which_format_and_how_it_ended(running, client):
    user = {"messages": SYSTEM, "model": MODEL, "user": "recorded"}
    client.chat.completions.create(**user)
    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(**user, stream=True, **simulate("half_stream,tokens=60")))
    wait_for(lambda: len(running.rows(_RECORDED)) == 2, "both records")
    plain, cut = running.rows(_RECORDED)
    assert (plain["api_format"], plain["upstream_format"]) == ("openai-chat", "anthropic-messages")
    assert (plain["end_reason"], cut["end_reason"]) == ("complete", "truncated")
    assert plain["actual_prompt_tokens"] > 0


_RECORDED = "SELECT * FROM api_calls WHERE user_id = 'recorded' ORDER BY timestamp"
