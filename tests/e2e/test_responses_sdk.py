"""OpenAI's SDK speaks responses to providers that do not have that API: to chat completions and to Anthropic.

The upstream is our simulator, which checks requests as the providers' documentation says.
"""

import openai
import pytest
from e2e.processes import running_services
from pydantic import BaseModel

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": False}]
QUESTION = {"role": "user", "content": "How is the weather?"}
UPSTREAM_FORMATS = {"by-chat": "openai-chat", "by-claude": "anthropic-messages"}
MODELS = list(UPSTREAM_FORMATS)


class Weather(BaseModel):
    city: str


@pytest.fixture(scope="module")
def bridged(tmp_path_factory, simulator):
    """Services before the simulator, as a provider of chat completions and as Anthropic."""
    document = {
        "providers": {
            "plain": {"base_url": f"{simulator}/v1", "api_key": "sk-plain"},
            "anthropic": {"base_url": simulator, "api_key": "sk-ant"},
        },
        "models": {
            "by-chat": {"provider": "plain", "model": "gpt-4o"},
            "by-claude": {"provider": "anthropic", "model": "claude-sonnet-4-5"},
            "unknown": {"provider": "plain", "model": "gpt-99"},
        },
        "gateway": {"default_provider": "plain"},
    }
    with running_services(tmp_path_factory.mktemp("bridged"), document) as services:
        yield services


@pytest.fixture
def client(bridged):
    with openai.OpenAI(base_url=f"{bridged.gateway.url}/v1", api_key="sk-x", max_retries=0) as it:
        yield it


@pytest.fixture
async def async_client(bridged):
    async with openai.AsyncOpenAI(base_url=f"{bridged.gateway.url}/v1", api_key="sk-x", max_retries=0) as it:
        yield it


def simulate(what):
    return {"extra_headers": {"x-simulate": what}}


@pytest.mark.parametrize("model", MODELS)
def test_plain_and_streamed_answers_are_the_same(client, model):
    asked = {"model": model, "input": "Hello", "instructions": "Be brief.", "max_output_tokens": 200}
    plain = client.responses.create(**asked)
    assert plain.status == "completed"
    assert plain.output_text.startswith("This is a simulated answer.")
    with client.responses.stream(**asked) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        gathered = stream.get_final_response()
    assert len(deltas) > 1
    assert "".join(deltas) == gathered.output_text == plain.output_text
    assert gathered.usage == plain.usage
    assert plain.usage.input_tokens > 0
    assert plain.usage.output_tokens > 0


@pytest.mark.parametrize("model", MODELS)
async def test_the_async_sdk(async_client, model):
    plain = await async_client.responses.create(model=model, input="Hello")
    stream = await async_client.responses.create(model=model, input="Hello", stream=True)
    events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].response.output_text == plain.output_text
    async with async_client.responses.stream(model=model, input="Hello") as gathered:
        assert (await gathered.get_final_response()).output_text == plain.output_text


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_tools_call_and_its_result(client, model, stream):
    asked = {"model": model, "tools": TOOLS}
    items = [QUESTION]
    if stream:
        with client.responses.stream(**asked, input=items) as events:
            response = events.get_final_response()
    else:
        response = client.responses.create(**asked, input=items)
    (call,) = [item for item in response.output if item.type == "function_call"]
    assert call.name == "get_weather"
    Weather.model_validate_json(call.arguments)
    items += [item.to_dict() for item in response.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "21 °C"})
    last = client.responses.create(**asked, input=items)
    assert last.output_text


@pytest.mark.parametrize("stream", [False, True])
def test_claudes_thinking_goes_back_with_the_tools_result(client, stream):
    asked = {"model": "by-claude", "tools": TOOLS, "reasoning": {"effort": "low"}, "max_output_tokens": 8000}
    items = [QUESTION]
    if stream:
        with client.responses.stream(**asked, input=items) as events:
            kinds = {event.type for event in events}
            response = events.get_final_response()
        assert "response.reasoning_text.delta" in kinds
    else:
        response = client.responses.create(**asked, input=items)
    reasoning, *_ = response.output
    assert (reasoning.type, bool(reasoning.content[0].text)) == ("reasoning", True)
    (call,) = [item for item in response.output if item.type == "function_call"]
    items += [item.to_dict() for item in response.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "21 °C"})
    last = client.responses.with_raw_response.create(**asked, input=items)
    assert "x-lessllm-dropped" not in last.headers
    assert last.parse().output_text


