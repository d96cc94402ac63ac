"""The content blocks of a stream: one after the other, each begun, filled and ended, whatever order the
pieces come in.

Pieces queue up by block. The first block of the queue is open: what comes for it leaves at once. It is over
when another one waits and nothing more can come for it: for text and thinking that is at once, for a tool
call when its arguments are a whole JSON object. So parallel calls that an upstream interleaves come out one
after the other, and calls that come one after the other are not held up.
"""

from collections import deque

import msgspec
from lessllm_shared.streams.merge import merge, merged

from lessllm_gateway.translate.messages_to_chat import ids
from lessllm_gateway.translate.messages_to_chat.json_pieces import JsonPieces
from lessllm_gateway.translate.messages_to_chat.reading import signature_of, wrong_input
from lessllm_gateway.translate.messages_to_chat.thinking import signature
from lessllm_gateway.translate.messages_to_chat.tools import ToolNames
from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import fields, text

_encode = msgspec.json.Encoder().encode


class _Block:
    def __init__(self) -> None:
        self.pieces: list[str] = []  # that have not left yet
        self.has_begun = False

    @property
    def can_begin(self) -> bool:
        """Whether there is something to begin with."""
        return any(piece.strip() for piece in self.pieces)

    @property
    def is_whole(self) -> bool:
        """Whether nothing more can come, now that another block waits."""
        return True

    def start(self) -> Json:
        raise NotImplementedError

    def delta(self, piece: str) -> Json:
        raise NotImplementedError

    def last_delta(self) -> Json | None:
        return None


class _Text(_Block):
    def start(self) -> Json:
        return {"type": "text", "text": ""}

    def delta(self, piece: str) -> Json:
        return {"type": "text_delta", "text": piece}


class _Thinking(_Block):
    def __init__(self, model: str | None) -> None:
        super().__init__()
        self._model = model
        self._kept: Json = {}

    @property
    def can_begin(self) -> bool:
        return bool(self._kept) or super().can_begin

    def keep(self, kept: Json) -> None:
        merge(self._kept, kept)

    def start(self) -> Json:
        return {"type": "thinking", "thinking": "", "signature": ""}

    def delta(self, piece: str) -> Json:
        return {"type": "thinking_delta", "thinking": piece}

    def last_delta(self) -> Json | None:
        return {"type": "signature_delta", "signature": signature(merged(self._kept), self._model)}


class _Call(_Block):
    def __init__(self, call_id: str, names: ToolNames) -> None:
        super().__init__()
        self.id = call_id
        self._names = names
        self._name = ""
        self._signature = ""
        self._arguments = JsonPieces()

    @property
    def can_begin(self) -> bool:
        return bool(self._name)

    @property
    def is_whole(self) -> bool:
        return self._arguments.is_whole

    def take(self, call: Json) -> None:
        function = fields(call.get("function"))
        self._name = self._name or text(function.get("name"))
        self._signature = self._signature or signature_of(call)
        self.id = self.id or text(call.get("id"))
        arguments = function.get("arguments")
        written = _encode(arguments).decode() if isinstance(arguments, dict) else text(arguments)
        if piece := self._arguments.take(written):
            self.pieces.append(piece)

    def start(self) -> Json:
        call_id = ids.for_client(self.id or ids.new_id("toolu"), self._signature)
        return {"type": "tool_use", "id": call_id, "name": self._names.for_client(self._name), "input": {}}

    def delta(self, piece: str) -> Json:
        return {"type": "input_json_delta", "partial_json": piece}

    def last_delta(self) -> Json | None:
        wrong = self._arguments.instead()
        return self.delta(_encode(wrong_input(wrong)).decode()) if wrong else None


class Blocks:
    """Takes pieces as they come; `events` gives what can leave."""

    def __init__(self, names: ToolNames, model: str | None) -> None:
        self.has_calls = False
        self._names = names
        self._model = model
        self._queue: deque[_Block] = deque()
        self._calls: dict[int, _Call] = {}  # the last one of each of the upstream's indices
        self._last_call: _Call | None = None
        self._index = -1  # of the block that was begun last

    def say(self, piece: str) -> None:
        """Text."""
        last = self._queue[-1] if self._queue else None
        if not isinstance(last, _Text):
            last = _Text()
            self._queue.append(last)
        last.pieces.append(piece)

    def think(self, piece: str, kept: Json) -> None:
        """Thinking, and what the model wants to see again of it."""
        last = self._queue[-1] if self._queue else None
        if not isinstance(last, _Thinking):
            last = _Thinking(self._model)
            self._queue.append(last)
        if piece:
            last.pieces.append(piece)
        last.keep(kept)

    def call(self, call: Json) -> None:
        """A piece of a tool call."""
        self.has_calls = True
        self._call_of(call).take(call)

    def events(self, *, at_end: bool = False) -> list[Json]:
        """The events that can leave now; `at_end`: nothing more comes."""
        events: list[Json] = []
        while self._queue:
            block = self._queue[0]
            is_waited_for = len(self._queue) > 1
            if block.has_begun or block.can_begin:
                events += self._progress(block)
                if not at_end and not (is_waited_for and block.is_whole):
                    break
                events += self._ended(block)
            elif not at_end and not (is_waited_for and block.is_whole):
                break
            self._queue.popleft()
        return events

    def _progress(self, block: _Block) -> list[Json]:
        events: list[Json] = []
        if not block.has_begun:
            block.has_begun = True
            self._index += 1
            events.append(
                {"type": "content_block_start", "index": self._index, "content_block": block.start()}
            )
        events += [self._delta(block.delta(piece)) for piece in block.pieces]
        block.pieces.clear()
        return events

    def _ended(self, block: _Block) -> list[Json]:
        last = block.last_delta()
        end = {"type": "content_block_stop", "index": self._index}
        return [end] if last is None else [self._delta(last), end]

    def _delta(self, delta: Json) -> Json:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _call_of(self, call: Json) -> _Call:
        """Known by its index, or the last one of a server that numbers nothing.

        Some number all calls 0: another id is another call, and so is a name after whole arguments.
        """
        index, call_id = call.get("index"), text(call.get("id"))
        known = self._calls.get(index) if isinstance(index, int) else self._last_call
        if known is not None and call_id and known.id:
            known = known if call_id == known.id else None
        elif known is not None and known.is_whole and fields(call.get("function")).get("name"):
            known = None
        if known is not None:
            return known
        new = _Call(call_id, self._names)
        self._queue.append(new)
        self._last_call = new
        if isinstance(index, int):
            self._calls[index] = new
        return new
