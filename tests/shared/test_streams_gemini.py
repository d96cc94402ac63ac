"""Streams of Gemini's own API (`:streamGenerateContent?alt=sse`)."""

import json

from lessllm_shared.record import ApiFormat
from lessllm_shared.sse import Event
from lessllm_shared.streams import stream_reader

USAGE = {"promptTokenCount": 8, "candidatesTokenCount": 5, "totalTokenCount": 13}


def answer(*parts, index=0, **more):
    content = {"content": {"parts": list(parts), "role": "model"}} if parts else {}
    return {
        "candidates": [{**content, "index": index, **more}],
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r1",
    }


def read(*events):
    reader = stream_reader(ApiFormat.GEMINI)
    brings = [reader.add(Event("", json.dumps(data).encode(), b"", 0)) for data in events]
    return reader, [int(b) for b in brings]


def test_text_parts_are_joined_and_the_last_usage_holds():
    reader, brings = read(
        {**answer({"text": "Hel"}), "usageMetadata": {"promptTokenCount": 8, "totalTokenCount": 8}},
        answer({"text": "lo"}),
        {**answer({"text": ""}, finishReason="STOP"), "usageMetadata": USAGE},
    )
    assert brings == [2, 2, 0]
    assert reader.finished
    assert reader.answer() == {
        "candidates": [
            {"content": {"parts": [{"text": "Hello"}], "role": "model"}, "index": 0, "finishReason": "STOP"}
        ],
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r1",
        "usageMetadata": USAGE,
    }


def test_thoughts_are_reasoning_and_a_part_of_their_own():
    reader, brings = read(
        answer({"text": "Hm", "thought": True}),
        answer({"text": "m", "thought": True}),
        answer({"text": "Yes"}),
        answer({"text": "", "thoughtSignature": "Cs4B"}),
        answer({"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "AAA"}),
        answer({"text": "!"}),
        answer(finishReason="STOP"),
    )
    assert brings == [1, 1, 2, 0, 2, 2, 0]
    assert reader.answer()["candidates"][0]["content"]["parts"] == [
        {"text": "Hmm", "thought": True},
        {"text": "Yes", "thoughtSignature": "Cs4B"},
        {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "AAA"},
        {"text": "!"},
    ]


def test_several_candidates_are_kept_apart_and_all_must_finish():
    reader, _ = read(
        answer({"text": "b"}, index=1),
        answer({"text": "a"}),
        answer({"text": "B"}, index=1, finishReason="STOP"),
    )
    assert not reader.finished
    reader.add(Event("", json.dumps(answer(finishReason="MAX_TOKENS")).encode(), b"", 0))
    assert reader.finished
    candidates = reader.answer()["candidates"]
    assert [c["content"]["parts"][0]["text"] for c in candidates] == ["a", "bB"]


def test_a_blocked_prompt_is_an_answer():
    reader, _ = read({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 8}})
    assert reader.finished
    assert reader.answer() == {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 8},
    }


def test_an_error_is_kept_as_it_came():
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    reader, _ = read(answer({"text": "Hel"}), error)
    assert reader.error == error
    assert not reader.finished


def test_nothing_came():
    reader, _ = read()
    assert reader.answer() is None
    assert not reader.finished
