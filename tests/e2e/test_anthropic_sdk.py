"""The official Anthropic SDK gets through the gateway what it gets without it.

As in test_openai_sdk: each case against the upstream itself and through the gateway, sync and async.
"""

import anthropic
import pytest
from e2e.sdk import Case, async_outcome, outcome

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"name": "get_weather", "description": "The weather", "input_schema": SCHEMA}]
THINKING = {"max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 1024}}
RESULT = [
    {"role": "user", "content": "How is the weather?"},
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "tu_1", "name": "get_weather", "input": {"city": "Berlin"}}],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "tu_1", "content": "21 °C"}]},
]


def message(name, said, simulate="", status=200, **arguments):
    messages = [{"role": "user", "content": said}] if isinstance(said, str) else said
    defaults = {"model": "claude-opus-4-8", "max_tokens": 200, "messages": messages}
    return Case(name, "messages.create", {**defaults, **arguments}, simulate, status)


BOTH = [
    message("message", "Hello"),
    message(
        "message-system", "Hello", system="Be brief.", stop_sequences=["END"], metadata={"user_id": "u-7"}
    ),
    message("message-stream", "Hello", stream=True),
    message("message-tools", "How is the weather?", tools=TOOLS),
    message("message-tools-stream", "How is the weather?", tools=TOOLS, stream=True),
    message("message-tool-result", RESULT, tools=TOOLS),
]
AIMOCK = [
    message("text-and-tool", "Look first", tools=TOOLS),
    message("thinking", "Reason", **THINKING),
    message("thinking-stream", "Reason", stream=True, **THINKING),
    message("rate-limited", "too fast", status=429),
    message("rate-limited-stream", "too fast", status=429, stream=True),
    message("server-error", "break", status=500),
]
SIMULATOR = [
    message("thinking", "Hello", **THINKING),
    message("thinking-stream", "Hello", stream=True, **THINKING),
    message("cut", "Hello", "tokens=100", max_tokens=10),
    message("long-stream", "Hello", "tokens=500", max_tokens=1000, stream=True),
    Case(
        "count-tokens",
        "messages.count_tokens",
        {"model": "claude-opus-4-8", "messages": [{"role": "user", "content": "Hello"}], "tools": TOOLS},
    ),
    Case("models", "models.list"),
    Case("model", "models.retrieve", {"model_id": "claude-opus-4-8"}),
    message("unknown-model", "Hello", status=404, model="claude-99"),
    message("wrong-form", "Hello", status=400, max_tokens=-1),
    message("overloaded", "Hello", "status=529", 529),
    message("overloaded-stream", "Hello", "status=529", 529, stream=True),
    message("rate-limited", "Hello", "status=429", 429),
    message("error-in-stream", "Hello", "error_in_stream", stream=True),
    message("html", "Hello", "html", 502),
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


def _outcome(url, case):
    with anthropic.Anthropic(base_url=url, api_key="sk-ant-someone", max_retries=0) as client:
        return outcome(client, case)


async def _async_outcome(url, case):
    async with anthropic.AsyncAnthropic(base_url=url, api_key="sk-ant-someone", max_retries=0) as client:
        return await async_outcome(client, case)
