"""POST /v1/chat/completions: the request read, the plain answer written. The stream is chat_stream.

After https://developers.openai.com/api/reference/resources/chat.
"""

from collections.abc import Iterator
from typing import Any

from lessllm.simulator.answers import Answer, Ask, Tool
from lessllm.simulator.exchange import Beat, Exchange, ModelCall
from lessllm.simulator.models import Catalogue, Model
from lessllm.simulator.openai import chat_checks, chat_stream, prompt
from lessllm.simulator.openai.requests import ChatRequest, ToolMessage
from lessllm.simulator.provider import Provider, parse

EFFORTS = {"none": 0.0, "minimal": 0.1, "low": 0.5, "medium": 1.0, "high": 2.0, "xhigh": 3.0, "max": 4.0}


class ChatCompletions:
    """The dialect."""

    def __init__(self, catalogue: Catalogue, provider: Provider) -> None:
        self._catalogue = catalogue
        self._provider = provider

    def read(self, raw: bytes) -> ModelCall:
        """Raises ApiError."""
        body = parse(ChatRequest, raw, self._provider)
        model = self._catalogue.find(body.model, "openai", "chat")
        if model is None:
            raise self._provider.unknown_model(body.model)
        chat_checks.check(body, model)
        blocks = (*prompt.tool_blocks(body.tools), *prompt.message_blocks(body.messages))
        chat_checks.check_length(blocks, model)
        return ModelCall(
            model=model,
            body=body,
            blocks=blocks,
            asks=(_ask(body, model),) * (body.n or 1),
            stream=bool(body.stream),
            cache_scope=_cache_scope(body),
            cache_wishes=prompt.wishes(body.prompt_cache_options, body.prompt_cache_retention),
        )

    def write(self, exchange: Exchange) -> dict[str, Any]:
        """A chat.completion."""
        choices = [
            {
                "index": index,
                "message": _message(answer, f"{exchange.token}{index}"),
                "logprobs": None,
                "finish_reason": chat_stream.finish_reason(answer),
            }
            for index, answer in enumerate(exchange.answers)
        ]
        envelope = chat_stream.envelope(exchange, "chat.completion")
        return {**envelope, "choices": choices, "usage": _usage(exchange)}

    def stream(self, exchange: Exchange) -> Iterator[Beat]:
        """chat.completion.chunk events."""
        return chat_stream.beats(exchange, _usage(exchange))


def _cache_scope(body: ChatRequest) -> str:
    """What the documentation says invalidates a cache, besides the prompt itself."""
    form = body.response_format and body.response_format.model_dump_json()
    return repr(
        (
            body.prompt_cache_key,
            body.service_tier,
            body.parallel_tool_calls,
            form,
            body.reasoning_effort,
            body.verbosity,
        )
    )


def _ask(body: ChatRequest, model: Model) -> Ask:
    last = body.messages[-1]
    functions = [tool.function for tool in body.tools or ()]
    effort = EFFORTS[body.reasoning_effort or "medium"]
    return Ask(
        last_text="\n".join(part.text for part in last.content or () if part.type == "text"),
        persons_turn=not isinstance(last, ToolMessage),
        tools=tuple(Tool(name=function.name, schema=function.parameters) for function in functions),
        tool_choice=tool_choice(body.tool_choice),
        parallel_tools=body.parallel_tool_calls is not False,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        stop=tuple(body.stop or ()),
        json_schema=_wanted_schema(body),
        reasoning_tokens=round(model.entry.reasoning_tokens * effort),
    )


def tool_choice(choice: Any) -> str:
    """auto, none, required or a function's name, from chat's or responses' form."""
    if isinstance(choice, dict):
        function = choice.get("function", choice)
        return str(function.get("name", "required")) if isinstance(function, dict) else "required"
    return choice if choice in {"none", "required"} else "auto"


def _wanted_schema(body: ChatRequest) -> Any:
    form = body.response_format
    if form is None or form.type == "text":
        return None
    return form.json_schema.schema_ if form.json_schema else True


def _message(answer: Answer, token: str) -> dict[str, Any]:
    refusal = answer.text("refusal") or None
    calls = answer.tool_calls()
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if refusal or calls else answer.text("text"),
        "refusal": refusal,
        "annotations": [],
    }
    if calls:
        message["tool_calls"] = [
            chat_stream.tool_call(token, i, call.name, call.content) for i, call in enumerate(calls)
        ]
    return message


def _usage(exchange: Exchange) -> dict[str, Any]:
    cache = exchange.cache
    prompt_details = {"cached_tokens": cache.read_tokens, "audio_tokens": 0}
    rules = exchange.call.model.cache
    if rules is not None and rules.kind == "breakpoints":
        prompt_details["cache_write_tokens"] = cache.written_tokens
    prompt_tokens, output_tokens = cache.prompt_tokens, exchange.output_tokens
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": prompt_tokens + output_tokens,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": {
            "reasoning_tokens": sum(answer.reasoning_tokens for answer in exchange.answers),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
