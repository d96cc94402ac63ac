"""A messages request as a chat request: every field is kept, left out because nothing is lost, or named."""

import json

import pytest
from gateway.translate.claude import ASKED, dropped, sent, translation
from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.messages_to_chat.thinking import SIGNATURE

PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
PDF = {
    "type": "document",
    "title": "a.pdf",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "get_weather", "description": "The weather", "input_schema": SCHEMA}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Berlin"}}


def said(*messages, model="gpt-4o", provider="openai", **asked):
    """The chat messages for these."""
    return sent({"messages": list(messages), **asked}, model, provider)["messages"]


def user(content):
    return {"role": "user", "content": content}


def assistant(content):
    return {"role": "assistant", "content": content}


def result(content, tool_use_id="toolu_1", **more):
    return {"type": "tool_result", "tool_use_id": tool_use_id, "content": content, **more}


def refused(asked, model="gpt-4o", provider="openai"):
    with pytest.raises(Rejection) as caught:
        sent(asked, model, provider)
    assert caught.value.status == 400
    return caught.value.message


def text(words):
    return {"type": "text", "text": words}


# --- The conversation --------------------------------------------------------------------------------------


def test_a_plain_question():
    assert sent({}) == {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_completion_tokens": 100,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_the_system_prompt_as_text_and_as_blocks():
    assert said(user("?"), system="Be brief.")[0] == {"role": "system", "content": "Be brief."}
    blocks = [text("Be brief."), {**text("Be kind."), "cache_control": {"type": "ephemeral"}}]
    assert said(user("?"), system=blocks)[0] == {"role": "system", "content": "Be brief.\n\nBe kind."}


def test_claude_codes_billing_line_does_not_spoil_the_providers_cache():
    """anthropics/claude-code #68900 and a dozen proxies: it is another in every request."""
    billing = "x-anthropic-billing-header: cc_version=2.1.117.48f; cc_entrypoint=cli; cch=71fea;"
    assert said(user("?"), system=[text(billing), text("You are")])[0]["content"] == "You are"
    assert said(user("?"), system=f"{billing}\nYou are")[0]["content"] == "You are"
    assert said(user("?"), system=[text(billing)]) == [user("?")]


NOW = {"role": "system", "content": "Now in French."}


def test_system_messages_within_the_conversation_stay_where_they_are():
    assert said(user("a"), NOW, user("b")) == [user("a"), NOW, user("b")]
    once = {"role": "system", "content": "For now.", "clear_at": "next_user_message"}
    assert said(user("a"), once) == [user("a"), {"role": "system", "content": "For now."}]
    assert said(user("a"), once, user("b")) == [user("a\n\nb")]


def test_they_are_the_users_to_say_where_chat_templates_take_the_systems_first_only():
    """ollama #17774, llama.cpp #27367: Claude Code sends one in every request, and Qwen's raises."""
    messages = said(
        user("a"), NOW, assistant("b"), NOW, user("c"), system="Be brief.", provider="vllm", model="q"
    )
    assert messages == [
        {"role": "system", "content": "Be brief."},
        user("a\n\n<system>\nNow in French.\n</system>"),
        assistant("b"),
        user("<system>\nNow in French.\n</system>\n\nc"),
    ]
    first = said(NOW, user("a"), system="Be brief.", provider="vllm", model="q")
    assert first == [{"role": "system", "content": "Be brief.\n\nNow in French."}, user("a")]


def test_results_come_right_after_the_calls_whatever_was_said_in_between():
    roles = [m["role"] for m in said(user("?"), assistant([CALL]), NOW, user("Wait"), user([result("a")]))]
    assert roles == ["user", "assistant", "tool", "system", "user"]


def test_turns_of_one_role_in_a_row_are_one_turn():
    assert said(user("a"), user([text("b"), text("c")]), assistant("d"), assistant("e"), user("f")) == [
        user("a\n\nb\n\nc"),
        assistant("de"),
        user("f"),
    ]


def test_images_and_documents():
    url = {"type": "image", "source": {"type": "url", "url": "https://a.test/i.png"}}
    plain = {
        "type": "document",
        "title": "T",
        "context": "C",
        "source": {"type": "text", "media_type": "text/plain", "data": "abc"},
    }
    parts = said(user([text("Look:"), PNG, url, PDF, plain]))[0]["content"]
    assert parts == [
        text("Look:"),
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "image_url", "image_url": {"url": "https://a.test/i.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}},
        text("T\nC"),
        text("abc"),
    ]
    blocks = {"type": "document", "source": {"type": "content", "content": [text("x"), PNG]}}
    assert [part["type"] for part in said(user([blocks]))[0]["content"]] == ["text", "image_url"]
    found = {"type": "search_result", "source": "https://a.test", "title": "T", "content": [text("x")]}
    assert said(user([found])) == [user("T\nhttps://a.test\n\nx")]


@pytest.mark.parametrize(
    ("block", "name"),
    [
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "messages.image.source"),
        (
            {"type": "document", "source": {"type": "url", "url": "https://a.test/a.pdf"}},
            "messages.document.source",
        ),
        ({**PDF, "citations": {"enabled": True}}, "messages.citations"),
        ({"type": "container_upload", "file_id": "f"}, "messages.container_upload"),
        (
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            "messages.web_search_tool_result",
        ),
    ],
)
def test_blocks_without_a_counterpart_are_refused_by_name_and_place(block, name):
    asked = {"messages": [user([text("a"), block])]}
    message = refused(asked)
    assert message.startswith(f"{name}: messages[0].content[1]")
    assert "gateway.drop_params" in message
    assert dropped(asked) == [name]


def test_tool_calls_and_their_results():
    assert said(user("?"), assistant([text("I look."), CALL]), user([result("21 °C"), text("And?")])) == [
        user("?"),
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {
                    "id": "toolu_1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city":"Berlin"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "toolu_1", "content": "21 °C"},
        user("And?"),
    ]
    assert said(user("?"), assistant([CALL]), user([result("x")]))[1]["content"] is None


def test_results_come_right_after_the_calls_whatever_the_order_of_blocks():
    other = {**CALL, "id": "toolu_2"}
    messages = said(
        user("?"),
        assistant([CALL, other]),
        user([text("Here:"), result("a"), result([text("b"), text("c")], "toolu_2")]),
    )
    assert [(m["role"], m.get("tool_call_id")) for m in messages[1:]] == [
        ("assistant", None),
        ("tool", "toolu_1"),
        ("tool", "toolu_2"),
        ("user", None),
    ]
    assert messages[3]["content"] == "b\nc"


def test_an_image_in_a_result_follows_in_a_message_of_its_own():
    _, _, tool, follows = said(user("?"), assistant([CALL]), user([result([text("A plot:"), PNG])]))
    assert tool["content"].startswith("A plot:\n(")
    assert follows["role"] == "user"
    assert "toolu_1" in follows["content"][0]["text"]
    assert follows["content"][1]["image_url"]["url"] == "data:image/png;base64,aGk="


def test_a_result_that_is_an_error_says_so():
    assert (
        said(user("?"), assistant([CALL]), user([result("no such city", is_error=True)]))[2]["content"]
        == "Error:\nno such city"
    )
    assert (
        said(user("?"), assistant([CALL]), user([{"type": "tool_result", "tool_use_id": "toolu_1"}]))[2][
            "content"
        ]
        == ""
    )


def test_a_prefilled_answer_is_refused_as_the_provider_begins_a_new_one():
    asked = {"messages": [user("?"), assistant("The answer is (")]}
    assert refused(asked).startswith("messages.prefill")
    assert dropped(asked) == ["messages.prefill"]


@pytest.mark.parametrize(
    ("provider", "model", "with_thinking", "without"),
    [
        ("openai", "gpt-5", None, None),
        ("groq", "qwen", None, None),  # refuses it
        ("vllm", "qwen3", "Hm.", None),
        ("deepseek", "deepseek-v4-pro", "Hm.", " "),  # misses it
        ("moonshot", "kimi-k2.5", "Hm.", " "),
    ],
)
def test_earlier_thinking_goes_back_to_providers_that_want_it(provider, model, with_thinking, without):
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": SIGNATURE}
    hidden = {"type": "redacted_thinking", "data": "x"}
    messages = said(
        user("?"),
        assistant([thinking, hidden, CALL]),
        user([result("a")]),
        assistant("b"),
        user("c"),
        provider=provider,
        model=model,
    )
    assert messages[1].get("reasoning_content") == with_thinking
    assert messages[3].get("reasoning_content") == without


def test_ids_are_of_the_form_that_the_provider_takes_on_both_ends():
    messages = said(
        user("?"), assistant([CALL]), user([result("a")]), provider="mistral", model="mistral-large"
    )
    (call,) = messages[1]["tool_calls"]
    assert len(call["id"]) == 9
    assert messages[2]["tool_call_id"] == call["id"]


def test_gemini_gets_the_word_for_calls_that_it_did_not_make():
    messages = said(
        user("?"),
        assistant([CALL, {**CALL, "id": "b"}]),
        user([result("a"), result("c", "b")]),
        provider="gemini",
        model="gemini-3-pro",
    )
    first, second = messages[1]["tool_calls"]
    assert first["extra_content"]["google"]["thought_signature"] == "skip_thought_signature_validator"
    assert "extra_content" not in second


# --- Tools -------------------------------------------------------------------------------------------------


def test_tools_are_functions():
    tools = [
        {
            **WEATHER,
            "cache_control": {"type": "ephemeral"},
            "eager_input_streaming": True,
            "defer_loading": True,
        }
    ]
    function = {"name": "get_weather", "description": "The weather", "parameters": SCHEMA}
    assert sent({"tools": tools})["tools"] == [{"type": "function", "function": function}]
    bare = sent({"tools": [{"name": "now", "input_schema": {"type": "object"}}]})["tools"][0]["function"]
    assert bare == {"name": "now", "parameters": {"type": "object", "properties": {}}}


def test_strict_where_openai_takes_the_schema_as_strict():
    closed = {**SCHEMA, "additionalProperties": False}
    optional = {**closed, "required": []}
    functions = [
        sent({"tools": [{**WEATHER, "strict": True, "input_schema": s}]})["tools"][0]["function"]
        for s in (closed, optional, SCHEMA)
    ]
    assert [function.get("strict") for function in functions] == [True, None, None]


@pytest.mark.parametrize(
    ("choice", "theirs"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "get_weather"},
            {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
        ),
        (
            {"type": "auto", "disable_parallel_tool_use": True},
            {"tool_choice": "auto", "parallel_tool_calls": False},
        ),
    ],
)
def test_the_choice_among_tools(choice, theirs):
    asked = sent({"tools": [WEATHER], "tool_choice": choice})
    assert {key: asked[key] for key in ("tool_choice", "parallel_tool_calls") if key in asked} == theirs
    assert "tool_choice" not in sent({"tool_choice": {"type": "auto"}})  # OpenAI takes it beside tools only


