"""The strings of a JSON document as they lie in its bytes: where each is, what it says, and back again.

They are found by their quotes alone, keys too, so that a document may be cut or doubled and is read all the
same. Images and other base64 are no text.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

STRING = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)(?:"|\\?\Z)', re.DOTALL)
_LEXEME = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[{}\[\],]', re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:u[0-9a-fA-F]{4}(?:\\u[dD][c-fC-F][0-9a-fA-F]{2})?|.)", re.DOTALL)
_ENCODED = re.compile(rb"data:[^,\s]{0,128};base64,|[A-Za-z0-9+/=_-]{256}")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


class Place(NamedTuple):
    """A string between its quotes."""

    path: str  # such as messages[3].content; a key's is that of its object
    start: int
    end: int


def is_object(body: bytes) -> bool:
    """Whether it looks like JSON that holds strings."""
    return body[:64].removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[") and b"\0" not in body[:4]


def is_json(body: bytes) -> bool:
    """Whether all of it is."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (ValueError, RecursionError):
        try:
            json.loads(body)  # lone surrogates
        except (ValueError, RecursionError):
            return False
    return True


def is_encoded(raw: bytes) -> bool:
    """Base64, as images and signatures are."""
    return len(raw) > 256 and b" " not in raw and _ENCODED.match(raw) is not None


def unescaped(raw: bytes) -> bytes:
    """What a string says, in UTF-8."""
    if b"\\" not in raw:
        return raw
    try:
        return msgspec.json.decode(b'"%b"' % raw, type=str).encode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Unescaped(raw).text


class Unescaped:
    """What a string says, and where in it each part was said."""

    def __init__(self, raw: bytes) -> None:
        parts: list[bytes] = []
        self._text_at, self._raw_at = [0], [0]  # where both go on alike
        length, last = 0, 0
        for escape in _ESCAPE.finditer(raw):
            said = _said(escape[0])
            parts += (raw[last : escape.start()], said)
            length += escape.start() - last
            self._text_at.append(length)
            self._raw_at.append(escape.start())
            length, last = length + len(said), escape.end()
            self._text_at.append(length)
            self._raw_at.append(last)
        self.text = b"".join((*parts, raw[last:]))

    def raw(self, start: int, end: int) -> tuple[int, int]:
        """Where in the raw string a part of the text stands; an escape goes with any part of it."""
        first, last = self._place(start), self._place(end - 1)
        is_escape = first % 2, last % 2  # they alternate, and the text begins with what is none
        return (
            self._raw_at[first] + (0 if is_escape[0] else start - self._text_at[first]),
            self._raw_at[last + 1] if is_escape[1] else self._raw_at[last] + end - self._text_at[last],
        )

    def _place(self, at: int) -> int:
        return bisect_right(self._text_at, at) - 1


def _said(escape: bytes) -> bytes:
    try:
        value: str = json.loads(b'"%b"' % escape)
    except ValueError:
        return escape[1:]
    return value.encode("utf-8", "surrogatepass")


def places(body: bytes) -> Iterator[Place]:
    """All strings, in order, with their paths."""
    path: list[str | int | None] = []  # an object's current key, or an array's current index
    awaits_key = False
    for lexeme in _LEXEME.finditer(body):
        token = lexeme[0]
        if token[:1] == b'"':
            start, end = lexeme.start() + 1, lexeme.end() - (len(token) > 1 and token[-1:] == b'"')
            if awaits_key and path:
                path[-1] = None
            yield Place(_shown(path), start, max(start, end))
            if awaits_key and path:
                path[-1] = unescaped(body[start:end]).decode("utf-8", "replace")
                awaits_key = False
        elif token in b"{[":
            path.append(None if token == b"{" else 0)
            awaits_key = token == b"{"
        elif token in b"}]":
            if path:
                path.pop()
            awaits_key = False
        elif path:
            last = path[-1]
            if isinstance(last, int):
                path[-1] = last + 1
            else:
                awaits_key = True


def _shown(path: list[str | int | None]) -> str:
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        elif part is not None:
            shown += ("." if shown else "") + (part if _PLAIN_KEY.fullmatch(part) else "…")
    return shown
