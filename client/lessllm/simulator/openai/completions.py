"""POST /v1/completions, the legacy API: one prompt in, text out, plain and streaming."""

from collections.abc import Iterator
from typing import Annotated, Any

from lessllm_shared.sse import format_event
from pydantic import BeforeValidator, Field

from lessllm.simulator.answers import Answer, Ask
from lessllm.simulator.cache import Block
from lessllm.simulator.exchange import Beat, Exchange, ModelCall
from lessllm.simulator.models import Catalogue
from lessllm.simulator.openai import requests as forms
from lessllm.simulator.openai.chat_stream import DONE, finish_reason
from lessllm.simulator.provider import Provider, Strict, parse
from lessllm.simulator.wire import compact

_DEFAULT_MAX_TOKENS = 16


class CompletionRequest(Strict):
    """POST /v1/completions."""

    model: str
    prompt: Annotated[list[str] | list[int], BeforeValidator(forms.one_or_more), Field(min_length=1)]
    stream: bool | None = None
    stream_options: forms.StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stop: Annotated[list[str], Field(max_length=4), BeforeValidator(forms.one_or_more)] | None = None
    temperature: forms.Temperature | None = None
    top_p: forms.TopP | None = None
    presence_penalty: forms.Penalty | None = None
    frequency_penalty: forms.Penalty | None = None
    seed: int | None = None
    user: str | None = None


class Completions:
    """The dialect."""

    def __init__(self, catalogue: Catalogue, provider: Provider) -> None:
        self._catalogue = catalogue
        self._provider = provider

    def read(self, raw: bytes) -> ModelCall:
        """Raises ApiError."""
        body = parse(CompletionRequest, raw, self._provider)
        model = self._catalogue.find(body.model, "openai", "completion")
        if model is None:
            raise self._provider.unknown_model(body.model)
        texts = [item if isinstance(item, str) else "    " for item in body.prompt]  # a token is four bytes
        prompts = texts if isinstance(body.prompt[0], str) else ["".join(texts)]
        asks = tuple(
            Ask(
                last_text=prompt,
                max_tokens=body.max_tokens or _DEFAULT_MAX_TOKENS,
                stop=tuple(body.stop or ()),
            )
            for prompt in prompts
            for _ in range(body.n or 1)
        )
        blocks = tuple(Block(content=prompt.encode("utf-8", "surrogatepass")) for prompt in prompts)
        return ModelCall(model=model, body=body, blocks=blocks, asks=asks, stream=bool(body.stream))

    def write(self, exchange: Exchange) -> dict[str, Any]:
        """A text_completion."""
        choices = [_choice(i, a.text("text"), a) for i, a in enumerate(exchange.answers)]
        return {**_envelope(exchange), "choices": choices, "usage": _usage(exchange)}

    def stream(self, exchange: Exchange) -> Iterator[Beat]:
        """text_completion events: the same shape, a piece at a time."""
        options = exchange.call.body.stream_options
        with_usage = options is not None and options.include_usage is True
        tail = {"usage": None} if with_usage else {}
        for index, answer in enumerate(exchange.answers):
            for part in answer.parts:
                for step in part.steps(exchange.call.model.entry.tokens_per_event):
                    choice = _choice(index, "".join(step), None)
                    yield _beat({**_envelope(exchange), "choices": [choice], **tail}, len(step))
            yield _beat({**_envelope(exchange), "choices": [_choice(index, "", answer)], **tail}, 0)
        if with_usage:
            yield _beat({**_envelope(exchange), "choices": [], "usage": _usage(exchange)}, 0)
        yield DONE


def _beat(chunk: dict[str, Any], after_tokens: int) -> Beat:
    return Beat(format_event(compact(chunk)), after_tokens)


def _envelope(exchange: Exchange) -> dict[str, Any]:
    return {
        "id": f"cmpl-{exchange.token}",
        "object": "text_completion",
        "created": exchange.created_unix_s,
        "model": exchange.call.model.snapshot,
    }


def _choice(index: int, said: str, ended: Answer | None) -> dict[str, Any]:
    finish = finish_reason(ended) if ended else None
    return {"text": said, "index": index, "logprobs": None, "finish_reason": finish}


def _usage(exchange: Exchange) -> dict[str, int]:
    prompt_tokens, output_tokens = exchange.cache.prompt_tokens, exchange.output_tokens
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": prompt_tokens + output_tokens,
    }
