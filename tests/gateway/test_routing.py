"""Where a call goes: by alias, by prefix, by the model's name, else to its endpoint's own provider."""

import pytest
from lessllm_gateway.credentials import Caller
from lessllm_gateway.errors import Rejection
from lessllm_gateway.request import Asked, Endpoint
from lessllm_gateway.routing import Router, Target
from lessllm_shared.config import GatewaySettings, load
from lessllm_shared.record import ApiFormat

CHAT = Endpoint(ApiFormat.CHAT, "openai", None, "/chat/completions")
MESSAGES = Endpoint(ApiFormat.MESSAGES, "anthropic", None, "/messages")
RESPONSES = Endpoint(ApiFormat.RESPONSES, "openai", None, "/responses")
EMBEDDINGS = Endpoint(ApiFormat.EMBEDDINGS, "openai", None, "/embeddings")
FILES = Endpoint(ApiFormat.OTHER, "openai", None, "/files")
ALL_KEYS = {f"{name}_API_KEY": f"sk-{name}" for name in ("OPENAI", "ANTHROPIC", "GEMINI", "DEEPSEEK")}
CLIENT = Caller(None, "sk-client")


def route(model, endpoint=CHAT, caller=CLIENT, environ=ALL_KEYS, **sections) -> Target:
    router = Router(load(GatewaySettings, sections, {}), environ)
    return router.targets(endpoint, Asked(model=model), caller)[0]


@pytest.mark.parametrize(
    ("model", "url", "upstream_model", "key"),
    [
        ("gpt-4o", "https://api.openai.com/v1/chat/completions", "gpt-4o", None),
        ("o3-mini", "https://api.openai.com/v1/chat/completions", "o3-mini", None),
        ("ft:whatever", "https://api.openai.com/v1/chat/completions", "ft:whatever", None),
        ("claude-3-opus", "https://api.anthropic.com/v1/messages", "claude-3-opus-20240229", "sk-ANTHROPIC"),
        (
            "gemini-pro",
            "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
            "gemini-pro-latest",
            "sk-GEMINI",
        ),
        ("deepseek-chat", "https://api.deepseek.com/v1/chat/completions", "deepseek-chat", "sk-DEEPSEEK"),
        ("deepseek/a/b", "https://api.deepseek.com/v1/chat/completions", "a/b", "sk-DEEPSEEK"),
        ("openai/gpt-4o", "https://api.openai.com/v1/chat/completions", "gpt-4o", None),
    ],
)
def test_a_model_that_is_not_configured_is_routed_by_its_name(model, url, upstream_model, key):
    target = route(model)
    assert (target.origin + target.path, target.model, target.key) == (url, upstream_model, key)
    assert target.passes_credentials == (key is None)


def test_an_alias_wins_over_its_name():
    models = {"gpt-4o": {"provider": "deepseek", "model": "deepseek-chat"}, "o1": {"provider": "deepseek"}}
    assert route("gpt-4o", models=models).model == "deepseek-chat"
    assert route("o1", models=models).model == "o1"


@pytest.mark.parametrize("environ", [{}, ALL_KEYS])
def test_a_home_that_may_have_any_model_is_asked_before_a_provider_without_a_key(environ):
    """Ollama, too, has models named deepseek-…"""
    target = route("deepseek-r1:7b", environ=environ, gateway={"default_provider": "ollama"})
    assert target.upstream.name == ("deepseek" if environ else "ollama")


def test_a_home_with_names_of_its_own_is_not_asked_for_anothers():
    with pytest.raises(Rejection) as caught:
        route("claude-3-opus", environ={})
    assert (caught.value.status, caught.value.code) == (401, "no_key_for_provider")
    assert "providers.anthropic.api_key" in caught.value.message


def test_without_any_key_the_call_is_refused_here():
    with pytest.raises(Rejection) as caught:
        route("gpt-4o", environ={}, caller=Caller(None, None))
    assert caught.value.code == "no_key_for_provider"


def test_a_configured_key_comes_before_the_clients_and_that_before_the_environments():
    assert route("gpt-4o").key is None
    assert route("gpt-4o", caller=Caller(None, None)).key == "sk-OPENAI"
    assert route("gpt-4o", providers={"openai": {"api_key": "sk-set\n"}}).key == "sk-set"


def test_a_server_on_this_machine_wants_no_key():
    for host in ("127.0.0.1", "localhost", "[::1]"):
        target = route("local/m", environ={}, providers={"local": {"base_url": f"http://{host}:1/v1"}})
        assert (target.key, target.passes_credentials) == (None, False)
    with pytest.raises(Rejection):
        route("local/m", environ={}, providers={"local": {"base_url": "http://127.0.0.1.evil.test/v1"}})


def test_what_can_not_be_translated_is_refused_by_name():
    with pytest.raises(Rejection) as caught:
        route("claude-3-opus", EMBEDDINGS)
    assert caught.value.code == "format_not_supported"
    assert "anthropic" in caught.value.message


