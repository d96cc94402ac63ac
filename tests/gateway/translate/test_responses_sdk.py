"""OpenAI's SDK takes every answer and stream for what its types say, and gives it out whole.

Its parsers are lenient by themselves: answers and events are validated against its types, too.
"""

import asyncio

import httpx2
import openai
import pytest
from gateway.translate.responses import DONE, answered, chunk, completion, events, translation
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

EVENT = TypeAdapter(ResponseStreamEvent)
CALL = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'}}
CUSTOM = {"id": "c2", "type": "function", "function": {"name": "patch", "arguments": '{"input":"+x"}'}}
CITATION = {"url": "https://x", "title": "X", "start_index": 0, "end_index": 5}
TOKEN = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
MESSAGES = {
    "text": {"content": "Hello"},
    "empty": {},
    "reasoning": {"reasoning_content": "Hm", "content": "Hello"},
    "blocks": {
        "thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "s"}],
        "content": "Hello",
    },
    "refusal": {"refusal": "I won't."},
    "tools": {"content": "Look", "tool_calls": [CALL, {**CALL, "id": "c3"}]},
    "custom": {"tool_calls": [CUSTOM]},
    "signed": {"tool_calls": [{**CALL, "extra_content": {"google": {"thought_signature": "s"}}}]},
    "sources": {
        "content": "Hello",
        "annotations": [{"type": "url_citation", "url_citation": CITATION}],
    },
}
ASKED = {
    "plain": {},
    "all": {
        "instructions": "Be brief.",
        "reasoning": {"effort": "low", "summary": "auto"},
        "tools": [
            {"type": "function", "name": "get_weather", "parameters": {}, "strict": False},
            {"type": "custom", "name": "patch"},
        ],
        "metadata": {"a": "b"},
        "text": {"verbosity": "low"},
        "max_output_tokens": 50,
    },
}
MESSAGE = pytest.mark.parametrize("message", MESSAGES.values(), ids=list(MESSAGES))
REQUEST = pytest.mark.parametrize("asked", ASKED.values(), ids=list(ASKED))
REASON = pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])


def stream_of(message, reason="stop"):
    calls = [{"index": index, **call} for index, call in enumerate(message.get("tool_calls", []))]
    said = [{name: value} for name, value in message.items() if name != "tool_calls"]
    deltas = [*said, *({"tool_calls": [call]} for call in calls)]
    return [*map(chunk, deltas), chunk({}, reason, usage=USAGE), DONE]


def bytes_of(chunks, asked):
    stream = translation(**asked).stream()
    return b"".join([*map(stream.feed, chunks), stream.finish()])


def client(content, content_type="text/event-stream", kind=openai.OpenAI):
    headers = {"content-type": content_type}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=content))
    http = (httpx2.Client if kind is openai.OpenAI else httpx2.AsyncClient)(transport=transport)
    return kind(api_key="k", base_url="http://x/v1", http_client=http, max_retries=0)


@MESSAGE
@REQUEST
@REASON
def test_every_plain_answer_is_of_the_sdks_types(message, asked, reason):
    response = Response.model_validate(answered(message, reason, asked=asked, usage=USAGE))
    assert response.output_text == message.get("content", "")


@MESSAGE
@REQUEST
@REASON
def test_every_event_is_of_the_sdks_types(message, asked, reason):
    for event in events(bytes_of(stream_of(message, reason), asked)):
        EVENT.validate_python(event)


@pytest.mark.parametrize("end", [(), (b'data: {"error":{"message":"no"}}\n\n',)])
def test_failures_are_of_the_sdks_types(end):
    *_, last = events(bytes_of([chunk({"content": "Hel"}), *end], {}))
    assert EVENT.validate_python(last).type == "response.failed"


@MESSAGE
@REQUEST
def test_the_sdk_reads_a_plain_answer(message, asked):
    with client(openai._utils._json.openapi_dumps(answered(message, asked=asked)), "application/json") as it:
        response = it.responses.create(model="m", input="Hello")
    assert response.output_text == message.get("content", "")
    assert response.status == "completed"


@MESSAGE
@REQUEST
def test_the_sdk_reads_a_stream(message, asked):
    with client(bytes_of(stream_of(message), asked)) as it:
        found = list(it.responses.create(model="m", input="Hello", stream=True))
    assert found[-1].type == "response.completed"
    assert found[-1].response.output_text == message.get("content", "")


@MESSAGE
@REQUEST
def test_the_sdk_gathers_a_stream(message, asked):
    with (
        client(bytes_of(stream_of(message), asked)) as it,
        it.responses.stream(model="m", input="Hello") as stream,
    ):
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        response = stream.get_final_response()
    assert "".join(deltas) == response.output_text == message.get("content", "")
    calls = [item for item in response.output if item.type.endswith("_call")]
    assert [call.call_id for call in calls] == [call["id"] for call in message.get("tool_calls", [])]


@MESSAGE
def test_the_async_sdk_reads_and_gathers_streams(message):
    raw = bytes_of(stream_of(message), {})

    async def run():
        async with client(raw, kind=openai.AsyncOpenAI) as it:
            stream = await it.responses.create(model="m", input="Hello", stream=True)
            kinds = [event.type async for event in stream]
            async with it.responses.stream(model="m", input="Hello") as gathered:
                response = await gathered.get_final_response()
        return kinds, response

    kinds, response = asyncio.run(run())
    assert kinds[-1] == "response.completed"
    assert response.output_text == message.get("content", "")


def test_the_sdk_parses_structured_answers():
    class Weather(BaseModel):
        city: str

    message = {"content": '{"city":"Rome"}'}
    with (
        client(bytes_of(stream_of(message), {})) as it,
        it.responses.stream(model="m", input="Hello", text_format=Weather) as stream,
    ):
        assert stream.get_final_response().output_parsed == Weather(city="Rome")


def test_logprobs_are_of_the_sdks_types():
    raw = completion({"content": "Hi"})
    raw["choices"][0]["logprobs"] = {"content": [TOKEN]}
    response = Response.model_validate(translation().answer(raw))
    assert response.output[0].content[0].logprobs[0].token == "Hi"
