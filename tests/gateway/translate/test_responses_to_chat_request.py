"""A responses request as a chat request: what goes on, under which name, and what is refused or left out."""

import pytest
from gateway.translate.responses import chat_messages, chat_request, wanted
from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.carried import pack

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": False}
TEXT = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
CALL = {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": '{"city":"Rome"}'}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "21 °C"}
USER = {"role": "user", "content": "Hello"}


def said(role, text):
    return {"type": "message", "role": role, "content": [{"type": "output_text", "text": text}]}


def refusal(body, it=None):
    with pytest.raises(Rejection) as caught:
        chat_request(body, it)
    assert caught.value.status == 400
    return caught.value


def test_a_text_is_a_users_message():
    chat = chat_request({"input": "Hello"})
    assert chat["messages"] == [USER]
    assert chat["model"] == "some-model"


def test_instructions_and_developers_are_the_system_and_begin_as_one_message():
    items = [{"role": "developer", "content": "Be kind."}, USER, {"role": "system", "content": "Now German."}]
    assert chat_messages(items, instructions="Be brief.") == [
        {"role": "system", "content": "Be brief.\n\nBe kind."},
        USER,
        {"role": "system", "content": "Now German."},
    ]


def test_the_usage_of_a_stream_is_asked_for_where_the_provider_takes_that():
    assert chat_request({})["stream_options"] == {"include_usage": True}
    assert "stream_options" not in chat_request({}, wanted(takes_stream_options=False))
    assert "stream_options" not in chat_request({}, wanted(streaming=False))


@pytest.mark.parametrize(
    ("field", "there"),
    [
        ({"max_output_tokens": 50}, {"max_tokens": 50}),
        ({"temperature": 0.2, "top_p": 0.5}, {"temperature": 0.2, "top_p": 0.5}),
        ({"text": {"verbosity": "low", "format": {"type": "text"}}}, {"verbosity": "low"}),
        ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
        (
            {"text": {"format": {"type": "json_schema", "name": "w", "schema": PARAMETERS, "strict": True}}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "w", "schema": PARAMETERS, "strict": True},
                }
            },
        ),
        ({"top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"include": ["message.output_text.logprobs"]}, {"logprobs": True}),
        ({"user": "ann", "safety_identifier": "s"}, {"user": "ann", "safety_identifier": "s"}),
        (
            {"prompt_cache_key": "k", "prompt_cache_retention": "24h"},
            {"prompt_cache_key": "k", "prompt_cache_retention": "24h"},
        ),
        ({"top_k": 40, "thinking": {"type": "disabled"}}, {"top_k": 40, "thinking": {"type": "disabled"}}),
        ({"service_tier": "auto", "tool_choice": "auto", "parallel_tool_calls": True, "tools": []}, {}),
        ({"truncation": "disabled", "background": False, "store": False, "metadata": {"a": "b"}}, {}),
        ({"include": ["reasoning.encrypted_content"], "max_tool_calls": 3}, {}),
        ({"previous_response_id": None, "reasoning": None, "text": None, "tools": None}, {}),
    ],
)
def test_a_field_has_its_counterpart(field, there):
    it = wanted()
    chat = chat_request({**field, "stream": True}, it)
    for name in ("model", "messages", "stream", "stream_options"):
        del chat[name]
    assert chat == there
    assert it.dropped_header() == b""


def test_fields_are_the_providers_own_where_it_has_others():
    it = wanted(
        limit="max_completion_tokens",
        efforts={"some-*": ("low", "high")},
        user=False,
        takes_stream_options=True,
    )
    fields = {
        "max_output_tokens": 9,
        "reasoning": {"effort": "medium"},
        "user": "ann",
        "service_tier": "flex",
    }
    chat = chat_request(fields, it)
    assert (chat["max_completion_tokens"], chat["reasoning_effort"]) == (9, "low")
    assert "user" not in chat
    assert "service_tier" not in chat
    assert it.dropped_header() == b"reasoning.effort, user, service_tier"


def test_an_effort_that_no_model_has_is_an_error():
    assert "reasoning.effort" in refusal({"reasoning": {"effort": "immense"}}).message


@pytest.mark.parametrize(
    "state",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"conversation": {"id": "conv_1"}},
        {"prompt": {"id": "pmpt_1"}},
        {"background": True},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"id": "msg_1"}]},
    ],
)
def test_what_depends_on_stored_state_is_refused_even_where_fields_are_dropped(state):
    error = refusal(state, wanted(drops=True))
    assert error.code == "stateless_provider"
    named = next(iter(state)) if "input" not in state else "item_reference"
    assert named in error.message


