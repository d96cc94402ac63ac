"""The official Anthropic SDK against the simulated provider: what it gets is what the documentation says.

The SDK validates strictly: an answer of another shape than its types raises.
"""

import json

import anthropic
import pytest
from lessllm.simulator import running_simulator

MODEL = "claude-sonnet-5"
QUESTION = [{"role": "user", "content": "How is the weather in Berlin today?"}]
TOOLS = [
    {
        "name": "get_weather",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
LONG = "All the rules of the house. " * 300  # 2,100 tokens
CACHED = {"type": "ephemeral"}


@pytest.fixture(scope="module")
def url():
    with running_simulator() as url:
        yield url


@pytest.fixture
def client(url):
    with anthropic.Anthropic(
        base_url=url, api_key="sk-ant-someone", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


@pytest.fixture
async def async_client(url):
    async with anthropic.AsyncAnthropic(
        base_url=url, api_key="sk-ant-someone", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


def system(text, **mark):
    return [{"type": "text", "text": text, **mark}]


def test_a_message_has_text_and_usage(client):
    message = client.messages.create(model=MODEL, max_tokens=200, messages=QUESTION)
    assert message.content[0].text.startswith("This is a simulated answer.")
    assert (message.stop_reason, message.model) == ("end_turn", MODEL)
    assert message.usage.output_tokens > 0
    assert message.usage.cache_read_input_tokens == message.usage.cache_creation_input_tokens == 0


async def test_a_stream_accumulates_to_what_the_plain_call_returns(client, async_client):
    plain = client.messages.create(model=MODEL, max_tokens=200, messages=QUESTION)
    async with async_client.messages.stream(model=MODEL, max_tokens=200, messages=QUESTION) as stream:
        said = "".join([text async for text in stream.text_stream])
        final = await stream.get_final_message()
    assert said == final.content[0].text == plain.content[0].text
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", plain.usage.output_tokens)


def test_the_first_event_holds_a_placeholder_and_the_last_but_one_the_output_tokens(client):
    events = list(client.messages.create(model=MODEL, max_tokens=200, messages=QUESTION, stream=True))
    kinds = [event.type for event in events]
    assert (kinds[0], kinds[-2], kinds[-1]) == ("message_start", "message_delta", "message_stop")
    assert events[0].message.usage.output_tokens == 1
    assert events[-2].usage.output_tokens > 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_is_answered(client, stream):
    wanted = {"model": MODEL, "max_tokens": 200, "tools": TOOLS}
    if stream:
        with client.messages.stream(messages=QUESTION, **wanted) as events:
            message = events.get_final_message()
    else:
        message = client.messages.create(messages=QUESTION, **wanted)
    use = message.content[0]
    assert (message.stop_reason, use.type, use.input) == ("tool_use", "tool_use", {"city": "Berlin"})
    turns = [
        *QUESTION,
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": use.id, "name": use.name, "input": use.input}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "Rain"}]},
    ]
    assert client.messages.create(messages=turns, **wanted).stop_reason == "end_turn"


def test_a_required_tool_is_called_whatever_the_question(client):
    message = client.messages.create(
        model=MODEL,
        max_tokens=99,
        messages=[{"role": "user", "content": "Hello"}],
        tools=TOOLS,
        tool_choice={"type": "any"},
    )
    assert message.stop_reason == "tool_use"


def test_thinking_comes_first_is_signed_and_billed(client):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    with client.messages.stream(model=MODEL, max_tokens=2000, messages=QUESTION, thinking=thinking) as stream:
        message = stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].signature
    assert message.usage.output_tokens > 96


def test_a_limit_a_stop_sequence_and_a_refusal_have_their_stop_reasons(client):
    def ended(**fields):
        message = client.messages.create(
            **{"model": MODEL, "max_tokens": 200, "messages": QUESTION, **fields}
        )
        return message.stop_reason, message.stop_sequence

    assert ended(max_tokens=5) == ("max_tokens", None)
    assert ended(stop_sequences=["simulated"]) == ("stop_sequence", "simulated")
    assert ended(extra_headers={"x-simulate": "refusal"}) == ("refusal", None)


def test_json_of_a_schema_is_given(client):
    form = {"type": "json_schema", "schema": TOOLS[0]["input_schema"]}
    message = client.messages.create(
        model=MODEL, max_tokens=99, messages=QUESTION, extra_body={"output_config": {"format": form}}
    )
    assert set(json.loads(message.content[0].text)) == {"city"}


def test_a_marked_prefix_is_written_then_read_and_the_rest_is_fresh(client):
    def usage(**fields):
        return client.messages.create(model=MODEL, max_tokens=9, messages=QUESTION, **fields).usage

    assert usage(system=LONG).cache_creation_input_tokens == 0
    first = usage(system=system(LONG, cache_control=CACHED))
    second = usage(system=system(LONG, cache_control=CACHED))
    assert first.cache_creation.ephemeral_5m_input_tokens == first.cache_creation_input_tokens == 2100
    assert (second.cache_read_input_tokens, second.cache_creation_input_tokens) == (2100, 0)
    assert first.input_tokens == second.input_tokens > 0
    hour = usage(system=system(f"For an hour. {LONG}", cache_control={**CACHED, "ttl": "1h"}))
    assert hour.cache_creation.ephemeral_1h_input_tokens > 2000


def test_a_changed_tool_drops_the_whole_cache_and_a_changed_tool_choice_only_the_messages(client):
    turns = [{"role": "user", "content": system(f"History. {LONG}", cache_control=CACHED)}]
    fields = {"model": MODEL, "max_tokens": 9, "system": system(f"Rules. {LONG}", cache_control=CACHED)}

    def read(**change):
        return client.messages.create(**{**fields, "messages": turns, "tools": TOOLS, **change}).usage

    assert read().cache_read_input_tokens == 0
    everything = read().cache_read_input_tokens
    assert everything > 4200
    assert 2000 < read(tool_choice={"type": "none"}).cache_read_input_tokens < 2500
    assert read(tools=[{**TOOLS[0], "description": "Weather"}]).cache_read_input_tokens == 0


def test_automatic_caching_marks_the_last_block(client):
    turns = [{"role": "user", "content": f"Automatic. {LONG}"}]
    fields = {"model": MODEL, "max_tokens": 9, "messages": turns, "extra_body": {"cache_control": CACHED}}
    assert client.messages.create(**fields).usage.cache_creation_input_tokens > 2000
    assert client.messages.create(**fields).usage.cache_read_input_tokens > 2000


async def test_tokens_are_counted_as_a_message_then_bills_them(async_client):
    counted = await async_client.messages.count_tokens(model=MODEL, messages=QUESTION, tools=TOOLS)
    message = await async_client.messages.create(model=MODEL, max_tokens=9, messages=QUESTION, tools=TOOLS)
    assert counted.input_tokens == message.usage.input_tokens


def test_models_are_listed_and_found(client):
    names = {model.id for model in client.models.list()}
    assert MODEL in names
    assert not any(name.startswith("gpt") for name in names)
    assert client.models.retrieve(MODEL).display_name == "Claude Sonnet 5"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("claude-0")
