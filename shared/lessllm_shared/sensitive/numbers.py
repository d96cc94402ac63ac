"""Numbers of persons: a text's digits in, cards, telephone numbers, bank accounts and national numbers out.

Every one of them, but for telephone numbers with +, holds a run of four digits. So only such runs are looked
at, by their length, and a text without them costs next to nothing.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lessllm_shared.sensitive import checks
from lessllm_shared.sensitive.kinds import UNCHECKED
from lessllm_shared.sensitive.looks import Looks

Found = tuple[str, int, int]

_SEPARATORS = b" .()-"
# Digits, what may stand between them, and the rest
_MARKS = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 if byte in _SEPARATORS else 0x78 for byte in range(256))
_RUN = re.compile(rb"0+")
_AFTER = rb"(?![A-Za-z0-9_]|[-.][0-9])"
_BEFORE = rb"(?<![A-Za-z0-9_])(?<![A-Za-z0-9_][-.])"
# A number that is called one of these is no person's
_OTHERWISE = re.compile(
    rb"(?i:\b(?:id|ids|no|nr|order|ticket|invoice|tracking|version|build|serial|sku|ts|time|timestamp|offset"
    rb"|seed|port|pid|hash|number|size|bytes|count)"
    rb"|"
    + "订单号?|编号|单号|流水号?|序号|版本号?|时间戳".encode()
    + rb""")["']?(?:[ \t]{0,2}(?:[:=#.]|\xef\xbc\x9a|\xe4\xb8\xba|\xe6\x98\xaf|is)){0,2}[ \t]{0,2}["']?\Z"""
)


@dataclass(frozen=True)
class _Shape:
    kind: str
    lengths: frozenset[int]  # of the run of digits
    back: int  # how many bytes before that run it may begin
    form: re.Pattern[bytes]
    check: Callable[[str], bool]
    keeps: bytes = b""  # separators that the check wants to see
    is_bare: bool = False  # nothing but digits: what it is called decides too