def test_storing_is_accepted_and_not_done():
    it = wanted()
    assert "store" not in chat_request({"store": True}, it)
    assert it.dropped_header() == b"store"
    chat_request({}, silent := wanted())
    assert silent.dropped_header() == b""


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ({"truncation": "auto"}, "truncation"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "web_search"}]}, "tools.web_search"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools.mcp"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice"),
        ({"input": [USER, {"type": "web_search_call", "id": "ws_1"}]}, "input.web_search_call"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}, USER]},
            "input.input_image.file_id",
        ),
    ],
)
def test_what_chat_can_not_express_is_refused_by_name_or_left_out(field, name):
    error = refusal(field)
    assert error.code == "unsupported_parameter"
    assert error.message.startswith(name)
    it = wanted(drops=True)
    chat = chat_request(field, it)
    assert it.dropped_header() == name.encode()
    assert chat["messages"] == [USER]


def test_tools_that_are_left_out_leave_the_others():
    it = wanted(drops=True)
    chat = chat_request({"tools": [{"type": "web_search"}, FUNCTION], "tool_choice": "required"}, it)
    assert [tool["function"]["name"] for tool in chat["tools"]] == ["get_weather"]
    assert chat["tool_choice"] == "required"


def test_functions_and_custom_tools():
    custom = {"type": "custom", "name": "patch", "description": "Edits"}
    chat = chat_request({"tools": [FUNCTION, custom], "parallel_tool_calls": False})
    assert chat["tools"] == [
        {
            "type": "function",
            "function": {"name": "get_weather", "parameters": PARAMETERS, "strict": False},
        },
        {
            "type": "function",
            "function": {"name": "patch", "description": "Edits", "parameters": TEXT},
        },
    ]
    assert chat["parallel_tool_calls"] is False


def test_a_custom_tools_grammar_is_told_and_named():
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}
    it = wanted()
    (tool,) = chat_request({"tools": [{"type": "custom", "name": "patch", "format": grammar}]}, it)["tools"]
    assert "lark" in tool["function"]["description"]
    assert "start: /a/" in tool["function"]["description"]
    assert it.dropped_header() == b"tools.format"


@pytest.mark.parametrize(
    ("choice", "there"),
    [
        ("none", "none"),
        ("auto", "auto"),
        ("required", "required"),
        (
            {"type": "function", "name": "get_weather"},
            {"type": "function", "function": {"name": "get_weather"}},
        ),
        ({"type": "custom", "name": "p"}, {"type": "function", "function": {"name": "p"}}),
    ],
)
def test_the_choice_of_a_tool(choice, there):
    assert chat_request({"tools": [FUNCTION], "tool_choice": choice})["tool_choice"] == there


def test_a_choice_among_some_tools_gives_only_these():
    other = {**FUNCTION, "name": "get_time"}
    allowed = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "get_time"}],
    }
    chat = chat_request({"tools": [FUNCTION, other], "tool_choice": allowed})
    assert [tool["function"]["name"] for tool in chat["tools"]] == ["get_time"]
    assert chat["tool_choice"] == "required"


def test_what_an_assistant_said_in_several_items_is_one_message():
    again = {**CALL, "call_id": "c2"}
    items = [USER, said("assistant", "Let me look."), CALL, again, RESULT, {**RESULT, "call_id": "c2"}]
    function = {"name": "get_weather", "arguments": '{"city":"Rome"}'}
    assert chat_messages(items) == [
        USER,
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": function},
                {"id": "c2", "type": "function", "function": function},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "21 °C"},
        {"role": "tool", "tool_call_id": "c2", "content": "21 °C"},
    ]


def test_calls_of_custom_tools():
    call = {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "+x"}
    result = {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"}
    _, assistant, tool = chat_messages([USER, call, result])
    function = {"name": "patch", "arguments": '{"input":"+x"}'}
    assert assistant["tool_calls"] == [{"id": "c1", "type": "function", "function": function}]
    assert tool == {"role": "tool", "tool_call_id": "c1", "content": "done"}


def test_a_result_in_texts_is_a_string_and_with_an_image_a_list():
    texts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    image = {"type": "input_image", "image_url": "https://x/y.png"}
    assert chat_messages([USER, CALL, {**RESULT, "output": texts}])[-1]["content"] == "a\nb"
    assert chat_messages([USER, CALL, {**RESULT, "output": [*texts, image]}])[-1]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
    ]


