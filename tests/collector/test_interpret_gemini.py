"""Calls of Gemini's own API as rows: plain answers, event streams, and streams that are one JSON array."""

import gzip
import json

import pytest
from lessllm_collector.interpret import Prices, interpret
from lessllm_shared.record import ApiFormat, CallRecord, EndReason

MS = 1_000_000
USAGE = {
    "promptTokenCount": 100,
    "cachedContentTokenCount": 64,
    "candidatesTokenCount": 15,
    "thoughtsTokenCount": 5,
    "totalTokenCount": 120,
}


def part(index=0, reason=None, **content):
    said = {"content": {"parts": [content], "role": "model"}} if content else {}
    return {"index": index, **said, **({"finishReason": reason} if reason else {})}


def piece(candidate, **more):
    return {"candidates": [candidate], "modelVersion": "gemini-2.5-flash", "responseId": "r1", **more}


PIECES = [
    piece(part(text="Hm", thought=True)),
    piece(part(text="Hel")),
    piece(part(text="lo")),
    piece(part(reason="STOP"), usageMetadata=USAGE),
]
MARKS = [150, 200, 300, 400]


def row(body, content_type, reads=None, *, streaming=True, headers=(), **fields):
    record = CallRecord(
        request_id="r",
        t0_unix_ns=1_790_000_000_000_000_000,
        api_format=ApiFormat.GEMINI,
        upstream_format=ApiFormat.GEMINI,
        model="gemini-2.5-flash",
        upstream_model="gemini-2.5-flash",
        provider="gemini",
        streaming=streaming,
        upstream_streaming=streaming,
        **{"status_code": 200, "end_reason": EndReason.COMPLETE, **fields},
        request_body=b'{"contents":[]}',
        response_body=body,
        response_body_bytes=len(body),
        response_headers=[("content-type", content_type), *headers],
        read_ns=[mark * MS for mark, _ in reads or ()],
        read_bytes=[size for _, size in reads or ()],
        upstream_start_ns=20 * MS,
        upstream_sent_ns=25 * MS,
        upstream_headers_ns=125 * MS,
        upstream_end_ns=400 * MS,
        end_ns=405 * MS,
    )
    found = interpret(record, gateway_id="g", sequence=1, prices=Prices({}))
    assert found["interpreter_error"] is None
    return found


def as_events():
    return [b"data: %b\r\n\r\n" % json.dumps(each).encode() for each in PIECES], "text/event-stream"


def as_array(pieces=PIECES):
    texts = [json.dumps(each, indent=2).encode() for each in pieces]
    return [b"[" + texts[0], *(b"\n,\r\n" + text for text in texts[1:-1]), b",\n" + texts[-1] + b"\n]"]


def check(found):
    assert (found["end_reason"], found["finish_reason"]) == ("complete", "STOP")
    assert found["response_model"] == "gemini-2.5-flash"
    assert (found["actual_prompt_tokens"], found["actual_completion_tokens"]) == (100, 20)
    assert (found["actual_total_tokens"], found["actual_reasoning_tokens"]) == (120, 5)
    assert (found["actual_cached_tokens"], found["actual_cache_hit_rate"]) == (64, 0.64)
    assert found["estimated_cost_usd"] > 0


def test_a_plain_answer():
    whole = piece(part(text="Hello", reason="STOP"), usageMetadata=USAGE)
    found = row(json.dumps(whole).encode(), "application/json; charset=UTF-8", streaming=False)
    check(found)
    assert found["estimated_ttft_ms"] is None


def test_an_event_stream():
    events, content_type = as_events()
    found = row(b"".join(events), content_type, list(zip(MARKS, map(len, events), strict=True)))
    check(found)
    assert (found["estimated_ttft_ms"], found["estimated_ttfo_ms"]) == (150, 200)
    parts = json.loads(found["decoded_response"])["candidates"][0]["content"]["parts"]
    assert parts == [{"text": "Hm", "thought": True}, {"text": "Hello"}]


@pytest.mark.parametrize("encoded", [False, True])
def test_a_stream_that_is_an_array(encoded):
    reads = as_array()
    if encoded:
        packed = gzip.compress(b"".join(reads))
        found = row(packed, "application/json", [(400, len(packed))], headers=[("content-encoding", "gzip")])
    else:
        found = row(b"".join(reads), "application/json", list(zip(MARKS, map(len, reads), strict=True)))
        assert (found["estimated_ttft_ms"], found["estimated_ttfo_ms"]) == (150, 200)
    check(found)
    parts = json.loads(found["decoded_response"])["candidates"][0]["content"]["parts"]
    assert parts == [{"text": "Hm", "thought": True}, {"text": "Hello"}]


def test_summaries_of_thoughts_tell_nothing_of_the_pace_of_tokens():
    events, content_type = as_events()
    reads = list(zip(MARKS, map(len, events), strict=True))
    assert row(b"".join(events), content_type, reads)["estimated_tpot_ms"] is None


def test_an_array_that_was_cut_off_is_truncated():
    body = b"".join(as_array())[:-400]
    found = row(body, "application/json")
    assert found["end_reason"] == "truncated"
    assert "Hel" in found["decoded_response"]


def test_an_error_within_an_array():
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    found = row(b"".join(as_array([PIECES[1], error])), "application/json")
    assert found["end_reason"] == "upstream_error"
    assert (found["error_code"], found["error_message"]) == ("503", "The model is overloaded.")


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_error_instead_of_a_stream(wrapped):
    error = {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}
    body = json.dumps([error] if wrapped else error).encode()
    found = row(body, "application/json", status_code=400, end_reason=EndReason.UPSTREAM_ERROR)
    assert (found["error_code"], found["error_message"]) == ("400", "API key not valid.")
    assert found["actual_prompt_tokens"] is None


def test_a_blocked_prompt():
    body = json.dumps({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 8}})
    found = row(body.encode(), "application/json", streaming=False)
    assert (found["actual_prompt_tokens"], found["actual_completion_tokens"]) == (8, None)
