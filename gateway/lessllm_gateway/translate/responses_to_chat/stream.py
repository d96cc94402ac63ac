"""A chat stream into the events of a response.

It ends as the API's streams do, by `response.completed` or `.incomplete`, once the upstream has said that it
is done, and by `response.failed` when it reports an error, breaks off or says what is no chat stream: no
client sees a clean end of an answer that has none.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from lessllm_shared.sse import Event, EventParser, EventTooLargeError, format_event
from lessllm_shared.streams.reader import json_object

from lessllm_gateway.translate.responses_to_chat import answer
from lessllm_gateway.translate.responses_to_chat.items import Tell
from lessllm_gateway.translate.responses_to_chat.output import Output
from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import fields

MAX_STREAM_BYTES = 64 * 1024 * 1024  # the last event holds the whole answer
_CUT_OFF = "the upstream's answer broke off"
_encoder = msgspec.json.Encoder()


class ResponseStream:
    """A transform. `begun` is what is known of the response before the upstream has said a word."""

    def __init__(self, begun: Json, output: Callable[[Tell], Output]) -> None:
        self._parser = EventParser()
        self._begun = begun
        self._output = output(self._tell)
        self._told: list[bytes] = []
        self._sequence_number = 0
        self._is_over = False
        self._size_bytes = 0
        self._finish_reason: Any = None
        self._usage: Json = {}

    def feed(self, chunk: bytes) -> bytes:
        """The events for those that this chunk completes."""
        self._size_bytes += len(chunk)
        if self._size_bytes > MAX_STREAM_BYTES:
            self._fail(None, "the upstream's answer is too large to be held")
        if self._is_over:
            return self._bytes()
        try:
            self._take(self._parser.feed(chunk))
        except EventTooLargeError:
            self._fail(None, "an event of the upstream's stream is too large")
        return self._bytes()

    def finish(self) -> bytes:
        """The end, if the upstream's stream ended without saying so."""
        self._take(self._parser.flush())
        if self._finish_reason is not None:
            self._end()  # some leave out [DONE]
        self._fail(None, _CUT_OFF)
        return self._bytes()

    def _bytes(self) -> bytes:
        told, self._told = b"".join(self._told), []
        return told

    def _tell(self, event: Json) -> None:
        numbered = {**event, "sequence_number": self._sequence_number}
        self._sequence_number += 1
        self._told.append(format_event(_encoder.encode(numbered), event["type"]))

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if event.data and not self._is_over:
                try:
                    self._event(event)
                except RecursionError:
                    self._fail(None, "an event of the upstream's stream is nested too deeply")
                except ValueError as error:
                    self._fail(None, f"the upstream's answer is {error}")

    def _event(self, event: Event) -> None:
        if event.data.startswith(b"[DONE]"):
            if self._sequence_number:
                self._end()
            else:
                self._fail(None, _CUT_OFF)
            return
        chunk = json_object(event)
        if chunk is None:
            self._fail(None, "an event of the upstream's stream is no JSON object")
        elif chunk.get("error") or chunk.get("object") == "error" or event.name == "error":
            code, message = answer.told(chunk)
            self._fail(code, message or "the upstream reported an error")
        else:
            self._begin(chunk)
            self._chunk(chunk)

    def _begin(self, chunk: Json) -> None:
        if self._sequence_number:
            return
        self._begun |= answer.said(chunk)
        self._lifecycle("created", "in_progress", [])
        self._lifecycle("in_progress", "in_progress", [])

    def _chunk(self, chunk: Json) -> None:
        self._usage = answer.usage_in(chunk) or self._usage
        choice = answer.first_choice(chunk)
        self._output.take(fields(choice.get("delta")), answer.logprobs(choice))
        self._finish_reason = choice.get("finish_reason") or self._finish_reason

    def _end(self) -> None:
        if self._is_over:
            return
        status, how = answer.ended(self._finish_reason, self._usage)
        self._output.close(cut_off=status == "incomplete")
        self._lifecycle(status, status, self._output.items(), **how)
        self._is_over = True

    def _fail(self, code: str | None, message: str) -> None:
        if self._is_over:
            return
        self._begin({})
        error = {"code": code or "server_error", "message": message}
        usage = answer.usage(self._usage)
        self._lifecycle("failed", "failed", self._output.items(), error=error, usage=usage)
        self._is_over = True

    def _lifecycle(self, event: str, status: str, output: list[Json], **how: Any) -> None:
        response = answer.response(self._begun, status, output, **how)
        self._tell({"type": f"response.{event}", "response": response})