OWN_TOOLS = [
    "web_search_20250305",
    "web_fetch_20260318",
    "code_execution_20260120",
    "computer_20251124",
    "bash_20250124",
    "text_editor_20250728",
    "memory_20250818",
    "tool_search_tool_bm25_20251119",
    "mcp_toolset",
]


@pytest.mark.parametrize("kind", OWN_TOOLS)
def test_anthropics_own_tools_are_refused_by_name(kind):
    asked = {"tools": [WEATHER, {"type": kind, "name": "x"}], "tool_choice": {"type": "tool", "name": "x"}}
    assert refused(asked).startswith(f"tools.{kind}: tools[1]")
    assert dropped(asked) == [f"tools.{kind}", "tool_choice"]
    assert len(sent(asked, drops=True)["tools"]) == 1


def test_long_names_are_shortened_the_same_in_tools_choice_and_history():
    """ "string too long. Expected a string with maximum length 64": MCP tools behind agents."""
    name = "mcp__plugin_youtube-analytics__get_video_enhanced_transcript_of_a_channel"
    asked = sent(
        {
            "tools": [{**WEATHER, "name": name}],
            "tool_choice": {"type": "tool", "name": name},
            "messages": [user("?"), assistant([{**CALL, "name": name}]), user([result("a")])],
        }
    )
    names = {
        asked["tools"][0]["function"]["name"],
        asked["tool_choice"]["function"]["name"],
        asked["messages"][1]["tool_calls"][0]["function"]["name"],
    }
    assert len(names) == 1
    assert len(names.pop()) == 64


