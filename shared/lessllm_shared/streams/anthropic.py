"""Anthropic messages: a message in the making, its content blocks by index, then `message_delta`.

After the events of docs.anthropic.com, "Streaming messages": `message_start`, `content_block_start`,
`…_delta`, `…_stop`, `message_delta` with the stop reason and cumulative usage, `message_stop`; `ping` and
`error` anywhere. The output_tokens of `message_start` are a placeholder: without `message_delta` the
assembled usage has none.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from lessllm_shared.sse import Event
from lessllm_shared.streams.reader import Brings, json_object
from lessllm_shared.tolerant_json import loads

# A delta's type → the block's field that grows by the delta's field of the same name, and what that is.
_GROWING = {
    "text_delta": ("text", Brings.CONTENT),
    "thinking_delta": ("thinking", Brings.REASONING),
    "input_json_delta": ("partial_json", Brings.CONTENT),
}
_SETTING = frozenset({"signature_delta", "compaction_delta"})  # their fields come whole


class _Block:
    def __init__(self, start: dict[str, Any]) -> None:
        self.fields = start
        self.pieces: dict[str, list[str]] = {}

    def whole(self) -> dict[str, Any]:
        block = dict(self.fields)
        for key, pieces in self.pieces.items():
            text = "".join(pieces)
            if key == "partial_json":
                block["input"] = _parsed(text) if text else block.get("input", {})
            else:
                known = block.get(key)
                block[key] = (known if isinstance(known, str) else "") + text
        return block


def _parsed(partial_json: str) -> Any:
    try:
        return loads(partial_json)
    except ValueError:
        return partial_json  # cut off: as far as it came


class MessagesReader:
    """Gathers a `message`."""

    def __init__(self) -> None:
        self.finished = False
        self.error: dict[str, Any] | None = None
        self.unknown_events = 0
        self._message: dict[str, Any] | None = None
        self._blocks: dict[Any, _Block] = {}
        self._usage: dict[str, Any] = {}
        self._output_counted = False

    def add(self, event: Event) -> Brings:
        """Take one event in."""
        if not event.data:
            return Brings.NOTHING
        data = json_object(event)
        take = None if data is None else self._EVENTS.get(str(data.get("type") or event.name))
        if data is None or take is None:
            self.unknown_events += 1
            return Brings.NOTHING
        return take(self, data)

    def answer(self) -> dict[str, Any] | None:
        """The message, as far as it came."""
        if self._message is None:
            return None
        usage = self._usage
        if not self._output_counted:
            usage = {key: value for key, value in usage.items() if key != "output_tokens"}
        content = [block.whole() for block in self._blocks.values()]
        return {**self._message, "content": content, "usage": usage}

    def _message_start(self, data: dict[str, Any]) -> Brings:
        message = data.get("message")
        if isinstance(message, dict):
            self._message = message
            usage = message.get("usage")
            self._usage = dict(usage) if isinstance(usage, dict) else {}
        return Brings.NOTHING

    def _block_start(self, data: dict[str, Any]) -> Brings:
        start = data.get("content_block")
        if not isinstance(start, dict):
            return Brings.NOTHING
        self._blocks[_index(data)] = _Block(start)
        fallback = start.get("to") if start.get("type") == "fallback" else None
        if isinstance(fallback, dict) and self._message is not None:
            self._message["model"] = fallback.get("model")  # another model took over
        if start.get("text"):
            return Brings.CONTENT
        # Redacted thinking comes whole, as `data`.
        return Brings.REASONING if start.get("thinking") or start.get("data") else Brings.NOTHING

    def _block_delta(self, data: dict[str, Any]) -> Brings:
        delta = data.get("delta")
        block = self._blocks.get(_index(data))
        if not isinstance(delta, dict) or block is None:
            self.unknown_events += 1
            return Brings.NOTHING
        kind = delta.get("type")
        if kind == "citations_delta":
            known = block.fields.get("citations")
            block.fields["citations"] = known = known if isinstance(known, list) else []
            known.append(delta.get("citation"))
            return Brings.NOTHING
        if not isinstance(kind, str) or kind not in _GROWING:
            block.fields.update({key: value for key, value in delta.items() if key != "type"})
            self.unknown_events += kind not in _SETTING
            return Brings.NOTHING
        field, brings = _GROWING[kind]
        piece = delta.get(field)
        if not isinstance(piece, str) or not piece:
            return Brings.NOTHING
        block.pieces.setdefault(field, []).append(piece)
        return brings

    def _message_delta(self, data: dict[str, Any]) -> Brings:
        if self._message is None:
            self._message = {}
        delta, usage = data.get("delta"), data.get("usage")
        if isinstance(delta, dict):
            _overwrite(self._message, delta)
        if isinstance(usage, dict):
            self._output_counted = self._output_counted or usage.get("output_tokens") is not None
            _overwrite(self._usage, usage)
        _overwrite(self._message, {k: v for k, v in data.items() if k not in ("type", "delta", "usage")})
        return Brings.NOTHING

    def _message_stop(self, data: dict[str, Any]) -> Brings:
        del data
        self.finished = True
        return Brings.NOTHING

    def _error(self, data: dict[str, Any]) -> Brings:
        self.error = data
        return Brings.NOTHING

    def _nothing(self, data: dict[str, Any]) -> Brings:
        del data
        return Brings.NOTHING

    _EVENTS: ClassVar[dict[str, Callable[["MessagesReader", dict[str, Any]], Brings]]] = {
        "message_start": _message_start,
        "content_block_start": _block_start,
        "content_block_delta": _block_delta,
        "content_block_stop": _nothing,
        "message_delta": _message_delta,
        "message_stop": _message_stop,
        "error": _error,
        "ping": _nothing,
    }


def _index(data: dict[str, Any]) -> int | None:
    index = data.get("index")
    return index if isinstance(index, int) else None


def _overwrite(into: dict[str, Any], fields: dict[str, Any]) -> None:
    into.update({key: value for key, value in fields.items() if value is not None or key not in into})
