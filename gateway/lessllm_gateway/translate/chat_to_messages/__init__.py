"""OpenAI chat completions, asked of a provider that speaks Anthropic messages."""

from typing import ClassVar

from lessllm_shared.record import ApiFormat

from lessllm_gateway.credentials import RawHeaders
from lessllm_gateway.transform import Transform
from lessllm_gateway.translate.chat_to_messages.answer import answer, error
from lessllm_gateway.translate.chat_to_messages.request import request
from lessllm_gateway.translate.chat_to_messages.stream import AnswerStream
from lessllm_gateway.translate.translation import Json, Wanted


class ChatToMessages:
    """A `Translation`."""

    upstream_format: ClassVar = ApiFormat.MESSAGES
    upstream_path: ClassVar = "/v1/messages"
    headers: ClassVar[RawHeaders] = [(b"anthropic-version", b"2023-06-01")]  # it refuses requests without

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted

    def request(self, body: bytes) -> bytes:
        return request(body, self._wanted)

    def answer(self, upstream: Json) -> Json:
        try:
            return answer(upstream, self._wanted.model)
        except (TypeError, AttributeError):
            raise ValueError("not a message as Anthropic documents it") from None

    def stream(self) -> Transform:
        return AnswerStream(self._wanted.model, include_usage=self._wanted.includes_usage)

    def error(self, status: int, body: bytes) -> tuple[int, bytes]:
        return error(status, body)

    def answer_headers(self, raw: RawHeaders) -> RawHeaders:
        return raw