# --- Thinking ----------------------------------------------------------------------------------------------

THINK = {"type": "enabled", "budget_tokens": 31_999}


@pytest.mark.parametrize(
    ("provider", "model", "asked", "theirs"),
    [
        ("openai", "gpt-5", {"thinking": THINK}, {"reasoning_effort": "high"}),
        (
            "openai",
            "gpt-5",
            {"thinking": {"type": "enabled", "budget_tokens": 10_000}},
            {"reasoning_effort": "medium"},
        ),
        (
            "openai",
            "gpt-5",
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            {"reasoning_effort": "low"},
        ),
        ("openai", "gpt-5", {"thinking": {"type": "adaptive"}}, {}),
        (
            "openai",
            "gpt-5",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            {"reasoning_effort": "high"},
        ),
        ("openai", "gpt-5", {"thinking": {"type": "disabled"}}, {"reasoning_effort": "minimal"}),
        ("openai", "gpt-5.6", {"thinking": {"type": "disabled"}}, {"reasoning_effort": "none"}),
        ("openai", "gpt-5.6", {"output_config": {"effort": "max"}}, {"reasoning_effort": "max"}),
        ("openai", "o3", {"thinking": {"type": "disabled"}}, {"reasoning_effort": "low"}),
        ("gemini", "gemini-3-pro", {"output_config": {"effort": "xhigh"}}, {"reasoning_effort": "high"}),
        (
            "deepseek",
            "deepseek-v4-pro",
            {"thinking": THINK},
            {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
        ),
        (
            "deepseek",
            "deepseek-v4-pro",
            {"thinking": {"type": "disabled"}},
            {"thinking": {"type": "disabled"}},
        ),
        ("moonshot", "kimi-k2.5", {"thinking": {"type": "disabled"}}, {"thinking": {"type": "disabled"}}),
        ("dashscope", "qwen3-max", {"thinking": {"type": "disabled"}}, {"enable_thinking": False}),
        ("openai", "gpt-4o", {"thinking": {"type": "disabled"}}, {}),
    ],
)
def test_how_much_to_think_is_said_in_the_providers_words(provider, model, asked, theirs):
    body = sent(asked, model, provider)
    names = ("reasoning_effort", "thinking", "enable_thinking")
    assert {name: body[name] for name in names if name in body} == theirs
    assert dropped(asked, model, provider) == []


@pytest.mark.parametrize(
    ("provider", "model", "asked", "name"),
    [
        ("openai", "gpt-4o", {"thinking": THINK}, "thinking"),
        ("ollama", "llama3", {"thinking": THINK}, "thinking"),
        ("unknown", "llama3", {"output_config": {"effort": "high"}}, "output_config.effort"),
    ],
)
def test_a_model_that_can_not_be_told_how_much_to_think_answers_all_the_same(provider, model, asked, name):
    assert "reasoning_effort" not in sent(asked, model, provider)
    assert dropped(asked, model, provider) == [name]


@pytest.mark.parametrize(
    "asked",
    [{}, {"thinking": THINK}, {"thinking": {"type": "adaptive"}}, {"output_config": {"effort": "high"}}],
)
def test_new_openai_models_get_tools_only_without_reasoning(asked):
    """ "Function tools with reasoning_effort are not supported for gpt-5.6 in /v1/chat/completions." """
    asked = {**asked, "tools": [WEATHER]}
    assert sent(asked, "gpt-5.6")["reasoning_effort"] == "none"
    assert len(dropped(asked, "gpt-5.6")) == len(asked) - 1
    assert "reasoning_effort" not in sent({"tools": [WEATHER]}, "gpt-5.1")


# --- Everything else ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("openai", "max_completion_tokens"),
        ("azure", "max_completion_tokens"),
        ("deepseek", "max_tokens"),
        ("ollama", "max_tokens"),
        ("unknown", "max_tokens"),
    ],
)
def test_the_limit_has_the_name_that_the_provider_knows(provider, name):
    body = sent({}, "m", provider)
    assert {key: value for key, value in body.items() if key.startswith("max_")} == {name: 100}


