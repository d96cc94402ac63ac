"""Server-sent events, sans I/O: bytes in at any split, whole events out.

After the WHATWG's "Interpreting an event stream", as far as LLM APIs use it: `event` and `data` fields,
comments skipped, `id` and `retry` ignored. `raw` keeps the event's exact bytes, its blank line included,
so that a relay can pass it on or drop it; `end` is the offset in the stream after its last byte.
"""

import re
from dataclasses import dataclass

MAX_EVENT_BYTES = (
    64 * 1024 * 1024
)  # a base64 image in one event fits; a stream without blank lines does not grow

_BOUNDARY = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n|\r\n\n")
_LINE = re.compile(rb"\r\n|\n|\r")


class EventTooLargeError(ValueError):
    """No event boundary came within MAX_EVENT_BYTES."""


@dataclass(slots=True, frozen=True)
class Event:
    """One event. `data` is empty for a comment or a bare event name."""

    name: str
    data: bytes
    raw: bytes
    end: int


class EventParser:
    """Cuts a stream into events. `feed` as bytes come, `flush` at the end for what is left."""

    def __init__(self) -> None:
        self._buffer = b""
        self._offset = 0  # of the buffer's first byte in the stream
        self._searched = 0  # of the buffer, without finding a boundary

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes. Raises EventTooLargeError."""
        self._buffer += chunk
        events = []
        start = 0
        # A boundary may span the last 3 bytes searched before; one at the buffer's very end may
        # still be growing (\r\n\r + \n) only if it ends in \r.
        for match in _BOUNDARY.finditer(self._buffer, max(0, self._searched - 3)):
            if match.end() == len(self._buffer) and match.group().endswith(b"\r"):
                break
            events.append(self._event(self._buffer[start : match.end()], self._offset + match.end()))
            start = match.end()
        self._buffer = self._buffer[start:]
        self._offset += start
        self._searched = len(self._buffer)
        if self._searched > MAX_EVENT_BYTES:
            raise EventTooLargeError(f"no event boundary in {self._searched} bytes")
        return events

    def flush(self) -> list[Event]:
        """What is left at the end of the stream, if it holds data: some servers omit the last blank line."""
        rest, self._buffer = self._buffer, b""
        self._offset += len(rest)
        self._searched = 0
        return [self._event(rest, self._offset)] if rest.strip() else []

    @staticmethod
    def _event(raw: bytes, end: int) -> Event:
        name = ""
        data = []
        for line in _LINE.split(raw):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value.decode("utf-8", "replace")
        return Event(name, b"\n".join(data), raw, end)


def format_event(data: bytes, name: str = "") -> bytes:
    """One event as bytes. `data` must hold no line break."""
    return (b"event: %b\n" % name.encode() if name else b"") + b"data: %b\n\n" % data
