"""POST /v1/responses: the request read, the plain answer written. The stream is responses_stream.

After https://developers.openai.com/api/reference/resources/responses. Responses are stored (the latest
ones, unless `store` is false), so that previous_response_id works.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from lessllm.simulator.answers import Ask, Tool
from lessllm.simulator.exchange import Beat, Exchange, ModelCall
from lessllm.simulator.models import Catalogue, Model
from lessllm.simulator.openai import chat_checks, prompt, responses_requests, responses_stream
from lessllm.simulator.openai.chat import EFFORTS, tool_choice
from lessllm.simulator.openai.responses_requests import Item, ResponsesRequest
from lessllm.simulator.provider import ApiError, Provider, parse

MAX_STORED = 1000


class Responses:
    """The dialect, with the stored responses."""

    def __init__(self, catalogue: Catalogue, provider: Provider) -> None:
        self._catalogue = catalogue
        self._provider = provider
        self._stored: OrderedDict[str, list[Item]] = OrderedDict()

    def read(self, raw: bytes) -> ModelCall:
        """Raises ApiError."""
        body = parse(ResponsesRequest, raw, self._provider)
        model = self._catalogue.find(body.model, "openai", "chat")
        if model is None:
            raise self._provider.unknown_model(body.model)
        items = self._items(body)
        if not items:
            message = "One of 'input', 'previous_response_id', 'prompt' or 'conversation' must be provided."
            raise ApiError(400, message, param="input", code="missing_required_parameter")
        blocks = (
            *prompt.tool_blocks(body.tools),
            *responses_requests.blocks(body.instructions, items),
        )
        chat_checks.check_length(blocks, model)
        return ModelCall(
            model=model,
            body=body,
            blocks=blocks,
            asks=(_ask(body, items, model),),
            stream=bool(body.stream),
            cache_scope=_cache_scope(body),
            cache_wishes=prompt.wishes(body.prompt_cache_options, body.prompt_cache_retention),
        )

    def write(self, exchange: Exchange) -> dict[str, Any]:
        """A response."""
        response = responses_stream.finished(exchange)
        self._keep(exchange, response)
        return response

    def stream(self, exchange: Exchange) -> Iterator[Beat]:
        """response.created … response.completed."""
        yield from responses_stream.beats(exchange)
        self._keep(exchange, responses_stream.finished(exchange))

    def _items(self, body: ResponsesRequest) -> list[Item]:
        """The whole input, that of earlier responses first."""
        earlier: list[Item] = []
        if body.previous_response_id is not None:
            found = self._stored.get(body.previous_response_id)
            if found is None:
                message = f"Previous response with id '{body.previous_response_id}' not found."
                raise ApiError(400, message, param="previous_response_id", code="previous_response_not_found")
            earlier = found
        return earlier + [item.model_dump(exclude_none=True) for item in body.input]

    def _keep(self, exchange: Exchange, response: dict[str, Any]) -> None:
        body = exchange.call.body
        if body.store is False:
            return
        self._stored[response["id"]] = self._items(body) + response["output"]
        while len(self._stored) > MAX_STORED:
            self._stored.popitem(last=False)


def _cache_scope(body: ResponsesRequest) -> str:
    """What the documentation says invalidates a cache, besides the prompt itself."""
    text = body.text and body.text.model_dump_json()
    effort = body.reasoning and body.reasoning.effort
    return repr((body.prompt_cache_key, body.service_tier, body.parallel_tool_calls, text, effort))


def _ask(body: ResponsesRequest, items: list[Item], model: Model) -> Ask:
    reasoning = body.reasoning or responses_requests.Reasoning()
    form = (body.text.format if body.text else None) or {"type": "text"}
    last = items[-1]
    return Ask(
        last_text="\n".join(_texts(last)),
        persons_turn=last["type"] == "message",
        tools=tuple(Tool(name=tool.name, schema=tool.parameters) for tool in body.tools or ()),
        tool_choice=tool_choice(body.tool_choice),
        parallel_tools=body.parallel_tool_calls is not False,
        max_tokens=body.max_output_tokens,
        json_schema=None if form.get("type") == "text" else form.get("schema", True),
        reasoning_tokens=round(model.entry.reasoning_tokens * EFFORTS[reasoning.effort or "medium"]),
        reasoning_shown=reasoning.summary is not None,
    )


def _texts(item: Item) -> Iterator[str]:
    content = item.get("content")
    for part in content if isinstance(content, list) else ():
        if "text" in part:
            yield str(part["text"])
