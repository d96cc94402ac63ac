"""Sensitive data in texts: found where it is, not where it isn't, and never slowly."""

import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lessllm_shared.sensitive import finding, numbers
from lessllm_shared.sensitive.finding import find
from lessllm_shared.sensitive.kinds import KINDS, PERSONAL, SECRETS
from lessllm_shared.sensitive.looks import Looks
from shared.sensitive.harmless import HARMLESS
from shared.sensitive.labelled import figures, judged
from shared.sensitive.values import SENSITIVE

PIECES = st.sampled_from(
    [make(random.Random(seed)) for make in (*SENSITIVE.values(), *HARMLESS.values()) for seed in range(1)]
)
TEXTS = st.lists(
    st.one_of(PIECES, st.text(max_size=20), st.sampled_from([" ", "\n", '"', "@", "+1", "4111", "key="]))
)


def kinds_in(text):
    return [one.kind for one in find(text.encode("utf-8", "surrogatepass"))]


def test_every_kind_can_be_found():
    assert set(SENSITIVE) == set(KINDS) - {"unchecked"}
    assert set(SECRETS) | set(PERSONAL) == set(KINDS)


def test_the_figures_of_the_half_that_was_kept_back():
    """As docs/sensitive-data.md states them."""
    found = figures("final")
    for kind, (precision, recall, there) in found.items():
        assert there >= 60, kind
        assert precision >= 0.95 and recall >= 0.95, (kind, precision, recall)
    assert found["all"][0] >= 0.99 and found["all"][1] >= 0.99, found["all"]


def test_nothing_harmless_raises_an_alarm_often():
    _, wrong, _, examples = judged("final")
    assert wrong.total() <= 20, dict(examples)


@pytest.mark.parametrize(
    ("text", "kind", "what"),
    [
        ("张三13800138000的", "phone", "13800138000"),
        ("to +1 415 555 2671 42 times", "phone", "+1 415 555 2671"),
        ("4111 1111 1111 1111", "card", "4111 1111 1111 1111"),
        ("<Ann.Lee+x@mail.example.org>", "email", "Ann.Lee+x@mail.example.org"),
        ('{\\"mail\\": \\"\\nbob@example.org\\"}', "email", "bob@example.org"),
        ("amqp://me:pa55word!@mq:5672/", "url_password", "pa55word!"),
    ],
)
def test_where_it_is(text, kind, what):
    data = text.encode()
    assert [(one.kind, data[one.start : one.end].decode()) for one in find(data)] == [(kind, what)]


@pytest.mark.parametrize(
    "text",
    [
        "git@github.com:a/b.git",
        "ssh://deploy@host.example.com/x",
        "logo@2x.png",
        "+35236450.6",
        "2026-11-25T10:31:00.123456Z",
        "4111 1111 1111 1112",
        "订单号：13912345678",
        "order id: 4111111111111111",
    ],
)
def test_what_only_looks_so(text):
    assert kinds_in(text) == []


@given(TEXTS)
@settings(max_examples=50, deadline=None)
def test_findings_are_in_order_apart_and_inside(pieces):
    data = "".join(pieces).encode("utf-8", "surrogatepass")
    last = 0
    for kind, start, end in find(data):
        assert kind in KINDS and last <= start < end <= len(data)
        last = end


@given(st.binary(max_size=300))
@settings(max_examples=50, deadline=None)
def test_no_bytes_are_too_strange(data):
    find(data)


STRETCHED = [
    *(
        "a",
        "@",
        "a@",
        "a@a.",
        "a.a@a.a-",
        "+",
        "+1",
        "+1 ",
        "1",
        "1 ",
        "1-",
        "0000 ",
        "4111 ",
        "4111-1111 ",
        "123-45-",
    ),
    *(
        "(",
        "415-",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "eyJ",
        "eyJa.",
        "sk-",
        "sk-ant-api03-",
        "key=",
        "token: ",
    ),
    *(
        "A" * 16 + " ",
        "secret='" + "a1" * 9 + "' ",
        "bearer " + "a1" * 12 + " ",
        "://",
        "x://a:b@",
        "://a:b",
        "DE89 3704 ",
    ),
    *(
        "ABCDEFGHIJK12345",
        "1380013",
        "13800138000 ",
        "A12345678 ",
        "110101199001011234 ",
        "\\n",
        "/",
        "a/",
        "a+1/",
    ),
]


class _Steps:
    """How many lines of Python the detector goes through: time, but for what a pattern takes."""

    def __init__(self):
        self.count = 0

    def __call__(self, frame, event, arg):
        del arg
        if "lessllm_shared" not in frame.f_code.co_filename:
            return None
        self.count += event == "line"
        return self


@pytest.mark.parametrize("piece", STRETCHED)
def test_steps_grow_with_the_text_and_no_faster(piece):
    counts = []
    for size in (4_000, 16_000):
        steps = _Steps()
        before = sys.gettrace()
        sys.settrace(steps)
        try:
            find((piece * (size // len(piece) + 1))[:size].encode())
        finally:
            sys.settrace(before)
        counts.append(steps.count)
    assert counts[1] <= 4.5 * counts[0] + 200, counts


def test_patterns_look_no_further_than_their_bounds():
    """Else a pattern's own time would grow with the text: all repetition is counted, but for digits' runs."""
    patterns = [rule.pattern for *_, rule in finding.STARTS]
    patterns += [pattern.pattern for rule in finding.AFTER for pattern in (rule.before, rule.value)]
    patterns += [shape.form.pattern for shape in numbers._SHAPES]
    for pattern in patterns:
        assert b"*" not in pattern.replace(b"\\*", b"") and b"+" not in _outside_classes(pattern), pattern


def _outside_classes(pattern):
    out, inside = bytearray(), False
    for at, byte in enumerate(pattern):
        escaped = pattern[at - 1 : at] == b"\\"
        inside = (byte == 0x5B and not escaped) or (inside and not (byte == 0x5D and not escaped))
        if not inside and not escaped:
            out.append(byte)
    return bytes(out)


def test_what_is_not_looked_at_any_more_counts_as_found():
    text = b"@ " * 11 + b"zhang@qq.com"
    assert find(text, Looks(10)) == [("unchecked", 20, len(text))]
    assert [one.kind for one in find(text, Looks(20))] == ["email"]