def test_the_parts_of_a_message():
    mark = {"mode": "explicit"}
    content = [
        {"type": "input_text", "text": "Look", "prompt_cache_breakpoint": mark},
        {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_file", "file_url": "https://x/b.pdf"},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
    ]
    assert chat_messages([{"role": "user", "content": content}])[0]["content"] == [
        {"type": "text", "text": "Look", "prompt_cache_breakpoint": mark},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"file_id": "https://x/b.pdf"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
    ]


def test_an_earlier_refusal_stays_one():
    item = {"role": "assistant", "content": [{"type": "refusal", "refusal": "I won't."}]}
    assert chat_messages([USER, item, USER])[1] == {
        "role": "assistant",
        "content": None,
        "refusal": "I won't.",
    }


BLOCKS = [{"type": "thinking", "thinking": "Hm", "signature": "sig"}]


def reasoning(message, calls=None, model="some-model", **fields):
    packed = pack(model, message, calls or {})
    return {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": packed, **fields}


def test_reasoning_goes_back_to_the_model_that_said_it():
    items = [USER, reasoning({"thinking_blocks": BLOCKS}), CALL, RESULT]
    assert chat_messages(items)[1]["thinking_blocks"] == BLOCKS
    it = wanted()
    strange = [USER, reasoning({"thinking_blocks": BLOCKS}, model="other"), CALL, RESULT]
    assert "thinking_blocks" not in chat_messages(strange, it)[1]
    assert it.dropped_header() == b"input.reasoning"


def test_reasoning_of_openais_is_left_out_and_named():
    it = wanted()
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAABo"}
    assert chat_messages([USER, item, said("assistant", "Hi"), USER], it)[1] == {
        "role": "assistant",
        "content": "Hi",
    }
    assert it.dropped_header() == b"input.reasoning"


@pytest.mark.parametrize(
    ("trait", "sent"), [("never", None), ("kept", "Hm"), ("always", "Hm")], ids=["never", "kept", "always"]
)
def test_the_text_of_reasoning_goes_to_providers_that_take_it(trait, sent):
    items = [USER, reasoning({"reasoning_content": "Hm"}), CALL, RESULT]
    assert chat_messages(items, wanted(reasoning=trait))[1].get("reasoning_content") == sent


def test_reasoning_that_a_provider_misses_is_there_in_every_turn():
    messages = chat_messages([USER, said("assistant", "Hi"), USER], wanted(reasoning="always"))
    assert messages[1]["reasoning_content"] == " "


def test_reasoning_that_can_be_read_is_taken_from_the_item():
    item = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "Hm"}],
    }
    assert chat_messages([USER, item, CALL, RESULT], wanted(reasoning="kept"))[1]["reasoning_content"] == "Hm"


def test_an_assistant_that_only_thought_said_nothing():
    messages = chat_messages([USER, reasoning({"thinking_blocks": BLOCKS}), USER])
    assert messages[1] == {"role": "assistant", "content": "", "thinking_blocks": BLOCKS}


@pytest.mark.parametrize(("model", "text"), [("some-model", "ab"), ("other", "a\n\nb")])
def test_text_that_its_own_thinking_divided_is_one_again(model, text):
    thought = reasoning({"thinking_blocks": BLOCKS}, model=model)
    messages = chat_messages([USER, said("assistant", "a"), thought, said("assistant", "b")])
    assert messages[1]["content"] == text


def test_a_calls_signature_comes_from_an_item_after_it():
    signature = {"google": {"thought_signature": "s"}}
    items = [USER, CALL, reasoning({}, {"c1": {"extra_content": signature}}), RESULT]
    it = wanted(thought_signatures=True)
    messages = chat_messages(items, it)
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert messages[1]["tool_calls"][0]["extra_content"] == signature
    assert it.dropped_header() == b""


def test_a_call_without_signature_says_so_to_a_provider_that_checks():
    messages = chat_messages([USER, CALL, RESULT], wanted(thought_signatures=True))
    google = messages[1]["tool_calls"][0]["extra_content"]["google"]
    assert google["thought_signature"] == "skip_thought_signature_validator"


def test_ids_have_the_providers_form_at_both_ends():
    _, assistant, tool = chat_messages([USER, CALL, RESULT], wanted(tool_ids="[A-Za-z0-9]{9}"))
    assert assistant["tool_calls"][0]["id"] == tool["tool_call_id"]
    assert len(tool["tool_call_id"]) == 9


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{**CALL, "arguments": {}}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"instructions": 5}, "instructions.content"),
        ({"tools": "all"}, "tools"),
        ({"tools": [5]}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [FUNCTION], "tool_choice": "any"}, "tool_choice"),
        ({"text": "json"}, "text"),
        ({"reasoning": "high"}, "reasoning"),
    ],
)
def test_a_request_of_the_wrong_form_is_an_error_that_says_where(body, where):
    error = refusal(body)
    assert error.code == "invalid_request"
    assert error.message.startswith(f"{where}: ")
