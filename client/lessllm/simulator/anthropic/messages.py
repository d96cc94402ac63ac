"""POST /v1/messages and /v1/messages/count_tokens: the request read, the plain answer written.

After https://platform.claude.com/docs/en/api/messages. The stream is stream.
"""

from collections.abc import Iterator
from typing import Any

from lessllm.simulator.answers import Ask, Tool
from lessllm.simulator.anthropic import checks, prompt, stream
from lessllm.simulator.anthropic.requests import (
    ImageBlock,
    Message,
    MessagesRequest,
    PromptRequest,
    TextBlock,
    ToolResultBlock,
)
from lessllm.simulator.cache import Block
from lessllm.simulator.exchange import Beat, Exchange, ModelCall
from lessllm.simulator.models import Catalogue, Model
from lessllm.simulator.provider import Provider, parse

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_DEFAULT_REASONING_TOKENS = 64


class Messages:
    """The dialect of /v1/messages."""

    def __init__(self, catalogue: Catalogue, provider: Provider) -> None:
        self._catalogue = catalogue
        self._provider = provider

    def read(self, raw: bytes) -> ModelCall:
        """Raises ApiError."""
        body = parse(MessagesRequest, raw, self._provider)
        model = _find(self._catalogue, self._provider, body.model)
        checks.check(body, model)
        blocks = prompt.blocks(body)
        checks.check_length(blocks, model)
        return ModelCall(
            model=model, body=body, blocks=blocks, asks=(_ask(body, model),), stream=bool(body.stream)
        )

    def write(self, exchange: Exchange) -> dict[str, Any]:
        """A message."""
        content = stream.content(exchange)
        ending = stream.ending(exchange.answer)
        return {**stream.message(exchange), "content": content, **ending}

    def stream(self, exchange: Exchange) -> Iterator[Beat]:
        """message_start … message_stop."""
        return stream.beats(exchange)


class CountTokens:
    """The dialect of /v1/messages/count_tokens: no model runs, no cache is touched."""

    def __init__(self, catalogue: Catalogue, provider: Provider) -> None:
        self._catalogue = catalogue
        self._provider = provider

    def read(self, raw: bytes) -> ModelCall:
        """Raises ApiError."""
        body = parse(PromptRequest, raw, self._provider)
        model = _find(self._catalogue, self._provider, body.model)
        checks.check_prompt(body)
        unmarked = tuple(Block(content=b.content, kind=b.kind) for b in prompt.blocks(body))
        return ModelCall(model=model, body=body, blocks=unmarked)

    def write(self, exchange: Exchange) -> dict[str, Any]:
        """The count."""
        return {"input_tokens": exchange.cache.prompt_tokens}


def _find(catalogue: Catalogue, provider: Provider, name: str) -> Model:
    model = catalogue.find(name, "anthropic", "chat")
    if model is None:
        raise provider.unknown_model(name)
    return model


def _ask(body: MessagesRequest, model: Model) -> Ask:
    choice = body.tool_choice
    chosen = "auto" if choice is None else (choice.name or _CHOICES.get(choice.type, "auto"))
    wanted = body.output_config.format if body.output_config else None
    last = body.messages[-1]
    return Ask(
        last_text="\n".join(_texts(last)),
        persons_turn=not any(isinstance(part, ToolResultBlock) for part in last.content),
        tools=tuple(Tool(name=tool.name, schema=tool.input_schema) for tool in body.tools or ()),
        tool_choice=chosen,
        parallel_tools=not (choice and choice.disable_parallel_tool_use),
        max_tokens=body.max_tokens,
        stop=tuple(body.stop_sequences or ()),
        json_schema=wanted.get("schema", True) if wanted else None,
        reasoning_tokens=_thinking_tokens(body, model),
        reasoning_shown=True,
    )


def _thinking_tokens(body: MessagesRequest, model: Model) -> int:
    thinking = body.thinking
    if thinking is None or thinking.type == "disabled":
        return 0
    wanted = model.entry.reasoning_tokens or _DEFAULT_REASONING_TOKENS
    return min(wanted, thinking.budget_tokens or wanted)


def _texts(message: Message) -> Iterator[str]:
    for part in message.content:
        if isinstance(part, TextBlock):
            yield part.text
        elif isinstance(part, ImageBlock):
            yield "[image]"
