"""Paths and bodies of any kind: an endpoint and four fields, or a Rejection, and nothing else."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_gateway.errors import Rejection
from lessllm_gateway.request import Asked, Endpoint, find_endpoint, read_fields
from lessllm_gateway.transform import rewrite_request
from lessllm_shared.record import ApiFormat

PROVIDERS = {"openai": "openai", "anthropic": "anthropic", "gemini": "openai", "claude-proxy": "anthropic"}
CHAT = Endpoint(ApiFormat.CHAT, "openai", None, "/chat/completions")
VERSION = {b"anthropic-version": b"2023-06-01"}
# What json.dumps makes of an emoji that was cut in two.
LONE = b'{"model":"m","messages":[{"role":"user","content":"\\ud83d"}],"t":1}'


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/v1/chat/completions", {}, (ApiFormat.CHAT, "openai", None, "/chat/completions")),
        ("/v1/chat/completions", VERSION, (ApiFormat.CHAT, "openai", None, "/chat/completions")),
        ("/v1/completions", {}, (ApiFormat.COMPLETIONS, "openai", None, "/completions")),
        ("/v1/messages", {}, (ApiFormat.MESSAGES, "anthropic", None, "/messages")),
        (
            "/v1/messages/count_tokens",
            {},
            (ApiFormat.COUNT_TOKENS, "anthropic", None, "/messages/count_tokens"),
        ),
        ("/v1/messages/batches", {}, (ApiFormat.OTHER, "anthropic", None, "/messages/batches")),
        ("/v1/files", VERSION, (ApiFormat.OTHER, "anthropic", None, "/files")),
        ("/v1/files", {}, (ApiFormat.OTHER, "openai", None, "/files")),
        ("/v1", {}, (ApiFormat.OTHER, "openai", None, "")),
        ("/openai/v1/responses", {}, (ApiFormat.RESPONSES, "openai", "openai", "/v1/responses")),
        (
            "/claude-proxy/v1/messages",
            {},
            (ApiFormat.MESSAGES, "anthropic", "claude-proxy", "/v1/messages"),
        ),
    ],
)
def test_an_endpoint_is_known_by_its_path(path, headers, expected):
    endpoint = find_endpoint(path, "POST", headers, PROVIDERS)
    assert (endpoint.api_format, endpoint.dialect, endpoint.provider, endpoint.path) == expected
    assert not endpoint.lists_models


def test_geminis_paths_name_model_and_streaming():
    endpoint = find_endpoint("/gemini/v1beta/models/gemini-x:streamGenerateContent", "POST", {}, PROVIDERS)
    assert (endpoint.model, endpoint.streaming, endpoint.dialect) == ("gemini-x", True, "gemini")


@pytest.mark.parametrize(
    ("path", "method", "lists"),
    [
        ("/v1/models", "GET", True),
        ("/v1/models/a%2Fb", "GET", True),
        ("/v1/models", "HEAD", False),
        ("/v1/models/ft:mine", "DELETE", False),
        ("/v1/modelsx", "GET", False),
        ("/openai/v1/models", "GET", False),
    ],
)
def test_only_reading_the_list_of_models_lists_models(path, method, lists):
    assert find_endpoint(path, method, {}, PROVIDERS).tells_of_models == lists


@given(
    st.text(st.characters(codec="latin-1"), max_size=60) | st.text("/.%2eE5cfv1\\", max_size=40),
    st.sampled_from(["GET", "POST", "OPTIONS", "TRACE", "X"]),
    st.dictionaries(st.sampled_from([b"upgrade", b"anthropic-version"]), st.binary(max_size=9)),
)
def test_any_path_is_an_endpoint_or_a_rejection(path, method, headers):
    with contextlib.suppress(Rejection):
        endpoint = find_endpoint(path, method, headers, PROVIDERS)
        assert path.endswith(endpoint.path)
        assert "/../" not in f"{path}/".lower().replace("%2e", ".").replace("%2f", "/")


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["model", "stream", "stream_options", "user", "metadata", "x"]), inner
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_body_is_read_or_rejected(body):
    with contextlib.suppress(Rejection):
        asked = read_fields(CHAT, "application/json", body)
        (asked.model or "").encode()
        (asked.user or "").encode()
        sent = rewrite_request(body, model="other", ask_for_usage=True)
        assert json.loads(sent)["model"] == "other"


@pytest.mark.parametrize(
    ("body", "status", "code", "names"),
    [
        (b"{nonsense", 400, "invalid_json", "line 1"),
        (b"", 400, "invalid_json", "no body"),
        (b"null", 400, "invalid_request", "object"),
        (b"[]", 400, "invalid_request", "object"),
        (b'"text"', 400, "invalid_request", "object"),
        (b"\xff\xfe", 400, "invalid_json", "JSON"),
        (b'{"x":' + b"[" * 100_000, 400, "invalid_json", "nested"),
        (b'{"model": 5}', 400, "invalid_request", "$.model"),
        (b'{"model": ["gpt-4o"]}', 400, "invalid_request", "$.model"),
        (b'{"model": "m", "stream": "yes"}', 400, "invalid_request", "$.stream"),
        (b'{"model": "m", "stream_options": []}', 400, "invalid_request", "$.stream_options"),
        (b'{"messages": []}', 400, "missing_model", "`model`"),
        (b'{"model": null}', 400, "missing_model", "`model`"),
        (b'{"model": ""}', 400, "missing_model", "`model`"),
        (b'{"model": "%b"}' % (b"m" * 300), 400, "invalid_request", "256"),
        (b'{"model": "\\ud83d"}', 400, "invalid_request", "`model`"),
    ],
)
def test_what_is_wrong_with_a_body_is_said(body, status, code, names):
    with pytest.raises(Rejection) as caught:
        read_fields(CHAT, "application/json; charset=utf-8", body)
    assert (caught.value.status, caught.value.code) == (status, code)
    assert names in caught.value.message
    assert len(caught.value.message) < 300


def test_a_lone_surrogate_passes_as_the_client_wrote_it():
    assert read_fields(CHAT, "application/json", LONE) == Asked(model="m")
    sent = rewrite_request(LONE, model="n", ask_for_usage=False)
    assert json.loads(sent) == {**json.loads(LONE), "model": "n"}
    assert b"\\ud83d" in sent


def test_a_response_by_a_stored_prompt_needs_no_model():
    endpoint = Endpoint(ApiFormat.RESPONSES, "openai", None, "/responses")
    assert read_fields(endpoint, "application/json", b'{"prompt": {"id": "p"}}').model is None


@pytest.mark.parametrize(
    ("content_type", "body"), [("multipart/form-data", b"--x"), ("application/json", b"{")]
)
def test_bodies_that_are_not_gone_by_need_not_be_readable(content_type, body):
    endpoint = Endpoint(ApiFormat.OTHER, "openai", None, "/files")
    assert read_fields(endpoint, content_type, body) == Asked()


@pytest.mark.parametrize(
    ("body", "user"),
    [
        (b'{"model":"m","user":"ann"}', "ann"),
        (b'{"model":"m","metadata":{"user_id":"bob"}}', "bob"),
        (b'{"model":"m","user":5,"metadata":[]}', None),
        (b'{"model":"m","user":"","metadata":{"user_id":7}}', None),
        (b'{"model":"m","user":"%b"}' % (b"u" * 1000), "u" * 256),
    ],
)
def test_who_asks_is_what_the_body_says(body, user):
    assert read_fields(CHAT, "application/json", body).user == user
