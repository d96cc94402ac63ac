"""An Anthropic event stream into a chat one.

    waiting --message_start--> open --message_stop--> ended: finish_reason, usage, [DONE]
    waiting, open --an error, a spoilt event, the end of the bytes--> ended: an error event, no [DONE]

While it is open, each content block goes by itself from its start to its stop (`blocks`).
"""

import msgspec
from lessllm_shared import tolerant_json
from lessllm_shared.record import EndReason
from lessllm_shared.sse import Event, EventParser, EventTooLargeError, format_event

from lessllm_gateway import errors
from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.chat_to_messages.answer import finish_reason, refusal, told
from lessllm_gateway.translate.chat_to_messages.blocks import Block, Said, block
from lessllm_gateway.translate.chat_to_messages.errors import error_body
from lessllm_gateway.translate.chat_to_messages.usage import usage
from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import fields

MAX_OPEN_BLOCKS = 256  # Anthropic opens one after the other

_NOTHING = {b"", b"[DONE]"}  # a comment; a terminator that is not Anthropic's, but some send
_encoder = msgspec.json.Encoder()


class AnswerStream:
    """A transform."""

    def __init__(self, head: Json, *, include_usage: bool, answer_tool: str | None) -> None:
        self._parser = EventParser()
        self._head = {**head, "object": "chat.completion.chunk"}
        self._include_usage = include_usage
        self._answer_tool = answer_tool
        self._said = Said()
        self._blocks: dict[int | None, Block] = {}  # that are open, by index
        self._usage: Json = {}
        self._ending: Json = {}  # stop_reason, stop_details
        self._has_begun = False
        self._has_ended = False

    def feed(self, chunk: bytes) -> bytes:
        """The chat events for the events that this chunk completes."""
        if self._has_ended:
            return b""
        try:
            events = self._parser.feed(chunk)
        except EventTooLargeError:
            return self._broken("upstream_invalid_answer", "an event of the upstream's answer is too large")
        return b"".join(map(self._event, events))

    def finish(self) -> bytes:
        """What an event without its blank line still brings; an error, if the message did not end."""
        out = b"".join(map(self._event, self._parser.flush()))
        return out + self._broken("upstream_truncated", "the upstream's answer broke off")

    def _event(self, event: Event) -> bytes:
        if self._has_ended or event.data in _NOTHING:
            return b""
        try:
            data = fields(tolerant_json.loads(event.data))
        except ValueError:
            return self._broken("upstream_invalid_answer", "an event of the upstream's answer is not JSON")
        handler = _EVENTS.get(str(data.get("type") or event.name))
        return handler(self, data) if handler else b""  # unknown ones are passed over, as Anthropic asks

    def _start(self, data: Json) -> bytes:
        message = fields(data.get("message"))
        self._head = told(self._head, message)
        # The output tokens of a start are a placeholder.
        self._usage = {n: v for n, v in fields(message.get("usage")).items() if n != "output_tokens"}
        return self._begin()

    def _block_start(self, data: Json) -> bytes:
        index = _index(data)
        before = self._close(index)
        if len(self._blocks) == MAX_OPEN_BLOCKS:
            return self._broken("upstream_invalid_answer", "the upstream's answer has too many open blocks")
        self._blocks[index] = block(fields(data.get("content_block")), self._said, self._answer_tool)
        return before + self._delta(self._blocks[index].opening())

    def _block_delta(self, data: Json) -> bytes:
        grown = self._blocks.get(_index(data))
        return self._delta(grown.growth(fields(data.get("delta")))) if grown else b""

    def _block_stop(self, data: Json) -> bytes:
        return self._close(_index(data))

    def _message_delta(self, data: Json) -> bytes:
        self._ending |= _known(fields(data.get("delta")))
        self._usage |= _known(fields(data.get("usage")))  # cumulative
        return b""

    def _stop(self, data: Json) -> bytes:
        del data
        out = [self._begin(), *(self._close(index) for index in list(self._blocks))]
        if refused := refusal(self._ending):
            out.append(self._delta({"refusal": refused}))
        out.append(self._chunk({}, finish_reason(self._ending.get("stop_reason"), self._said)))
        used = usage(self._usage) if self._include_usage else None
        if used is not None:
            out.append(format_event(_encoder.encode({**self._head, "choices": [], "usage": used})))
        self._has_ended = True
        return b"".join(out) + format_event(b"[DONE]")

    def _error(self, data: Json) -> bytes:
        self._has_ended = True
        return format_event(error_body(fields(data.get("error"))))

    def _broken(self, code: str, what: str) -> bytes:
        if self._has_ended:
            return b""
        self._has_ended = True
        return format_event(errors.error_body("openai", Rejection(502, code, what, EndReason.UPSTREAM_ERROR)))

    def _close(self, index: int | None) -> bytes:
        closed = self._blocks.pop(index, None)
        return self._delta(closed.closing()) if closed else b""

    def _begin(self) -> bytes:
        if self._has_begun:
            return b""
        self._has_begun = True
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def _delta(self, delta: Json) -> bytes:
        return self._begin() + self._chunk(delta) if delta else b""

    def _chunk(self, delta: Json, reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        chunk = {**self._head, "choices": [choice]}
        if self._include_usage:
            chunk["usage"] = None
        return format_event(_encoder.encode(chunk))


def _index(data: Json) -> int | None:
    index = data.get("index")
    return index if isinstance(index, int) else None


def _known(changes: Json) -> Json:
    return {name: value for name, value in changes.items() if value is not None}


_EVENTS = {
    "message_start": AnswerStream._start,  # noqa: SLF001
    "content_block_start": AnswerStream._block_start,  # noqa: SLF001
    "content_block_delta": AnswerStream._block_delta,  # noqa: SLF001
    "content_block_stop": AnswerStream._block_stop,  # noqa: SLF001
    "message_delta": AnswerStream._message_delta,  # noqa: SLF001
    "message_stop": AnswerStream._stop,  # noqa: SLF001
    "error": AnswerStream._error,  # noqa: SLF001
}
