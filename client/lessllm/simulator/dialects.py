"""Which API format answers at which path, and which provider where no format tells."""

from collections.abc import Mapping

from lessllm.simulator.anthropic import api as anthropic_api
from lessllm.simulator.anthropic.messages import CountTokens, Messages
from lessllm.simulator.exchange import Dialect, Stream
from lessllm.simulator.models import Catalogue
from lessllm.simulator.openai import api as openai_api
from lessllm.simulator.openai import responses_stream
from lessllm.simulator.openai.chat import ChatCompletions
from lessllm.simulator.openai.completions import Completions
from lessllm.simulator.openai.embeddings import Embeddings
from lessllm.simulator.openai.responses import Responses
from lessllm.simulator.provider import Provider


class Dialects:
    """All formats, with what they keep between calls."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._openai: Provider = openai_api.OpenAI()
        self._anthropic: Provider = anthropic_api.Anthropic()
        chat = ChatCompletions(catalogue, self._openai)
        completions = Completions(catalogue, self._openai)
        embeddings = Embeddings(catalogue, self._openai)
        responses = Responses(catalogue, self._openai)
        messages = Messages(catalogue, self._anthropic)
        count = CountTokens(catalogue, self._anthropic)
        self._by_path = {
            "/v1/chat/completions": Dialect(
                provider=self._openai,
                read=chat.read,
                write=chat.write,
                stream=Stream(beats=chat.stream, error=openai_api.stream_error),
            ),
            "/v1/completions": Dialect(
                provider=self._openai,
                read=completions.read,
                write=completions.write,
                stream=Stream(beats=completions.stream, error=openai_api.stream_error),
            ),
            "/v1/embeddings": Dialect(provider=self._openai, read=embeddings.read, write=embeddings.write),
            "/v1/responses": Dialect(
                provider=self._openai,
                read=responses.read,
                write=responses.write,
                stream=Stream(beats=responses.stream, error=responses_stream.stream_error),
            ),
            "/v1/messages": Dialect(
                provider=self._anthropic,
                read=messages.read,
                write=messages.write,
                stream=Stream(beats=messages.stream, error=anthropic_api.stream_error),
                stored_at_start=True,
            ),
            "/v1/messages/count_tokens": Dialect(
                provider=self._anthropic, read=count.read, write=count.write
            ),
        }

    def find(self, path: str, headers: Mapping[str, str]) -> tuple[Provider, Dialect | None]:
        """The provider of a path, and its format if it is one. Both have /v1/models: a header tells."""
        dialect = self._by_path.get(path)
        if dialect is not None:
            return dialect.provider, dialect
        return (self._anthropic if "anthropic-version" in headers else self._openai), None
