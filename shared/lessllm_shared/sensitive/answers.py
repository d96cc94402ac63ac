"""A provider's answer without what it says of sensitive data: every character of it becomes *, byte by byte.

Lengths stay, so that the marks of network reads still fit. An event stream says a text in pieces: those of
one place are read together. Knows no API's format.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from lessllm_shared.sensitive.finding import find
from lessllm_shared.sensitive.json_strings import Unescaped, is_encoded, places

_INDEX = re.compile(rb'"(?:[a-z]+_)?index" ?: ?([0-9]{1,6})')
_FIRST_INDEX = re.compile(r"^\[[0-9]+\]")


def mask(body: bytes, kinds: Collection[str], *, is_stream: bool) -> bytes:
    """The answer, a JSON document or an event stream."""
    if is_stream and not _may_hold(body, kinds):
        return body
    groups: dict[tuple[str, tuple[bytes, ...]], list[tuple[int, int]]] = {}
    for offset, document in _documents(body) if is_stream else ((0, body),):
        indexes = tuple(_INDEX.findall(document)) if is_stream else ()
        for path, start, end in places(document):
            if end > start:
                place = _FIRST_INDEX.sub("", path), indexes  # of Google's streams that are an array
                groups.setdefault(place, []).append((offset + start, offset + end))
    masked = bytearray(body)
    for pieces in groups.values():
        for start, end in _spans(body, pieces, kinds):
            masked[start:end] = b"*" * (end - start)
    return bytes(masked)


def mask_text(text: bytes, kinds: Collection[str]) -> bytes:
    """Plain text."""
    masked = bytearray(text)
    for kind, start, end in find(text):
        if kind in kinds:
            masked[start:end] = b"*" * (end - start)
    return bytes(masked)


def _may_hold(body: bytes, kinds: Collection[str]) -> bool:
    """Whether it is worth to look where: what is said in which place is known in a tenth of the time."""
    texts: dict[tuple[object, ...], list[str]] = {}
    try:
        for line in body.splitlines():
            if line.startswith(b"data:") and line[5:].strip() != b"[DONE]":
                event = msgspec.json.decode(line[5:])
                indexes = tuple(_INDEX.findall(line))
                for place, text in _said(event, ()):
                    texts.setdefault((place, indexes), []).append(text)
    except (ValueError, RecursionError):
        return True
    return any(
        finding.kind in kinds
        for pieces in texts.values()
        for finding in find("".join(dict.fromkeys(pieces) if len(set(pieces)) == 1 else pieces).encode())
    )


def _said(value: Any, place: tuple[object, ...]) -> Iterator[tuple[tuple[object, ...], str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(item, (str, dict, list)):
                yield from _said(item, (*place, key))


def _documents(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Each line: JSON has no line breaks in strings, and events have a line each."""
    start = 0
    for line in body.splitlines(keepends=True):
        yield start, line
        start += len(line)


def _spans(body: bytes, pieces: list[tuple[int, int]], kinds: Collection[str]) -> Iterator[tuple[int, int]]:
    """Where in the body those texts stand that the pieces, one after the other, hold."""
    said = [(start, Unescaped(body[start:end])) for start, end in pieces if not is_encoded(body[start:end])]
    text = b"".join(one.text for _, one in said)
    found = [finding for finding in find(text) if finding.kind in kinds]
    if not found:
        return
    at = 0
    for start, one in said:
        end = at + len(one.text)
        for finding in found:
            if finding.start < end and finding.end > at:
                first, last = one.raw(max(finding.start - at, 0), min(finding.end - at, len(one.text)))
                yield start + first, start + last
        at = end
