"""POST /v1/embeddings: unit vectors that depend on the text alone, as floats or as base64 of float32."""

import base64
import math
import struct
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from lessllm.simulator.cache import Block
from lessllm.simulator.exchange import Exchange, ModelCall
from lessllm.simulator.models import Catalogue
from lessllm.simulator.openai.requests import one_or_more
from lessllm.simulator.provider import ApiError, Provider, Strict, parse
from lessllm.simulator.text import dice
from lessllm.simulator.tokens import BYTES_PER_TOKEN, count_bytes

_MAX_INPUTS = 2048


def _as_inputs(value: Any) -> Any:
    """One text, several, one list of token numbers, or several: always several."""
    several = one_or_more(value)
    if isinstance(several, list) and several and all(isinstance(item, int) for item in several):
        return [several]
    return several


class EmbeddingRequest(Strict):
    """POST /v1/embeddings."""

    model: str
    input: Annotated[
        list[str] | list[list[int]], BeforeValidator(_as_inputs), Field(min_length=1, max_length=_MAX_INPUTS)
    ]
    dimensions: Annotated[int, Field(ge=1)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


class Embeddings:
    """The dialect."""

    def __init__(self, catalogue: Catalogue, provider: Provider) -> None:
        self._catalogue = catalogue
        self._provider = provider

    def read(self, raw: bytes) -> ModelCall:
        """Raises ApiError."""
        body = parse(EmbeddingRequest, raw, self._provider)
        model = self._catalogue.find(body.model, "openai", "embedding")
        if model is None:
            raise self._provider.unknown_model(body.model)
        blocks = tuple(Block(content=_content(item)) for item in body.input)
        for block in blocks:
            _check_length(count_bytes(len(block.content)), model.entry.context_tokens)
        if (body.dimensions or 0) > model.entry.dimensions:
            message = f"Invalid value for 'dimensions': must be at most {model.entry.dimensions}."
            raise ApiError(400, message, param="dimensions")
        return ModelCall(model=model, body=body, blocks=blocks)

    def write(self, exchange: Exchange) -> dict[str, Any]:
        """A list of embeddings."""
        body, model = exchange.call.body, exchange.call.model
        dimensions = body.dimensions or model.entry.dimensions
        vectors = [_vector(model.id, block.content, dimensions) for block in exchange.call.blocks]
        prompt_tokens = sum(count_bytes(len(block.content)) for block in exchange.call.blocks)
        encode = _base64 if body.encoding_format == "base64" else list
        return {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": encode(vector)}
                for index, vector in enumerate(vectors)
            ],
            "model": model.snapshot,
            "usage": {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens},
        }


def _check_length(size_tokens: int, limit_tokens: int) -> None:
    if not size_tokens:
        raise ApiError(400, "'$.input' is invalid: it can't be an empty string.", param="input")
    if size_tokens > limit_tokens:
        message = (
            f"This model's maximum context length is {limit_tokens} tokens, however you requested "
            f"{size_tokens} tokens. Please reduce your prompt."
        )
        raise ApiError(400, message, param="input")


def _content(item: str | list[int]) -> bytes:
    if isinstance(item, str):
        return item.encode("utf-8", "surrogatepass")
    return b"".join(struct.pack(">I", token & 0xFFFFFFFF)[:BYTES_PER_TOKEN] for token in item)


def _vector(model: str, content: bytes, dimensions: int) -> list[float]:
    rng = dice(model, content)
    values = [rng.gauss(0, 1) for _ in range(dimensions)]
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