@pytest.mark.parametrize(
    ("provider", "model", "most"),
    [
        ("openai", "gpt-4o", 16_384),
        ("azure", "gpt-4.1-mini", 32_768),
        ("gemini", "gemini-3-pro", 64_000),
        ("x", "y", 64_000),
    ],
)
def test_the_limit_is_no_more_than_the_model_takes(provider, model, most):
    """Claude Code asks for 64,000 tokens, and gpt-4o refuses to be asked for more than it can say."""
    body = sent({"max_tokens": 64_000}, model, provider)
    assert most in (body.get("max_tokens"), body.get("max_completion_tokens"))


def test_usage_of_a_stream_is_asked_for_where_the_provider_takes_the_option():
    assert "stream_options" not in sent({}, "mistral-large", "mistral")
    assert "stream" not in sent({}, streaming=False)


def test_sampling():
    asked = {"temperature": 0.5, "top_p": 0.9, "top_k": 40, "stop_sequences": ["END"]}
    body = sent(asked, "qwen3", "vllm")
    assert (body["temperature"], body["top_p"], body["top_k"], body["stop"]) == (0.5, 0.9, 40, ["END"])
    assert refused({"top_k": 40}).startswith("top_k: ")
    assert set(dropped(asked, "gpt-5")) == set(asked)
    assert refused({"temperature": 0}, "gpt-5").startswith("temperature: ")
    assert "temperature" not in sent({"temperature": 1}, "gpt-5")  # Claude Code's; it is the default
    assert sent({"temperature": 0, "thinking": {"type": "disabled"}}, "gpt-5.6")["temperature"] == 0