def _form(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(_BEFORE + b"(?:%b)" % pattern + _AFTER)


def _in(region: str) -> Callable[[str], bool]:
    return lambda number: checks.phone(number, region)


_SHAPES = (
    _Shape("cn_id", frozenset((17, 18)), 0, _form(rb"[1-9][0-9]{16}[0-9Xx]"), checks.cn_id),
    _Shape("card", frozenset(range(14, 20)), 0, _form(rb"[2-6][0-9]{13,18}"), checks.card, is_bare=True),
    _Shape(
        "card",
        frozenset((4,)),
        0,
        _form(
            rb"[2-6][0-9]{3}(?P<s>[ -])[0-9]{4}(?P=s)[0-9]{4}(?P=s)[0-9]{4}(?:(?P=s)[0-9]{3})?"
            rb"|3[0-9]{3}(?P<t>[ -])[0-9]{6}(?P=t)[0-9]{4,5}"
        ),
        checks.card,
    ),
    _Shape("us_ssn", frozenset((4,)), 7, _form(rb"[0-8][0-9]{2}-[0-9]{2}-[0-9]{4}"), checks.us_ssn, b"-"),
    _Shape("kr_rrn", frozenset((6,)), 0, _form(rb"[0-9]{6}-[1-8][0-9]{6}"), checks.kr_rrn),
    _Shape("phone", frozenset((11,)), 0, _form(rb"1[3-9][0-9]{9}"), _in("CN"), is_bare=True),
    _Shape("phone", frozenset((4,)), 4, _form(rb"1[3-9][0-9](?P<s>[ -])[0-9]{4}(?P=s)[0-9]{4}"), _in("CN")),
    _Shape("phone", frozenset((7, 8)), 5, _form(rb"0[1-9][0-9]{1,2}-[0-9]{7,8}"), _in("CN")),
    _Shape("phone", frozenset((7, 8)), 6, _form(rb"\(0[1-9][0-9]{1,2}\) ?[0-9]{7,8}"), _in("CN")),
    _Shape(
        "phone",
        frozenset((4,)),
        12,
        _form(
            rb"(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[-.]"
            rb"|[2-9][0-9]{2}(?P<s>[ .-])[2-9][0-9]{2}(?P=s))[0-9]{4}"
        ),
        _in("US"),
    ),
    _Shape("es_dni", frozenset((8,)), 0, _form(rb"[0-9]{8}-?[A-HJ-NP-TV-Z]"), checks.es_dni),
    _Shape("es_dni", frozenset((7,)), 2, _form(rb"[XYZ]-?[0-9]{7}-?[A-HJ-NP-TV-Z]"), checks.es_dni),
    _Shape(
        "gb_nino",
        frozenset((6,)),
        2,
        _form(rb"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][0-9]{6}[A-D]"),
        checks.gb_nino,
    ),
    _Shape("tw_id", frozenset((9,)), 1, _form(rb"[A-Z][12][0-9]{8}"), checks.tw_id),
    _Shape("hk_id", frozenset((6,)), 2, _form(rb"[A-Z]{1,2}[0-9]{6}\([0-9A]\)"), checks.hk_id),
    _Shape("fr_nir", frozenset((13, 15)), 0, _form(rb"[12][0-9]{4}[0-9]{8} ?[0-9]{2}"), checks.fr_nir),
)
_BY_LENGTH = {length: [shape for shape in _SHAPES if length in shape.lengths] for length in range(4, 20)}
_IBAN = re.compile(
    rb"(?<![A-Za-z0-9_])[A-Z]{2}[0-9]{2}(?:(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?|[A-Z0-9]{11,30})" + _AFTER
)
_PLUS = re.compile(rb"\+[1-9][0-9]{0,3}(?:[ .()-]{0,2}[0-9]{1,12}){1,6}")
_LONGEST = 40
_BACK = 14


def find(text: bytes, looks: Looks) -> Iterator[Found]:
    """Kind, start and end of each. They may overlap. Ends with `unchecked` where no looks are left."""
    yield from _with_plus(text, looks)
    marks = text.translate(_MARKS)
    at = marks.find(b"0000")
    while at >= 0:
        if not looks.take():
            yield UNCHECKED, at, len(text)
            return
        run = _RUN.match(marks, at)
        assert run is not None  # noqa: S101 - it begins with digits
        end = run.end()
        if _is_enough(text, marks, at, end):
            yield from _at(text, at, end - at)
        at = marks.find(b"0000", end)


def _is_enough(text: bytes, marks: bytes, at: int, end: int) -> bool:
    """Digits with what stands around them: the rest, such as years and times, is not looked at closer."""
    back = at - _BACK if at > _BACK else 0
    first = marks.rfind(b"x", back, at) + 1 or back
    last = marks.find(b"x", end, at + _LONGEST)
    if marks.count(b"0", first, at + _LONGEST if last < 0 else last) >= 9:
        return True
    if end - at < 6:
        return False
    return text[at - 1 : at].isupper() or (end - at < 9 and text[end : end + 2].lstrip(b"-")[:1].isupper())


def _at(text: bytes, at: int, length: int) -> Iterator[Found]:
    """What a run of that many digits is part of."""
    for shape in _BY_LENGTH.get(length, ()):
        found = shape.form.search(text, max(0, at - shape.back), at + _LONGEST)
        if found is None or found.start() > at:
            continue
        number = found[0].translate(None, bytes(set(_SEPARATORS) - set(shape.keeps))).decode()
        if shape.check(number) and not (shape.is_bare and _is_otherwise(text, found.start())):
            yield shape.kind, *found.span()
            return
    found = _IBAN.search(text, max(0, at - _BACK), at + _LONGEST)
    if found is not None and found.start() <= at and checks.iban(found[0].decode()):
        yield "iban", *found.span()


def _is_otherwise(text: bytes, start: int) -> bool:
    return _OTHERWISE.search(text[max(0, start - 32) : start]) is not None


def _with_plus(text: bytes, looks: Looks) -> Iterator[Found]:
    at = text.find(b"+")
    while at >= 0:
        found = _PLUS.match(text, at)
        if found is not None and not text[max(0, at - 1) : at].strip(b" \t\r\n:(,;\"'=").isalnum():
            if not looks.take():
                yield UNCHECKED, at, len(text)
                return
            end = _phone_end(found[0])
            if end:
                yield "phone", at, at + end
        at = text.find(b"+", at + 1)


def _phone_end(candidate: bytes) -> int:
    """Where the number ends: what follows it may look like more of it. 0: it is none."""
    ends = [group.end() for group in re.finditer(rb"[0-9]{2,}", candidate)]
    for end in reversed(ends[-4:]):
        number = candidate[:end].translate(None, _SEPARATORS)
        is_decimal = candidate[end : end + 1] == b"." and candidate[end + 1 : end + 2].isdigit()
        if not is_decimal and 8 <= len(number) <= 16 and checks.phone(number.decode(), None):
            return end
    return 0
