"""The official OpenAI SDK against the simulated provider: what it gets is what the documentation says.

Where its types allow for what the API sends (`lenient` is for where they don't), the SDK validates
strictly: an answer of another shape raises.
"""

import json
import time

import openai
import pytest
from lessllm.simulator import running_simulator

QUESTION = [{"role": "user", "content": "How is the weather in Berlin today?"}]
WEATHER = {
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
TOOLS = [{"type": "function", "function": WEATHER}]
LONG = "All the rules of the house. " * 300  # 2,100 tokens


@pytest.fixture(scope="module")
def url():
    with running_simulator() as url:
        yield f"{url}/v1"


@pytest.fixture
def client(url):
    with openai.OpenAI(
        base_url=url, api_key="sk-someone", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


@pytest.fixture
def lenient(url):
    with openai.OpenAI(base_url=url, api_key="sk-someone", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(url):
    async with openai.AsyncOpenAI(
        base_url=url, api_key="sk-someone", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


def test_a_chat_completion_has_text_and_usage_that_adds_up(client):
    answer = client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    assert answer.choices[0].message.content.startswith("This is a simulated answer.")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "gpt-4o-2024-08-06"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens_details.cached_tokens == 0


async def test_a_stream_says_what_the_plain_answer_says(client, async_client):
    plain = client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    stream = await async_client.chat.completions.create(
        model="gpt-4o", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert not chunks[0].choices[0].delta.content
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == plain.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage) == ([], plain.usage)
    assert {chunk.usage for chunk in chunks[:-1]} == {None}


def test_a_stream_has_no_usage_unless_asked(client):
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_with_fitting_arguments_and_its_result_is_answered(client, stream):
    if stream:
        with client.chat.completions.stream(model="gpt-4o", messages=QUESTION, tools=TOOLS) as events:
            answer = events.get_final_completion()
    else:
        answer = client.chat.completions.create(model="gpt-4o", messages=QUESTION, tools=TOOLS)
    message = answer.choices[0].message
    assert (answer.choices[0].finish_reason, message.content) == ("tool_calls", None)
    call = message.tool_calls[0]
    arguments = json.loads(call.function.arguments)
    assert (call.function.name, arguments["city"]) == ("get_weather", "Berlin")
    assert isinstance(arguments["days"], int)
    result = {"role": "tool", "tool_call_id": call.id, "content": "Rain"}
    turns = [*QUESTION, message.model_dump(exclude_none=True, exclude={"annotations"}), result]
    again = client.chat.completions.create(model="gpt-4o", messages=turns, tools=TOOLS)
    assert again.choices[0].finish_reason == "stop"


def test_a_limit_on_tokens_and_a_stop_sequence_end_the_answer(client):
    cut = client.chat.completions.create(model="gpt-4o", messages=QUESTION, max_tokens=7)
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 7)
    stopped = client.chat.completions.create(model="gpt-4o", messages=QUESTION, stop=["simulated"])
    assert stopped.choices[0].message.content == "This is a "


def test_several_choices_are_answered_and_billed(client):
    answer = client.chat.completions.create(model="gpt-4o", messages=QUESTION, n=3)
    texts = {choice.message.content for choice in answer.choices}
    assert ([choice.index for choice in answer.choices], len(texts)) == ([0, 1, 2], 3)
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=QUESTION, n=3, stream=True))
    assert {choice.index for chunk in chunks for choice in chunk.choices} == {0, 1, 2}


def test_json_of_a_schema_is_given(client):
    form = {"type": "json_schema", "json_schema": {"name": "weather", "schema": WEATHER["parameters"]}}
    answer = client.chat.completions.create(model="gpt-4o", messages=QUESTION, response_format=form)
    assert set(json.loads(answer.choices[0].message.content)) == {"city", "days"}


def test_a_reasoning_model_bills_thoughts_that_it_does_not_show(client):
    low, high = (
        client.chat.completions.create(model="gpt-5", messages=QUESTION, reasoning_effort=effort)
        for effort in ("low", "high")
    )
    assert low.usage.completion_tokens_details.reasoning_tokens == 64
    assert high.usage.completion_tokens_details.reasoning_tokens == 256
    assert high.usage.completion_tokens > 256


def test_up_to_gpt_5_5_a_shared_prefix_is_read_from_the_cache(client):
    def cached(model, question):
        messages = [{"role": "system", "content": f"{model} {LONG}"}, {"role": "user", "content": question}]
        usage = client.chat.completions.create(model=model, messages=messages).usage
        return usage.prompt_tokens_details.cached_tokens, usage.prompt_tokens_details.cache_write_tokens

    assert cached("gpt-4o", "First?") == (0, None)
    assert cached("gpt-4o", "Second?") == (2048, None)
    assert cached("gpt-4o-mini", "Third?") == (0, None)


def test_from_gpt_5_6_it_takes_a_breakpoint(client):
    def usage(system, question, **options):
        messages = [{"role": "developer", "content": [system]}, {"role": "user", "content": question}]
        answer = client.chat.completions.create(model="gpt-5.6-sol", messages=messages, extra_body=options)
        details = answer.usage.prompt_tokens_details
        return details.cached_tokens, details.cache_write_tokens

    plain = {"type": "text", "text": f"plain {LONG}"}
    assert usage(plain, "First?")[0] == 0
    assert usage(plain, "Second?")[0] == 0
    marked = {"type": "text", "text": LONG, "prompt_cache_breakpoint": {"mode": "explicit"}}
    assert usage(marked, "First?")[1] > 2000
    read, written = usage(marked, "Second?")
    assert read > 2000
    assert 0 < written < 20
    assert usage(plain, "Third?", prompt_cache_options={"mode": "explicit"})[1] == 0


def test_the_legacy_completions_api_streams_and_answers(lenient):
    plain = lenient.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once", max_tokens=12)
    assert (plain.choices[0].finish_reason, plain.usage.completion_tokens) == ("length", 12)
    chunks = lenient.completions.create(
        model="gpt-3.5-turbo-instruct", prompt="Once", max_tokens=12, stream=True
    )
    assert "".join(c.choices[0].text for c in chunks) == plain.choices[0].text


async def test_embeddings_are_unit_vectors_that_depend_on_the_text_alone(lenient, async_client):
    first = lenient.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    second = await async_client.embeddings.create(
        model="text-embedding-3-small", input="a", encoding_format="float", dimensions=1536
    )
    a, b = (item.embedding for item in first.data)
    assert a == pytest.approx(second.data[0].embedding, abs=1e-6)
    assert a != b
    assert sum(x * x for x in a) == pytest.approx(1, abs=1e-5)
    assert (first.usage.prompt_tokens, first.usage.total_tokens) == (2, 2)


def test_a_response_streams_to_the_object_that_the_plain_call_returns(client):
    plain = client.responses.create(model="gpt-5", input="Hello", instructions="Be brief.")
    assert [item.type for item in plain.output] == ["reasoning", "message"]
    assert plain.usage.output_tokens_details.reasoning_tokens == 128
    with client.responses.stream(model="gpt-5", input="Hello", instructions="Be brief.") as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert final.output_text == plain.output_text
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == plain.output_text
    assert final.usage == plain.usage


def test_a_response_calls_a_tool_and_goes_on_from_the_one_before(client):
    tool = {"type": "function", **WEATHER}
    first = client.responses.create(model="gpt-4.1", input=QUESTION[0]["content"], tools=[tool])
    call = first.output[0]
    assert (call.type, json.loads(call.arguments)["city"]) == ("function_call", "Berlin")
    second = client.responses.create(
        model="gpt-4.1",
        previous_response_id=first.id,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "Rain"}],
        tools=[tool],
    )
    assert second.output_text
    assert second.usage.input_tokens > first.usage.input_tokens
    with pytest.raises(openai.BadRequestError, match="not found"):
        client.responses.create(model="gpt-4.1", previous_response_id="resp_0", input="x")


def test_a_response_that_is_cut_is_incomplete(client):
    events = list(client.responses.create(model="gpt-4.1", input="Hi", max_output_tokens=16, stream=True))
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.incomplete_details.reason == "max_output_tokens"


def test_models_are_listed_and_found(client):
    names = {model.id for model in client.models.list()}
    assert {"gpt-4o", "gpt-4o-2024-08-06", "text-embedding-3-small"} <= names
    assert not any(name.startswith("claude") for name in names)
    assert client.models.retrieve("gpt-4o").owned_by == "openai"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-0")


def test_latencies_follow_the_model_and_the_time_scale():
    with running_simulator(time_scale=0.2) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="k") as client:
        begun_s = time.monotonic()
        stream = client.chat.completions.create(model="gpt-4", messages=QUESTION, max_tokens=20, stream=True)
        came_s = [time.monotonic() - begun_s for chunk in stream if chunk.choices[0].delta.content]
    assert came_s[0] > 0.5 * 0.2 * (600 + 32) / 1000  # its luck is at least a half; what else takes time adds
    assert came_s[-1] - came_s[0] > 0.5 * 0.2 * 19 * 32 / 1000 * 0.9