def test_structured_outputs():
    schema = {**SCHEMA, "additionalProperties": False}
    form = {"type": "json_schema", "schema": schema}
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    assert sent({"output_config": {"format": form}})["response_format"] == wanted
    assert sent({"output_format": form})["response_format"] == wanted
    assert (
        "strict" not in sent({"output_format": {**form, "schema": SCHEMA}})["response_format"]["json_schema"]
    )


def test_the_user():
    assert sent({"metadata": {"user_id": "u-7"}})["user"] == "u-7"
    claude_codes = "user_" + "0" * 64 + "_account__session_" + "1" * 36
    user = sent({"metadata": {"user_id": claude_codes}})["user"]
    assert len(user) == 64
    assert user == sent({"metadata": {"user_id": claude_codes}})["user"]
    assert "user" not in sent({"metadata": {"user_id": "u-7"}}, "mistral-large", "mistral")


def test_service_tiers_and_speed():
    assert sent({"service_tier": "standard_only"})["service_tier"] == "default"
    assert "service_tier" not in sent({"service_tier": "auto"})
    assert "service_tier" not in sent({"service_tier": "standard_only"}, "m", "unknown")
    assert sent({"speed": "fast"})["service_tier"] == "priority"
    assert refused({"speed": "fast"}, "m", "unknown").startswith("speed: ")


