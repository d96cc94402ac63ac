"""A chat stream into a stream of Anthropic's events.

message_start, then the content blocks, then message_delta with the reason to stop and the usage, then
message_stop: the last two wait for the usage, which comes after the finish reason. A stream that breaks
off ends with an error event, never with message_stop. An upstream's comments, which keep a connection
open, become pings.
"""

from collections.abc import Iterable

import msgspec
from lessllm_shared import tolerant_json
from lessllm_shared.sse import Event, EventParser, format_event

from lessllm_gateway.translate.messages_to_chat import ids
from lessllm_gateway.translate.messages_to_chat.blocks import Blocks
from lessllm_gateway.translate.messages_to_chat.errors import cut_off, error_in_stream
from lessllm_gateway.translate.messages_to_chat.reading import calls_of, reasoning_of, text_of
from lessllm_gateway.translate.messages_to_chat.remembered import Remembered
from lessllm_gateway.translate.messages_to_chat.stops import FAILURES, stop_fields
from lessllm_gateway.translate.messages_to_chat.thinking import kept_of
from lessllm_gateway.translate.messages_to_chat.usage import message_usage, reported_usage, tier
from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import fields, objects, text

_PING = {"type": "ping"}
_encoder = msgspec.json.Encoder()


class AnswerStream:
    """A transform."""

    def __init__(self, asked: Remembered) -> None:
        self._asked = asked
        self._parser = EventParser()
        self._blocks = Blocks(asked.names, asked.model)
        self._has_begun = False
        self._is_over = False
        self._refused = False
        self._last_choice: Json | None = None  # that says why the answer ended
        self._usage: Json = {}

    def feed(self, chunk: bytes) -> bytes:
        """The events for the chunks that these bytes complete."""
        return b"".join(self._event(event) for event in self._parser.feed(chunk))

    def finish(self) -> bytes:
        """What is left; an error if the answer is not whole."""
        rest = b"".join(self._event(event) for event in self._parser.flush())
        if self._is_over:
            return rest
        return rest + (self._fail(cut_off()) if self._last_choice is None else self._end())

    def _event(self, event: Event) -> bytes:
        if self._is_over:
            return b""
        if not event.data:
            return _written([_PING]) if event.raw.lstrip().startswith(b":") else b""
        if event.data.startswith(b"[DONE]"):
            return self._end()
        try:
            chunk = fields(tolerant_json.loads(event.data))
        except ValueError:
            return b""  # not a chunk: passed over, as by OpenAI-format clients
        if chunk.get("error") or chunk.get("object") == "error" or event.name == "error":
            return self._fail(error_in_stream(chunk))
        return self._chunk(chunk)

    def _chunk(self, chunk: Json) -> bytes:
        self._usage = reported_usage(chunk) or self._usage
        choice = next((c for c in objects(chunk.get("choices")) if not c.get("index")), None)
        if choice is None:  # usage, or what Azure says of the prompt
            return b""
        events = [] if self._has_begun else [self._start(chunk)]
        self._take(fields(choice.get("delta")))
        finish = text(choice.get("finish_reason"))
        if finish in FAILURES:
            failure = {"code": finish, "message": f"the model stopped: {finish}"}
            return _written(events) + self._fail(error_in_stream({"error": failure}))
        if finish:
            self._last_choice = choice
        return _written([*events, *self._blocks.events()])

    def _take(self, delta: Json) -> None:
        blocks = self._blocks
        thinking, kept = reasoning_of(delta), kept_of(delta)
        if self._asked.shows_thinking and (thinking or kept):
            blocks.think(thinking, kept)
        if said := text_of(delta):
            blocks.say(said)
        if refusal := text(delta.get("refusal")):
            self._refused = True
            blocks.say(refusal)
        for call in calls_of(delta):
            blocks.call(call)

    def _start(self, chunk: Json) -> Json:
        self._has_begun = True
        usage = message_usage({}, self._asked.input_estimate)
        message: Json = {
            "id": text(chunk.get("id")) or ids.new_id("msg"),
            "type": "message",
            "role": "assistant",
            "model": text(chunk.get("model")) or self._asked.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "usage": {**usage, "service_tier": tier(chunk)},
        }
        return {"type": "message_start", "message": message}

    def _end(self) -> bytes:
        self._is_over = True
        events = [] if self._has_begun else [self._start({})]
        events += self._blocks.events(at_end=True)
        choice = self._last_choice or {}
        stop = stop_fields(choice, has_calls=self._blocks.has_calls, refused=self._refused)
        usage = message_usage(self._usage, self._asked.input_estimate)
        events.append({"type": "message_delta", "delta": stop, "usage": usage})
        events.append({"type": "message_stop"})
        return _written(events)

    def _fail(self, error: Json) -> bytes:
        self._is_over = True
        return _written([error])


def _written(events: Iterable[Json]) -> bytes:
    return b"".join(format_event(_encoder.encode(event), event["type"]) for event in events)