@pytest.mark.parametrize("model", MODELS)
def test_a_structured_answer(client, model):
    response = client.responses.parse(model=model, input="The weather as JSON", text_format=Weather)
    assert response.output_parsed is not None
    assert response.output_parsed.city


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_that_meets_its_limit(client, model):
    asked = {"model": model, "input": "Hello", "max_output_tokens": 16, **simulate("tokens=100")}
    response = client.responses.create(**asked)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    *_, last = client.responses.create(**asked, stream=True)
    assert (last.type, last.response.output_text) == ("response.incomplete", response.output_text)


def test_a_refusal(client):
    response = client.responses.create(model="by-chat", input="Hello", **simulate("refusal"))
    assert response.output[0].content[0].type == "refusal"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_an_upstreams_error_is_the_sdks(client, model, stream):
    with pytest.raises(openai.RateLimitError):
        client.responses.create(model=model, input="Hello", stream=stream, **simulate("status=429"))


def test_an_unknown_model(client):
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="unknown", input="Hello")


@pytest.mark.parametrize("model", MODELS)
def test_an_error_in_a_stream_is_a_failed_response(client, model):
    *_, last = client.responses.create(
        model=model, input="Hello", stream=True, **simulate("tokens=50, error_in_stream")
    )
    assert last.type == "response.failed"
    assert last.response.error.message


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_that_breaks_off_is_an_error(client, model):
    with pytest.raises(openai.APIError):
        list(
            client.responses.create(
                model=model, input="Hello", stream=True, **simulate("tokens=50, half_stream")
            )
        )


@pytest.mark.parametrize("model", MODELS)
def test_what_is_stored_nowhere_is_refused_by_name(client, model):
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        client.responses.create(model=model, input="Hello", previous_response_id="resp_1")
    with pytest.raises(openai.NotFoundError, match="has no Responses API"):
        client.responses.retrieve("resp_1")
    with pytest.raises(openai.NotFoundError, match="has no Responses API"):
        client.responses.delete("resp_1")


def test_what_was_left_out_is_named(client):
    raw = client.responses.with_raw_response.create(model="by-chat", input="Hello", store=True)
    assert raw.headers["x-lessllm-dropped"] == "store"
    assert raw.parse().store is False


@pytest.mark.parametrize("model", MODELS)
def test_a_call_is_recorded_as_it_went_up_and_came_down(client, bridged, model):
    answer = client.responses.with_raw_response.create(model=model, input="Hello", user="ann")
    usage = answer.parse().usage
    request_id = answer.headers["x-lessllm-request-id"]
    (row,) = bridged.rows(
        "SELECT api_format, upstream_format, user_id, end_reason, actual_prompt_tokens, estimated_ttfb_ms,"
        f" actual_completion_tokens, interpreter_error FROM api_calls WHERE request_id = '{request_id}'"
    )
    assert row["api_format"] == "openai-responses"
    assert row["upstream_format"] == UPSTREAM_FORMATS[model]
    assert (row["user_id"], row["end_reason"], row["interpreter_error"]) == ("ann", "complete", None)
    assert (row["actual_prompt_tokens"], row["actual_completion_tokens"]) == (
        usage.input_tokens,
        usage.output_tokens,
    )
    assert row["estimated_ttfb_ms"] is not None


def test_a_real_model_that_is_asked_by_chat(services, real_model):
    """llama.cpp: what another's chat stream looks like."""
    document = {"providers": {"llama": {"base_url": f"{real_model}/v1", "responses": False}}}
    running = services(document)
    url = f"{running.gateway.url}/v1"
    asked = {"model": "llama/smol", "input": "Say hello.", "max_output_tokens": 12, "temperature": 0}
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        plain = client.responses.create(**asked)
        with client.responses.stream(**asked) as stream:
            deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
            kinds = [event.type for event in client.responses.create(**asked, stream=True)]
    assert "".join(deltas) == plain.output_text != ""
    assert kinds[-1] == ("response.completed" if plain.status == "completed" else "response.incomplete")
    row, *_ = running.rows("SELECT * FROM api_calls ORDER BY timestamp")
    assert (row["actual_prompt_tokens"], row["actual_completion_tokens"]) == (
        plain.usage.input_tokens,
        plain.usage.output_tokens,
    )
    assert row["end_reason"] == "complete"
