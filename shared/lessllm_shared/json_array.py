"""A JSON array as it comes, sans I/O: bytes in at any split, its whole elements out.

So Gemini streams without `alt=sse`. The elements are events, as of an event stream: `data` is the element,
`end` the offset in the stream after its last byte. Whether they are JSON is for who reads them to say.
"""

import re
from enum import Enum, auto

from lessllm_shared.sse import MAX_EVENT_BYTES, Event, EventTooLargeError

# What is not one of these, within or between strings, changes nothing.
_MARKS = re.compile(rb'["\\\[\]{},]')


class _Mark(Enum):
    """Where a mark is: within an element, at its end, or after it, which ends one without brackets."""

    WITHIN = auto()
    LAST = auto()
    AFTER = auto()


class ArrayParser:
    """Cuts an array into elements. `feed` as bytes come, `flush` at the end for what is left."""

    def __init__(self) -> None:
        self._offset = 0  # of the chunk's first byte
        self._pieces: list[bytes] = []  # of the element under way
        self._pieces_bytes = 0
        self._depth = 0  # 1: between the array's brackets
        self._in_string = False
        self._is_escaped = False  # the next byte

    def feed(self, chunk: bytes) -> list[Event]:
        """The elements that `chunk` completes. Raises EventTooLargeError."""
        events = []
        start, at = 0, 0
        while at < len(chunk):
            if self._is_escaped:
                self._is_escaped = False
                at += 1
                continue
            match = _MARKS.search(chunk, at)
            if match is None:
                break
            at = match.end()
            what = self._take(match[0])
            if what is _Mark.LAST:
                events += self._element(chunk[start:at], at)
            elif what is _Mark.AFTER:
                events += self._element(chunk[start : match.start()], at)
            elif what is _Mark.WITHIN:
                continue
            start = at
        self._keep(chunk[start:])
        self._offset += len(chunk)
        return events

    def flush(self) -> list[Event]:
        """What is left, if the array was cut off within an element."""
        return self._element(b"", 0) if self._depth else []

    def _take(self, mark: bytes) -> _Mark:
        if self._in_string:
            self._in_string = mark != b'"'
            self._is_escaped = mark == b"\\"
        elif mark == b'"':
            self._in_string = True
        elif mark in b"[{":
            self._depth += 1
            return _Mark.WITHIN if self._depth > 1 else _Mark.AFTER
        elif mark in b"]}":
            self._depth -= 1
            return _Mark.LAST if self._depth == 1 else _Mark.AFTER if self._depth < 1 else _Mark.WITHIN
        elif mark == b"," and self._depth == 1:
            return _Mark.AFTER
        return _Mark.WITHIN

    def _element(self, rest: bytes, end: int) -> list[Event]:
        data = b"".join((*self._pieces, rest)).strip()
        self._pieces, self._pieces_bytes = [], 0
        return [Event("", data, data, self._offset + end)] if data else []

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self._pieces_bytes += len(piece)
        if self._pieces_bytes > MAX_EVENT_BYTES:
            raise EventTooLargeError(f"no end of an element in {self._pieces_bytes} bytes")