def test_what_claude_code_always_sends_breaks_nothing():
    asked = {
        "cache_control": {"type": "ephemeral"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "diagnostics": {"previous_message_id": "msg_1"},
        "metadata": {"user_id": "u"},
        "mcp_servers": [],
        "container": None,
        "temperature": 1,
    }
    assert set(sent(asked)) == {
        "model",
        "messages",
        "max_completion_tokens",
        "stream",
        "stream_options",
        "user",
        "temperature",
    }
    assert dropped(asked) == ["context_management", "diagnostics"]


@pytest.mark.parametrize(
    "asked",
    [
        {"mcp_servers": [{"type": "url", "url": "https://a.test", "name": "a"}]},
        {"container": "c_1"},
        {"inference_geo": "us"},
        {"billing_policy": {"type": "billing_policy", "bill_to": "user_profile"}},
        {"something_new": 1},
    ],
)
def test_fields_without_a_counterpart_are_refused_by_name(asked):
    (name,) = asked
    assert refused(asked).startswith(f"{name}: ")
    assert dropped(asked) == [name]


@pytest.mark.parametrize(
    "asked", [{"thread": {"type": "continue", "previous_message_id": "m"}}, {"compaction": {"type": "x"}}]
)
def test_what_would_change_the_answer_altogether_is_refused_whatever_the_settings(asked):
    with pytest.raises(Rejection):
        sent(asked, drops=True)


def test_a_limit_of_nothing_is_the_least_there_is():
    assert sent({"max_tokens": 0})["max_completion_tokens"] == 1
    assert dropped({"max_tokens": 0}) == ["max_tokens"]


@pytest.mark.parametrize(
    "asked",
    [
        {"messages": []},
        {"messages": "Hello"},
        {"messages": [7]},
        {"messages": [user(7)]},
        {"messages": [user([7])]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {
            "messages": [
                user("?"),
                assistant([{"type": "tool_use", "id": "a", "name": "b", "input": "c"}]),
                user("?"),
            ]
        },
        {"system": 7},
        {"tools": "x"},
        {"tools": [7]},
        {"tools": [{"name": "x"}]},
        {"tools": [WEATHER], "tool_choice": {"type": "some"}},
        {"output_config": {"format": {"type": "text"}}},
    ],
)
def test_what_is_malformed_is_refused_with_its_place(asked):
    assert "must" in refused(asked)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"messages": ' + b"[" * 900 + b"]" * 900 + b"}"])
def test_what_is_no_request_is_refused(body):
    with pytest.raises(Rejection):
        translation().request(body)


def test_lone_surrogates_become_what_can_be_sent():
    body = json.dumps({**ASKED, "messages": [user("\ud800!")]}).encode()
    assert json.loads(translation().request(body))["messages"] == [user("\ufffd!")]


@pytest.mark.parametrize(
    ("provider", "model", "mark"),
    [
        ("openai", "gpt-5.6-sol", {"prompt_cache_breakpoint": {"mode": "explicit"}}),
        ("openrouter", "anthropic/claude-sonnet-5", {"cache_control": {"type": "ephemeral", "ttl": "1h"}}),
        ("dashscope", "qwen3-max", {"cache_control": {"type": "ephemeral", "ttl": "1h"}}),
        ("openai", "gpt-5.5", {}),
        ("deepseek", "deepseek-v4-pro", {}),
    ],
)
def test_marks_for_the_cache_go_to_models_that_cache_where_they_are_told(provider, model, mark):
    cached = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    system, asked = said(
        user([text("a"), {**PNG, **cached}]),
        system=[text("Be brief."), {**text("Rules."), **cached}],
        provider=provider,
        model=model,
    )
    assert asked["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,aGk="},
        **mark,
    }
    assert system["content"] == (
        [text("Be brief."), {**text("Rules."), **mark}] if mark else "Be brief.\n\nRules."
    )
