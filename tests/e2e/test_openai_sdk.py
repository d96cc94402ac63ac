"""The official OpenAI SDK gets through the gateway what it gets without it.

Every case is run against the upstream itself and through the gateway, sync and async, and the outcomes
must be equal. By default plain calls are streamed upstream, to be measured: nobody may notice.
"""

import httpx
import openai
import pytest
from e2e.sdk import Case, async_outcome, outcome
from prometheus_client.parser import text_string_to_metric_families

CHAT, RESPONSES = "chat.completions.create", "responses.create"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]
CALLED = {"name": "get_weather", "arguments": '{"city": "Berlin"}'}
RESULT = [
    {"role": "user", "content": "How is the weather?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": CALLED}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "21 °C"},
]
RESPONSES_TOOLS = [{"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": False}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "weather", "schema": PARAMETERS}}
USAGE = {"stream_options": {"include_usage": True}}


def chat(name, said, simulate="", status=200, model="gpt-4o", **arguments):
    messages = [{"role": "user", "content": said}] if isinstance(said, str) else said
    return Case(name, CHAT, {"model": model, "messages": messages, **arguments}, simulate, status)


def response(name, said, simulate="", status=200, model="gpt-4o", **arguments):
    return Case(name, RESPONSES, {"model": model, "input": said, **arguments}, simulate, status)


SYSTEM = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
BOTH = [
    chat("chat", "Hello"),
    chat("chat-system", SYSTEM, temperature=0.2, max_tokens=40, user="ann"),
    chat("chat-stream", "Hello", stream=True),
    chat("chat-stream-usage", "Hello", stream=True, **USAGE),
    chat("chat-tools", "How is the weather?", tools=TOOLS),
    chat("chat-tools-stream", "How is the weather?", tools=TOOLS, stream=True),
    chat("chat-tool-result", RESULT, tools=TOOLS),
    chat("chat-json", "The weather as JSON", response_format=SCHEMA),
    response("responses", "Hello"),
    response("responses-stream", "Hello", stream=True),
    response("responses-tools", "How is the weather?", tools=RESPONSES_TOOLS),
    response("responses-tools-stream", "How is the weather?", tools=RESPONSES_TOOLS, stream=True),
    Case("embeddings", "embeddings.create", {"model": "text-embedding-3-small", "input": ["one", "two"]}),
    Case(
        "embeddings-float",
        "embeddings.create",
        {"model": "text-embedding-3-small", "input": "one", "encoding_format": "float"},
    ),
    Case("models", "models.list"),
]
AIMOCK = [
    chat("chat-text-and-tool", "Look first", tools=TOOLS),
    chat("chat-reasoning", "Reason"),
    chat("chat-reasoning-stream", "Reason", stream=True),
    chat("rate-limited", "too fast", status=429),
    chat("rate-limited-stream", "too fast", status=429, stream=True),
    chat("server-error", "break", status=500),
    response("responses-reasoning-stream", "Reason", stream=True),
    response("responses-error", "break", status=500),
    Case("upload", "files.create", {"file": ("a.jsonl", b'{"x": "\xff"}\n'), "purpose": "batch"}),
    Case("transcription", "audio.transcriptions.create", {"model": "whisper-1", "file": ("a.wav", b"RIFF")}),
]
SIMULATOR = [
    chat("chat-n", "Hello", n=2),
    chat("chat-n-stream", "Hello", n=2, stream=True),
    chat("chat-reasoning", "Hello", model="o4-mini"),
    chat("chat-refusal", "Hello", "refusal"),
    chat("chat-refusal-stream", "Hello", "refusal", stream=True),
    chat("chat-long-stream", "Hello", "tokens=500", stream=True, **USAGE),
    Case(
        "completions", "completions.create", {"model": "gpt-3.5-turbo-instruct", "prompt": ["Hello", "Bye"]}
    ),
    Case(
        "completions-stream",
        "completions.create",
        {"model": "gpt-3.5-turbo-instruct", "prompt": "Hello", "stream": True},
    ),
    response("responses-reasoning", "Hello", model="o4-mini"),
    response("responses-instructions-stream", "Hello", instructions="Be brief.", stream=True),
    response("responses-cut", "Hello", "tokens=100", max_output_tokens=16),
    Case("model", "models.retrieve", {"model": "gpt-4o"}),
    chat("unknown-model", "Hello", status=404, model="gpt-99"),
    chat("unknown-model-stream", "Hello", status=404, model="gpt-99", stream=True),
    chat("wrong-form", "Hello", status=400, temperature=9),
    chat("overloaded", "Hello", "status=503", 503),
    chat("rate-limited", "Hello", "status=429", 429),
    chat("html", "Hello", "html", 502),
    chat("error-in-stream", "Hello", "error_in_stream", None, stream=True, **USAGE),
    response("responses-error-in-stream", "Hello", "error_in_stream", stream=True),
    response("responses-unknown-model", "Hello", status=404, model="gpt-99"),
]
CASES = [
    *(pytest.param("aimock", case, id=f"aimock-{case}") for case in BOTH + AIMOCK),
    *(pytest.param("simulator", case, id=f"simulator-{case}") for case in BOTH + SIMULATOR),
]


@pytest.mark.parametrize(("upstream", "case"), CASES, indirect=["upstream"])
def test_the_sdk_gets_what_it_gets_without_the_gateway(urls, case):
    direct, through = (_outcome(url, case) for url in urls)
    assert direct["status"] == case.status
    assert through == direct


@pytest.mark.parametrize(("upstream", "case"), CASES, indirect=["upstream"])
async def test_the_async_sdk_gets_what_it_gets_without_the_gateway(urls, case):
    direct, through = [await _async_outcome(url, case) for url in urls]
    assert direct["status"] == case.status
    assert through == direct


@pytest.mark.parametrize("upstream", ["aimock", "simulator"], indirect=True)
def test_every_call_that_the_gateway_counted_is_a_whole_row(upstreams, upstream):
    services = upstreams(*upstream)
    assert _outcome(services.gateway.url, BOTH[0])["status"] == 200
    rows = services.rows("SELECT end_reason, interpreter_error FROM api_calls")
    assert len(rows) == _counted(services.gateway.url)
    assert {row["end_reason"] for row in rows} <= {"complete", "upstream_error"}  # no SDK left early
    assert {row["interpreter_error"] for row in rows} == {None}


def _counted(url):
    """Calls, as the gateway's metrics have them."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
    (samples,) = (family.samples for family in families if family.name == "lessllm_gateway_calls")
    return sum(sample.value for sample in samples if sample.name == "lessllm_gateway_calls_total")


def _outcome(url, case):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="sk-someone", max_retries=0) as client:
        return outcome(client, case)


async def _async_outcome(url, case):
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-someone", max_retries=0) as client:
        return await async_outcome(client, case)
