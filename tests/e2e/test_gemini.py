"""Gemini's own API through the gateway to an upstream that is not ours, and what the database has of it."""

import json

import httpx
import pytest

MODEL = "v1beta/models/gemini-2.5-flash"
KEY = "AIza-clients-own"
ASKED = {"contents": [{"role": "user", "parts": [{"text": "Reason"}]}]}


@pytest.fixture
def google(services, aimock):
    return services({"providers": {"gemini": {"base_url": f"{aimock}/v1beta/openai"}}})


def test_plain_and_streamed_calls_are_relayed_and_read(google, aimock):
    kinds = {"generateContent": {}, "streamGenerateContent": {"alt": "sse"}}
    with httpx.Client(trust_env=False) as client:
        for verb, params in kinds.items():
            direct, through = (
                client.post(f"{url}/{MODEL}:{verb}", params={"key": KEY, **params}, json=ASKED)
                for url in (aimock, f"{google.gateway.url}/gemini")
            )
            assert direct.status_code == 200
            assert (through.status_code, through.content) == (direct.status_code, direct.content)
    rows = google.rows("SELECT * FROM api_calls ORDER BY timestamp")
    assert KEY not in json.dumps(rows, default=str)
    for row in rows:
        assert (row["api_format"], row["provider"], row["model"]) == ("gemini", "gemini", "gemini-2.5-flash")
        assert (row["end_reason"], row["interpreter_error"]) == ("complete", None)
        assert row["actual_prompt_tokens"] is not None
        assert "42." in row["decoded_response"] if row["streaming"] else row["decoded_response"] is None
    assert [row["streaming"] for row in rows] == [False, True]
    assert [row["estimated_ttft_ms"] is not None for row in rows] == [False, True]
