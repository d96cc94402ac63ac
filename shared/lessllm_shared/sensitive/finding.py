"""Sensitive data in a text: bytes (UTF-8) in, findings out, in order and apart from each other.

Tokens are found by long runs of their characters: one pass marks these, and only where a run begins patterns
are tried. What may be tried is bounded, so that no text takes longer than its length allows.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lessllm_shared.sensitive import numbers
from lessllm_shared.sensitive.kinds import UNCHECKED
from lessllm_shared.sensitive.looks import Looks
from lessllm_shared.sensitive.numbers import Found
from lessllm_shared.sensitive.patterns import AFTER, STARTS, After


class Finding(NamedTuple):
    """Where it is, in bytes."""

    kind: str
    start: int
    end: int


_RUN = b"A" * 16
_IN_RUNS = bytes(
    0x41 if byte < 128 and (chr(byte).isalnum() or byte in b"_-+/.") else 0x20 for byte in range(256)
)
_DIGIT = re.compile(rb"[0-9]")
_PART = re.compile(rb"[A-Za-z0-9_-]{16,}")
_BEFORE_BYTES = 64
_LOCAL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+-"
_DOMAIN = re.compile(
    rb"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,6}([A-Za-z]{2,24})(?![A-Za-z0-9_-])"
)
_TLDS = frozenset(
    b"com org net edu gov mil int info biz name pro app dev cloud tech online site store shop xyz email"
    b" mobi asia club live news work world agency digital group team company solutions network systems"
    b" software services finance bank health academy example test invalid top vip wang ren ltd".split()
)
_USER_INFO = re.compile(rb"[^\s/?#@:\"'<>]{0,128}:([^\s/?#@\"'<>{}$]{3,128})\Z")
_PEM = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(rb"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_LONGEST_PEM = 32_768
_BASE64 = re.compile(rb"[A-Za-z0-9+/=\s]{64}")

_BY_FIRST: dict[bytes, list[tuple[bytes, str, re.Pattern[bytes]]]] = {}
for _one in STARTS:
    _BY_FIRST.setdefault(_one[0][:2], []).append(_one)
_BY_LAST: dict[bytes, tuple[re.Pattern[bytes], list[After]]] = {}
for _last in {last for rule in AFTER for last in rule.ends}:
    _rules = [rule for rule in AFTER if _last in rule.ends]
    _words = b"|".join(re.escape(word) for rule in _rules for word in rule.words)
    _BY_LAST[bytes([_last])] = re.compile(_words), _rules


def find(text: bytes, looks: Looks | None = None) -> list[Finding]:
    """All of them. `looks`: what is left of them for a body."""
    looks = looks or Looks()
    if b"\\" in text:  # a text that is escaped twice, as JSON within JSON, has its line breaks so
        text = text.replace(b"\\n", b"\n\n").replace(b"\\r", b"\n\n").replace(b"\\t", b"\n\n")
    found = [
        *_private_keys(text),
        *_tokens(text, looks),
        *_at_signs(text, looks),
        *numbers.find(text, looks),
    ]
    return list(_apart(found)) if found else []


def _apart(found: Iterable[Found]) -> Iterator[Finding]:
    """Of those that overlap, the one that begins first, and of these the longest."""
    last = 0
    for kind, start, end in sorted(found, key=lambda one: (one[1], -one[2])):
        if start >= last:
            yield Finding(kind, start, end)
            last = end


def _private_keys(text: bytes) -> Iterator[Found]:
    at = text.find(b"-----BEGIN ")
    while at >= 0:
        begin = _PEM.match(text, at)
        if begin is None:
            at = text.find(b"-----BEGIN ", at + 11)
            continue
        following = text.find(b"-----BEGIN ", begin.end())  # else each would search the same text
        limit = begin.end() + _LONGEST_PEM
        end = _PEM_END.search(text, begin.end(), limit if following < 0 else min(limit, following))
        if end is not None:
            last = end.end()
        else:  # cut off, or only spoken of
            last = begin.end()
            while (more := _BASE64.match(text, last)) is not None and last - at < _LONGEST_PEM:
                last = more.end()
        if last - begin.end() >= 64:
            yield "private_key", at, last
        at = text.find(b"-----BEGIN ", last)


def _tokens(text: bytes, looks: Looks) -> Iterator[Found]:
    marked = text.translate(_IN_RUNS)
    at = marked.find(_RUN)
    while at >= 0:
        if not looks.take():
            yield UNCHECKED, at, len(text)
            return
        end = marked.find(b" ", at)
        end = len(text) if end < 0 else end
        yield from _in_run(text, at, end)
        at = marked.find(_RUN, end)


def _in_run(text: bytes, at: int, end: int) -> Iterator[Found]:
    if end - at < 24 and _DIGIT.search(text, at, end) is None:  # words
        if text[at : at + 2] in _BY_FIRST and (found := _token(text, at)) is not None:
            yield found
        return
    last = at
    begins_long = False
    for part in _PART.finditer(text, at, end):
        start = part.start()
        begins_long = begins_long or start == at
        if start >= last and (found := _token(text, start)) is not None:
            yield found
            last = found[2]
    if not begins_long and last == at and (found := _known_by_place(text, at)) is not None:
        yield found


def _token(text: bytes, at: int) -> Found | None:
    for start, kind, rest in _BY_FIRST.get(text[at : at + 2], ()):
        if text.startswith(start, at) and (match := rest.match(text, at + len(start))) is not None:
            return kind, at, match.end()
    return _known_by_place(text, at)


def _known_by_place(text: bytes, at: int) -> Found | None:
    if not at or (known := _BY_LAST.get(text[at - 1 : at])) is None:
        return None
    words, rules = known
    before = text[max(0, at - _BEFORE_BYTES) : at].lower()
    if words.search(before) is None:
        return None
    for rule in rules:
        match = rule.value.match(text, at)
        if (
            match is not None
            and rule.before.search(before) is not None
            and (not rule.is_random or _is_random(match[0]))
        ):
            return rule.kind, at, match.end()
    return None


def _is_random(value: bytes) -> bool:
    """Not words and numbers joined, and as many different characters as chance gives."""
    parts = re.split(rb"[_-]", value)
    return any(len(part) >= 8 and _MIXED.match(part) for part in parts) and len(set(value)) >= min(
        10, len(value) // 2
    )


_MIXED = re.compile(rb"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])")


def _at_signs(text: bytes, looks: Looks) -> Iterator[Found]:
    at = text.find(b"@")
    while at >= 0:
        if not looks.take():
            yield UNCHECKED, at, len(text)
            return
        before = text[max(0, at - 280) : at]
        scheme_end = before.rfind(b"://")
        user_info = _USER_INFO.match(before, scheme_end + 3) if scheme_end > 0 else None
        if user_info is not None:
            yield "url_password", at - len(user_info[1]), at
        elif (end := _email_end(text, at)) and (start := _email_start(text, at)) < at:
            yield "email", start, end
        at = text.find(b"@", at + 1)


def _email_end(text: bytes, at: int) -> int:
    """0: no domain."""
    domain = _DOMAIN.match(text, at + 1, at + 256)
    if domain is None:
        return 0
    top = domain[1].lower()
    return domain.end() if len(top) == 2 or top in _TLDS else 0


def _email_start(text: bytes, at: int) -> int:
    """Where the part before the @ begins; `at`: there is none."""
    local = text[max(0, at - 64) : at]
    start = at - len(local) + len(local.rstrip(_LOCAL))
    while start < at and text[start] in b".%+-":
        start += 1
    is_address = text[start:at] not in (b"", b"git") and text[start - 2 : start] != b"//"
    return start if is_address else at
