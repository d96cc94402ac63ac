"""What becomes of a recorded call: the request that is sent again, or why none is."""

import json

import pytest
from lessllm.rerun.request import NotRepeatableError, Request, recorded_request

CALL = {
    "request_id": "01a2-7",
    "method": "POST",
    "endpoint": "/v1/chat/completions",
    "api_format": "openai-chat",
    "request_headers": [],
    "request_truncated": False,
    "request_body_bytes": 2,
    "request_body": {},
    "raw_response": {"said": "ignored"},
}
FINGERPRINT = "fp_0123456789abcdef"


def request(**changes):
    return recorded_request(json.dumps({**CALL, **changes}).encode())


def test_headers_are_sent_again_less_credentials_and_what_belongs_to_one_connection():
    headers = [
        *(["Anthropic-Version", "2023-06-01"], ["x-title", "shop"], ["user-agent", "sdk/1"]),
        *(
            ["authorization", FINGERPRINT],
            ["x-own-token", FINGERPRINT],
            ["Host", "a"],
            ["content-length", "2"],
        ),
        *(["x-lessllm-tags", "a=b"], ["sec-fetch-site", "none"], ["idempotency-key", "7"], ["Origin", "a"]),
    ]
    assert set(request(request_headers=headers).headers) == {"Anthropic-Version", "x-title", "user-agent"}


def test_fingerprints_of_keys_in_the_query_are_left_out():
    path = "/gemini/v1beta/models/gemini-2.5-pro:streamGenerateContent"
    gemini = {"api_format": "gemini", "endpoint": f"{path}?alt=sse&key={FINGERPRINT}"}
    assert request(**gemini).path == f"{path}?alt=sse"
    assert request(**{**gemini, "endpoint": f"{path}?key={FINGERPRINT}"}).path == path


def test_a_body_that_msgspec_does_not_take_for_json_is_sent_as_it_came():
    text = '{"model": "m", "messages": "\\ud800"}'
    assert request(request_body=text).body == text.encode()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"request_body": None, "request_body_bytes": 9}, r"was not kept \(logging\.bodies"),
        ({"request_body": None, "request_body_bytes": 0}, "is not a JSON object"),
        ({"request_body": [1]}, "is not a JSON object"),
        ({"request_body": "--boundary"}, "is not a JSON object"),
        ({"request_body": {"base64": "/w=="}, "request_truncated": True}, "was cut"),
        ({"api_format": "other", "endpoint": "/v1/files"}, "POST /v1/files does more than run a model"),
        ({"api_format": "anthropic-count-tokens"}, "does more than run a model"),
    ],
)
def test_what_can_not_be_sent_again_says_why(changes, reason):
    with pytest.raises(NotRepeatableError, match=reason) as caught:
        request(**changes)
    assert str(caught.value).startswith("01a2-7: ")


def test_streaming_is_changed_with_what_belongs_to_it():
    body = json.dumps({"stream": True, "stream_options": {"include_usage": True}}).encode()
    chat = Request("openai-chat", "/v1/chat/completions", body)
    assert chat.changed().body is body
    assert chat.changed(stream=False).fields() == {"stream": False}
    assert chat.changed(stream=True).fields() == json.loads(body)
    assert Request("openai-embeddings", "/v1/embeddings", b"{}").changed(stream=True).fields() == {}


def test_a_model_in_the_path_stays():
    with pytest.raises(NotRepeatableError, match="models can't be changed at this endpoint"):
        Request("gemini", "/gemini/v1beta/models/m:generateContent", b"{}").changed(model="n")
