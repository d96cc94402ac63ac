"""Requests counted and redacted, answers masked: JSON stays JSON, and nothing of what was found stays in it."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lessllm_shared.sensitive import json_strings
from lessllm_shared.sensitive.answers import mask, mask_text
from lessllm_shared.sensitive.json_strings import Unescaped, places
from lessllm_shared.sensitive.kinds import KINDS
from lessllm_shared.sensitive.requests import Seen, count, redact
from shared.sensitive.values import SENSITIVE

VALUES = [(kind, make(random.Random(seed))) for kind, make in SENSITIVE.items() for seed in range(1)]
TEXTS = st.lists(
    st.one_of(
        st.sampled_from([value for _, value in VALUES]),
        st.text(max_size=12),
        st.sampled_from(['"', "\\", "\n", "é", "😀", "\ud83d", " zhang@qq.com ", "\\n"]),
    ),
    max_size=5,
).map("".join)
LEAVES = st.one_of(TEXTS, st.integers(), st.none())
DOCUMENTS = st.lists(st.one_of(LEAVES, st.dictionaries(TEXTS, LEAVES, max_size=2)), max_size=3)


def chat(text, **more):
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **more}).encode()


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=lambda one: one if one in KINDS else "")
def test_each_kind_in_each_way_to_write_json(kind, value):
    text = {"slack_webhook": f"https://hooks.slack.com/services/T00000000/B00000000/{value}"}.get(kind, value)
    if kind in {
        "sendgrid_key",
        "vault_token",
        "telegram_token",
        "azure_key",
        "bearer_token",
        "basic_credentials",
    }:
        return  # known by what stands before it: in the labelled set
    if kind in {"assigned_secret", "url_password"}:
        text = f"password={value}" if kind == "assigned_secret" else f"https://u:{value}@host/"
    seen = Seen()
    for body in (
        chat(text),
        json.dumps({"input": [f"é 张\n{text}\n"]}, ensure_ascii=False).encode(),
        _escaped(text),
    ):
        assert count(body, seen) == {kind: 1}, body
        done = redact(body, {kind}, seen)
        assert json.loads(done.body) and count(done.body, seen) == {}
        assert f"[{kind}]".encode() in done.body


def _escaped(text):
    """Every character as its escape."""
    units = text.encode("utf-16-be")
    return b'{"x": "%b"}' % b"".join(
        b"\\u%04x" % int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)
    )


@given(DOCUMENTS, st.sampled_from([True, False]))
@settings(max_examples=25, deadline=None)
def test_a_redacted_body_is_the_same_json_without_findings(document, ascii_only):
    body = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    done = redact(body, KINDS, Seen())
    if done.body is None:  # lone surrogates as bytes are no UTF-8
        assert not ascii_only
        return
    assert _shape(json.loads(done.body)) == _shape(document)
    assert count(done.body, Seen()) == {}
    assert sum(done.taken.values()) >= (done.body != body)


def _shape(value):
    if isinstance(value, dict):
        return [_shape(item) for item in value.values()] if len(value) == 1 else "object"
    return [_shape(item) for item in value] if isinstance(value, list) else type(value)


@given(st.binary(max_size=200), st.binary(max_size=20))
@settings(max_examples=25, deadline=None)
def test_no_body_raises(data, ending):
    for body in (data, b'{"a": "' + data, b"[" + data + ending, b'data: {"a":"' + data + b'"}\n\n' + ending):
        count(body, Seen())
        redact(body, KINDS, Seen())
        assert len(mask(body, KINDS, is_stream=True)) == len(body)
        assert len(mask(body, KINDS, is_stream=False)) == len(body)


@given(TEXTS, st.booleans())
@settings(max_examples=25, deadline=None)
def test_what_a_string_says_and_where(text, ascii_only):
    raw = json.dumps(text, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")[1:-1]
    said = Unescaped(raw)
    assert said.text == text.encode("utf-8", "surrogatepass") or "\ud83d" in text
    for start in range(len(said.text)):
        first, last = said.raw(start, start + 1)
        assert 0 <= first < last <= len(raw)
        assert said.text[start : start + 1] in Unescaped(raw[first:last]).text or last - first == 1


def test_only_the_chosen_kinds_are_taken_out_and_all_are_counted():
    body = chat("zhang@qq.com 13800138000")
    done = redact(body, {"phone"}, Seen())
    assert b"zhang@qq.com [phone]" in done.body
    assert done.counts == {"email": 1, "phone": 1} and done.taken == {("phone", "messages[0].content"): 1}


def test_what_has_nothing_in_it_keeps_every_byte():
    body = b'{ "model" : "m",\r\n "messages":[ ], "n":1.50, "x":"\\u0041" }'
    assert redact(body, KINDS, Seen()).body is body


def test_what_is_no_json_is_not_kept():
    for body in (b"--boundary\r\nzhang@qq.com", b'{"a": "zhang@qq.com"', b'{"a": "x\nzhang@qq.com"}'):
        assert redact(body, KINDS, Seen()).body is None


def test_a_body_that_was_cut_is_counted_as_far_as_it_goes():
    assert count(b'{"a": "zhang@qq.com and 1380013', Seen()) == {"email": 1}
    assert count(b"plain zhang@qq.com", Seen()) is None


def test_a_doubled_key_hides_nothing():
    body = b'{"content": "zhang@qq.com", "content": "hello"}'
    assert b"zhang" not in redact(body, KINDS, Seen()).body


def test_images_are_not_read():
    encoded = "A1b2" * 20_000 + "+8613800138000" + "=="
    body = json.dumps({"a": encoded, "b": "data:image/png;base64," + encoded, "c": "zhang@qq.com"}).encode()
    assert count(body, Seen()) == {"email": 1}
    assert encoded.encode() in redact(body, KINDS, Seen()).body


def test_a_long_text_is_looked_at_once(monkeypatch):
    seen, long = Seen(), chat("words " * 1000 + "zhang@qq.com")
    assert count(long, seen) == {"email": 1}
    looked = []
    monkeypatch.setattr(
        "lessllm_shared.sensitive.requests.find", lambda text, looks: looked.append(len(text)) or []
    )
    assert count(long, seen) == {"email": 1}
    assert sum(looked) < 1000


def test_what_is_known_of_a_text_is_its_own():
    seen, words = Seen(), "words " * 50
    texts = [words + "zhang@qq.com", words, words + "13800138000 13900139000", "ann@example.org"]
    together = count(json.dumps(texts).encode(), seen)
    assert together == {"email": 2, "phone": 2}
    alone = [count(json.dumps([text]).encode(), seen) for text in texts]
    assert alone == [{"email": 1}, {}, {"phone": 2}, {"email": 1}]


def test_paths_name_where_a_string_stands():
    body = b'{"a": [1, {"b": ["x", "y"]}, "z"], "c.d": {"e": "f"}, "g": "h"}'
    found = {body[one.start : one.end]: one.path for one in places(body)}
    assert found == {
        b"a": "",
        b"b": "a[1]",
        b"x": "a[1].b[0]",
        b"y": "a[1].b[1]",
        b"z": "a[2]",
        b"c.d": "",
        b"e": "…",
        b"f": "….e",
        b"g": "",
        b"h": "g",
    }


def _events(*deltas):
    return b"".join(b"event: x\ndata: %b\n\n" % json.dumps(delta).encode() for delta in deltas)


def test_a_stream_that_says_it_in_pieces():
    deltas = [
        {"choices": [{"index": n % 2, "delta": {"content": t}}]}
        for n, t in enumerate(["mail ", "no", "zha", "thing", "ng@qq", "", ".com"])
    ]
    masked = mask(_events(*deltas), {"email"}, is_stream=True)
    assert len(masked) == len(_events(*deltas))
    texts = [
        json.loads(line[6:])["choices"][0]["delta"]["content"]
        for line in masked.split(b"\n")
        if line[:5] == b"data:"
    ]
    assert texts == ["mail ", "no", "***", "thing", "*****", "", "****"]


def test_a_whole_answer_and_googles_array():
    whole = json.dumps({"choices": [{"message": {"content": "é zhang@qq.com"}}]}).encode()
    assert (
        json.loads(mask(whole, {"email"}, is_stream=False))["choices"][0]["message"]["content"]
        == "é ************"
    )
    parts = json.dumps([{"parts": [{"text": "zhang@"}]}, {"parts": [{"text": "qq.com"}]}]).encode()
    assert b"zhang" not in mask(parts, {"email"}, is_stream=False)
    assert mask_text(b"to zhang@qq.com", {"email"}) == b"to ************"


def test_other_kinds_are_left_in_answers():
    whole = b'{"a": "zhang@qq.com"}'
    assert mask(whole, {"phone"}, is_stream=False) == whole


def test_base64_is_told_by_its_beginning():
    assert not json_strings.is_encoded(b"words " * 100) and json_strings.is_encoded(b"A" * 300)


def test_a_body_with_more_places_than_are_looked_at_is_kept_out_as_a_whole(monkeypatch):
    monkeypatch.setattr("lessllm_shared.sensitive.looks.Looks.__init__.__defaults__", (100,))
    texts = ["@ " * 60, "hello", "@ " * 60, "@ zhang@qq.com"]
    done = redact(json.dumps(texts).encode(), {"email", "unchecked"}, Seen())
    first, second, third, fourth = json.loads(done.body)
    assert (first, second, fourth) == (texts[0], texts[1], "[unchecked]") and "[unchecked]" in third
    assert done.counts == {"unchecked": 1}
