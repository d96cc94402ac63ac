"""Anthropic messages, asked of a provider that speaks OpenAI's chat completions."""

from datetime import UTC, datetime
from typing import ClassVar

import msgspec
from lessllm_shared.record import ApiFormat

from lessllm_gateway.credentials import RawHeaders
from lessllm_gateway.transform import Transform
from lessllm_gateway.translate.messages_to_chat.answer import message
from lessllm_gateway.translate.messages_to_chat.count import estimated_tokens
from lessllm_gateway.translate.messages_to_chat.errors import error_answer
from lessllm_gateway.translate.messages_to_chat.headers import anthropic_headers
from lessllm_gateway.translate.messages_to_chat.remembered import Remembered
from lessllm_gateway.translate.messages_to_chat.request import chat_request, read, too_deep
from lessllm_gateway.translate.messages_to_chat.stream import AnswerStream
from lessllm_gateway.translate.messages_to_chat.thinking import is_shown
from lessllm_gateway.translate.messages_to_chat.tools import ToolNames
from lessllm_gateway.translate.translation import Json, Wanted


def token_count(body: bytes) -> bytes:
    """The answer to count_tokens, estimated. Raises Rejection."""
    try:
        return msgspec.json.encode({"input_tokens": estimated_tokens(read(body))})
    except RecursionError:
        raise too_deep() from None


class MessagesToChat:
    """A `Translation`."""

    upstream_format: ClassVar = ApiFormat.CHAT
    upstream_path: ClassVar = "/chat/completions"
    headers: ClassVar[RawHeaders] = []

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._asked = Remembered(wanted.model, ToolNames(), shows_thinking=True, input_estimate=0)

    def request(self, body: bytes) -> bytes:
        request, names = read(body), ToolNames()
        try:
            chat = chat_request(request, self._wanted, names)
            estimate = estimated_tokens(request)
        except RecursionError:
            raise too_deep() from None
        self._asked = Remembered(self._wanted.model, names, is_shown(request), estimate)
        return chat

    def answer(self, upstream: Json) -> Json:
        return message(upstream, self._asked)

    def stream(self) -> Transform:
        return AnswerStream(self._asked)

    def error(self, status: int, body: bytes) -> tuple[int, bytes]:
        return error_answer(status, body)

    def answer_headers(self, raw: RawHeaders) -> RawHeaders:
        return anthropic_headers(raw, datetime.now(UTC))
