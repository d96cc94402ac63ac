"""Two translations as one: what is the near one's upstream is the far one's client."""

from dataclasses import fields, replace
from typing import Any, ClassVar

from lessllm_shared.providers import ChatTraits

from lessllm_gateway.credentials import RawHeaders
from lessllm_gateway.transform import Transform
from lessllm_gateway.translate.chat_to_messages import ChatToMessages
from lessllm_gateway.translate.responses_to_chat import ResponsesToChat
from lessllm_gateway.translate.traits import EFFORTS
from lessllm_gateway.translate.translation import Json, Wanted

# What the far translation takes as a chat provider: all that there is. It judges what can go on.
_TRAITS = ChatTraits(efforts={"*": EFFORTS}, service_tier=True, tool_ids=r"[\s\S]*")


# Chat's names for what the client calls otherwise.
_NAMES = {
    "file": "input.input_file",
    "image_url.detail": "input.input_image.detail",
    "max_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
    "tools.function.strict": "tools.strict",
    "verbosity": "text.verbosity",
}


class _Between(Wanted):
    """What the client wants, as the far translation is told: what it leaves out has the client's name."""

    def drop(self, name: str, why: str) -> None:
        Wanted.drop(self, _NAMES.get(name, name), why)

    def leave_out(self, name: str) -> None:
        Wanted.leave_out(self, _NAMES.get(name, name))


class ResponsesToMessages:
    """A `Translation`: OpenAI responses, asked of a provider that speaks Anthropic messages."""

    upstream_format: ClassVar = ChatToMessages.upstream_format
    upstream_path: ClassVar = ChatToMessages.upstream_path
    headers: ClassVar[RawHeaders] = ChatToMessages.headers

    def __init__(self, wanted: Wanted) -> None:
        self._near = ResponsesToChat(replace(wanted, chat=_TRAITS, takes_stream_options=True))
        self._far = ChatToMessages(_Between(**_values(replace(wanted, includes_usage=True))))

    def request(self, body: bytes) -> bytes:
        return self._far.request(self._near.request(body))

    def answer(self, upstream: Json) -> Json:
        return self._near.answer(self._far.answer(upstream))

    def stream(self) -> Transform:
        return _Chain(self._near.stream(), self._far.stream())

    def error(self, status: int, body: bytes) -> tuple[int, bytes]:
        return self._near.error(*self._far.error(status, body))

    def answer_headers(self, raw: RawHeaders) -> RawHeaders:
        return self._near.answer_headers(self._far.answer_headers(raw))


class _Chain:
    def __init__(self, near: Transform, far: Transform) -> None:
        self._near = near
        self._far = far

    def feed(self, chunk: bytes) -> bytes:
        return self._near.feed(self._far.feed(chunk))

    def finish(self) -> bytes:
        return self._near.feed(self._far.finish()) + self._near.finish()


def _values(wanted: Wanted) -> dict[str, Any]:
    return {field.name: getattr(wanted, field.name) for field in fields(wanted)}