@pytest.mark.parametrize(
    ("model", "url", "upstream_model", "key"),
    [
        ("gpt-4o", "https://api.openai.com/v1/chat/completions", "gpt-4o", "sk-OPENAI"),
        ("deepseek/a/b", "https://api.deepseek.com/v1/chat/completions", "a/b", "sk-DEEPSEEK"),
        (
            "fast",
            "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
            "gemini-3-flash",
            "sk-GEMINI",
        ),
        ("local/m", "http://127.0.0.1:1/v1/chat/completions", "m", None),
        ("claude-3-opus", "https://api.anthropic.com/v1/messages", "claude-3-opus-20240229", None),
    ],
)
def test_a_messages_call_goes_to_any_provider_and_the_clients_key_to_anthropic_only(
    model, url, upstream_model, key
):
    models = {"fast": {"provider": "gemini", "model": "gemini-3-flash"}}
    target = route(model, MESSAGES, models=models, providers={"local": {"base_url": "http://127.0.0.1:1/v1"}})
    assert (target.origin + target.path, target.model, target.key) == (url, upstream_model, key)
    assert target.passes_credentials == (target.upstream.name == "anthropic")
    with pytest.raises(Rejection) as caught:
        route("gpt-4o", MESSAGES, environ={})
    assert caught.value.code == "no_key_for_provider"


def test_a_messages_call_falls_back_from_one_format_to_the_other():
    models = {"claude": {"provider": "anthropic", "fallbacks": ["openai/gpt-4o", "deepseek/x"]}}
    router = Router(load(GatewaySettings, {"models": models}, {}), ALL_KEYS)
    targets = router.targets(MESSAGES, Asked(model="claude"), CLIENT)
    assert [(target.upstream.name, target.upstream_format) for target in targets] == [
        ("anthropic", ApiFormat.MESSAGES),
        ("openai", ApiFormat.CHAT),
        ("deepseek", ApiFormat.CHAT),
    ]
    assert [target.passes_credentials for target in targets] == [True, False, False]


def test_endpoints_that_are_not_interpreted_go_home_whatever_their_body_says():
    assert route("claude-3-opus", FILES).upstream.name == "openai"


@pytest.mark.parametrize(
    "model", ["m" * 256, "../../x", "//evil.test", "a b", "é", "*", "[", "openai/", "/x"]
)
def test_no_name_of_a_model_leads_elsewhere(model):
    assert route(model).origin == "https://api.openai.com"


def test_calls_of_a_path_that_names_its_provider_are_never_measured():
    assert route("gpt-4o").measured
    endpoint = Endpoint(ApiFormat.CHAT, "openai", "openai", "/v1/chat/completions")
    assert not route("gpt-4o", endpoint).measured
    assert not route("gpt-4o", gateway={"measure_non_streaming": False}).measured
    assert not route("mistral/m", providers={"mistral": {"api_key": "k"}}).measured
    models = {"m": {"provider": "openai", "measure_non_streaming": False}}
    assert not route("m", models=models).measured


@pytest.mark.parametrize(
    ("model", "path", "upstream_format"),
    [
        ("gpt-4o", "/v1/responses", ApiFormat.RESPONSES),
        ("groq/llama", "/openai/v1/responses", ApiFormat.RESPONSES),
        ("gemini-pro", "/v1beta/openai/chat/completions", ApiFormat.CHAT),
        ("claude-3-opus", "/v1/messages", ApiFormat.MESSAGES),
        ("mine/x", "/api/chat/completions", ApiFormat.CHAT),
        ("theirs/x", "/api/responses", ApiFormat.RESPONSES),
    ],
)
def test_responses_are_translated_for_a_provider_that_has_not_their_api(model, path, upstream_format):
    address = {"base_url": "http://x/api", "api_key": "k"}
    providers = {"mine": address, "theirs": {**address, "responses": True}, "groq": {"api_key": "k"}}
    target = route(model, RESPONSES, providers=providers)
    assert (target.path, target.upstream_format) == (path, upstream_format)


def test_a_preset_that_has_the_api_can_be_said_to_have_it_not():
    target = route("gpt-4o", RESPONSES, providers={"openai": {"api_key": "k", "responses": False}})
    assert target.path == "/v1/chat/completions"


@pytest.mark.parametrize("path", ["/responses/resp_1", "/responses/resp_1/input_items", "/responses/compact"])
def test_what_is_not_stored_can_not_be_had(path):
    endpoint = Endpoint(ApiFormat.OTHER, "openai", None, path)
    home = {"providers": {"mine": {"base_url": "http://x/api", "api_key": "k"}}}
    with pytest.raises(Rejection) as caught:
        route(None, endpoint, gateway={"default_provider": "mine"}, **home)
    assert (caught.value.status, caught.value.code) == (404, "responses_not_stored")
    assert "providers.mine.responses" in caught.value.message
    assert route(None, endpoint).path == f"/v1{path}"
