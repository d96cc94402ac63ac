"""OpenAI chat completions, asked of a provider that speaks Anthropic messages: see docs/formats.md."""

import time
from collections.abc import Callable
from typing import ClassVar

from lessllm_shared.record import ApiFormat

from lessllm_gateway.credentials import RawHeaders
from lessllm_gateway.transform import Transform
from lessllm_gateway.translate.chat_to_messages.answer import answer
from lessllm_gateway.translate.chat_to_messages.errors import error
from lessllm_gateway.translate.chat_to_messages.headers import answer_headers
from lessllm_gateway.translate.chat_to_messages.request import request
from lessllm_gateway.translate.chat_to_messages.stream import AnswerStream
from lessllm_gateway.translate.translation import Json, Wanted


class ChatToMessages:
    """A `Translation`."""

    upstream_format: ClassVar = ApiFormat.MESSAGES
    upstream_path: ClassVar = "/v1/messages"
    headers: ClassVar[RawHeaders] = [(b"anthropic-version", b"2023-06-01")]  # it refuses requests without

    def __init__(self, wanted: Wanted, unix_clock: Callable[[], float] = time.time) -> None:
        self._wanted = wanted
        self._unix_clock = unix_clock
        self._head: Json = {"id": "", "created": int(unix_clock()), "model": wanted.model}
        self._answer_tool: str | None = None  # stands for `response_format`

    def request(self, body: bytes) -> bytes:
        translated, self._answer_tool = request(body, self._wanted)
        return translated

    def answer(self, upstream: Json) -> Json:
        return answer(upstream, self._head, self._answer_tool)

    def stream(self) -> Transform:
        return AnswerStream(
            self._head, include_usage=self._wanted.includes_usage, answer_tool=self._answer_tool
        )

    def error(self, status: int, body: bytes) -> tuple[int, bytes]:
        return error(status, body)

    def answer_headers(self, raw: RawHeaders) -> RawHeaders:
        return answer_headers(raw, self._unix_clock())
