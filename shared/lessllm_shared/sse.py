"""Server-sent events, sans I/O: bytes in at any split, whole events out.

After the WHATWG's "Interpreting an event stream", as far as LLM APIs use it: `event` and `data` fields,
comments skipped, `id` and `retry` ignored. `raw` keeps the event's exact bytes, its blank line included,
so that a relay can pass it on or drop it; `end` is the offset in the stream after its last byte. The
events' `raw` together, with what `flush` gives, are the stream again, byte for byte.
"""

import re

import msgspec

MAX_EVENT_BYTES = (
    64 * 1024 * 1024
)  # a base64 image in one event fits; a stream without blank lines does not grow

_BOM = b"\xef\xbb\xbf"
# Two line ends in a row, each "\n", "\r\n" or "\r"; spelled out, which is three times as fast as (…){2}.
_BOUNDARY = re.compile(rb"\n(?:\n|\r\n?)|\r(?:\n(?:\n|\r\n?)|\r\n?)")
_LONGEST_BOUNDARY = len(b"\r\n\r\n")


class EventTooLargeError(ValueError):
    """No event boundary came within MAX_EVENT_BYTES."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event. `data` is empty for a comment or a bare event name."""

    name: str
    data: bytes
    raw: bytes
    end: int


class EventParser:
    """Cuts a stream into events. `feed` as bytes come, `flush` at the end for what is left."""

    def __init__(self) -> None:
        self._offset = 0  # of the first byte that is in no event yet
        # Bytes of the event that is under way. Joined only when its end comes, so that an event of
        # many megabytes in many small reads costs no more than its length.
        self._pieces: list[bytes] = []
        self._pieces_bytes = 0
        self._tail = b""  # the last bytes of the pieces: a boundary may begin in them

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes. Raises EventTooLargeError."""
        window = self._tail + chunk
        if _BOUNDARY.search(window) is None:
            self._keep(chunk)
            return []
        data = b"".join((*self._pieces, chunk)) if self._pieces else chunk
        events = []
        start = 0
        for match in _BOUNDARY.finditer(data, len(data) - len(window)):
            end = match.end()
            if end == len(data) and data[-1:] == b"\r":
                break  # the boundary may still grow by "\n"
            events.append(_event(data[start:end], self._offset + end))
            start = end
        self._offset += start
        self._pieces = []
        self._pieces_bytes = 0
        self._tail = b""
        self._keep(data[start:])
        return events

    def flush(self) -> list[Event]:
        """What is left at the end of the stream, if it holds data: some servers omit the last blank line."""
        rest = b"".join(self._pieces)
        self._pieces = []
        self._pieces_bytes = 0
        self._tail = b""
        self._offset += len(rest)
        return [_event(rest, self._offset)] if rest.strip() else []

    def _keep(self, piece: bytes) -> None:
        if not piece:
            return
        self._pieces.append(piece)
        self._pieces_bytes += len(piece)
        self._tail = (self._tail + piece)[1 - _LONGEST_BOUNDARY :]
        if self._pieces_bytes > MAX_EVENT_BYTES:
            raise EventTooLargeError(f"no event boundary in {self._pieces_bytes} bytes")


def _event(raw: bytes, end: int) -> Event:
    name = ""
    data = []
    text = raw.removeprefix(_BOM) if end == len(raw) else raw  # only the stream's first bytes can be one
    for line in text.splitlines():
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value[1:] if value[:1] == b" " else value)
        elif field == b"event":
            name = value.removeprefix(b" ").decode("utf-8", "replace")
    return Event(name, data[0] if len(data) == 1 else b"\n".join(data), raw, end)


def format_event(data: bytes, name: str = "") -> bytes:
    """One event as bytes. `data` must hold no line break."""
    return (b"event: %b\n" % name.encode() if name else b"") + b"data: %b\n\n" % data
