"""Tools, the choice among them, their calls and results; and the schema that an answer is to have."""

import pytest
from gateway.translate.asking_claude import (
    FORMAT,
    HELLO,
    PARAMETERS,
    SCHEMA,
    WEATHER,
    calling,
    left_out,
    refusal,
    result,
    sent,
    text,
    turns,
)

OPUS_5_5, OPUS_5, OPUS_4_8, SONNET_5_5 = (
    "claude-opus-5-5",
    "claude-opus-5",
    "claude-opus-4-8",
    "claude-sonnet-5-5",
)
SONNET_4_5, OPUS_4_1, HAIKU_3 = "claude-sonnet-4-5", "claude-opus-4-1", "claude-3-haiku-20240307"
CACHED = {"type": "ephemeral", "ttl": "1h"}
PNG = "iVBORw0KGgo="
THOUGHT = {"type": "thinking", "thinking": "Let me see.", "signature": "sig"}


def test_tools_have_a_name_a_description_and_a_schema_of_an_object():
    functions = [
        {"name": "get_weather", "description": "The weather", "parameters": PARAMETERS},
        {"name": "now"},
        {"name": "any", "parameters": {"properties": {"x": {}}, "$defs": {}}},
    ]
    tools = sent(tools=[{"type": "function", "function": function} for function in functions])["tools"]
    assert tools == [
        {"name": "get_weather", "description": "The weather", "input_schema": PARAMETERS},
        {"name": "now", "input_schema": {"type": "object", "properties": {}}},
        {"name": "any", "input_schema": {"type": "object", "properties": {"x": {}}, "$defs": {}}},
    ]


@pytest.mark.parametrize(
    ("choice", "there"),
    [
        (None, None),
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "get_weather"}}, {"type": "tool", "name": "get_weather"}),
    ],
)
def test_the_choice_among_tools(choice, there):
    assert sent(tools=[WEATHER], tool_choice=choice).get("tool_choice") == there


@pytest.mark.parametrize(
    ("choice", "there"),
    [
        (None, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", {"type": "any", "disable_parallel_tool_use": True}),
        ("none", {"type": "none"}),
    ],
)
def test_one_call_at_a_time(choice, there):
    assert sent(tools=[WEATHER], tool_choice=choice, parallel_tool_calls=False)["tool_choice"] == there


def test_allowed_tools_are_the_only_ones():
    other = {"type": "function", "function": {"name": "other"}}
    named = {"type": "function", "function": {"name": "other"}}
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named]}}
    request = sent(tools=[WEATHER, other], tool_choice=choice)
    assert ([tool["name"] for tool in request["tools"]], request["tool_choice"]) == (
        ["other"],
        {"type": "any"},
    )


def test_a_choice_without_tools_is_none_or_refused():
    assert "tool_choice" not in sent(tool_choice="auto")
    assert refusal(tool_choice="required").startswith("tool_choice: there are no tools")


def test_a_model_that_can_not_be_made_to_call_says_so():
    assert refusal(model=OPUS_5_5, tools=[WEATHER], tool_choice="required").startswith(
        "tool_choice: claude-opus-5-5"
    )
    request, names = left_out(model=SONNET_5_5, tools=[WEATHER], tool_choice="required")
    assert ("tool_choice" in request, names) == (False, "tool_choice")
    assert sent(model=OPUS_5, tools=[WEATHER], tool_choice="required")["tool_choice"] == {"type": "any"}


@pytest.mark.parametrize(
    "tool", [{"type": "custom", "custom": {"name": "x"}}, {"type": "web_search_20260209"}, "x"]
)
def test_tools_that_are_no_functions_are_refused_by_name(tool):
    assert refusal(tools=[tool]).startswith("tools: tools[0] is no function")
    request, names = left_out(tools=[tool, WEATHER])
    assert ([found["name"] for found in request["tools"]], names) == (["get_weather"], "tools")


def test_strict_tools_are_held_to_what_can_be_constrained():
    narrow = {**SCHEMA, "properties": {"age": {"type": "integer", "minimum": 1, "description": "In years"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": narrow, "strict": True}}
    (there,) = sent(tools=[tool])["tools"]
    assert there["strict"] is True
    assert there["input_schema"]["properties"]["age"] == {
        "type": "integer",
        "description": "In years\n\nminimum: 1",
    }
    assert refusal(model=OPUS_4_1, tools=[tool]).startswith("tools.function.strict: claude-opus-4-1")
    (plain,) = left_out(model=OPUS_4_1, tools=[tool])[0]["tools"]
    assert (plain["input_schema"], "strict" in plain) == (narrow, False)


def test_calls_and_results_of_one_turn_are_one_turn_each():
    said = turns(
        *HELLO,
        calling(("c1", "get_weather", '{"city": "Berlin"}'), ("c2", "now", "{}"), content="Let me see."),
        result("c1"),
        result(
            "c2",
            [text("12:00"), {"type": "image_url", "image_url": {"url": "https://example.com/clock.png"}}],
        ),
        {"role": "user", "content": "And?"},
        tools=[WEATHER],
    )
    assert said[1]["content"] == [
        text("Let me see."),
        {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {"city": "Berlin"}},
        {"type": "tool_use", "id": "c2", "name": "now", "input": {}},
    ]
    clock = {"type": "image", "source": {"type": "url", "url": "https://example.com/clock.png"}}
    assert said[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "c1", "content": [text("21 °C")]},
        {"type": "tool_result", "tool_use_id": "c2", "content": [text("12:00"), clock]},
        text("And?"),
    ]


@pytest.mark.parametrize(
    ("tools", "where"),
    [
        ("get_weather", "tools: must be a list"),
        (
            [{"type": "function", "function": {"name": "f", "parameters": []}}],
            "tools[0].function.parameters: must",
        ),
    ],
)
def test_tools_of_another_form_are_refused_by_their_place(tools, where):
    assert refusal(tools=tools).startswith(where)


def test_a_choice_that_names_no_function_is_refused_by_name():
    custom = {"type": "custom", "custom": {"name": "x"}}
    assert refusal(tools=[WEATHER], tool_choice=custom).startswith("tool_choice: names no function")
    assert "tool_choice" not in left_out(tools=[WEATHER], tool_choice=custom)[0]


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({**SCHEMA, "properties": {"any": {"type": "object"}}}, "an object of any fields"),
        ({**SCHEMA, "properties": {"any": True}}, "a schema that allows anything"),
        ({**SCHEMA, "additionalProperties": {"type": "string"}}, "additionalProperties"),
    ],
)
def test_a_strict_tool_that_can_not_be_constrained_is_refused_by_name(parameters, why):
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters, "strict": True}}
    assert refusal(tools=[tool]).startswith(
        f"tools.function.strict: tools[0]: Anthropic can't hold a model to {why}"
    )
    request, names = left_out(tools=[tool])
    assert (request["tools"][0]["input_schema"], names) == (parameters, "tools.function.strict")


def test_a_schema_that_is_nested_too_deeply_is_refused():
    schema = {"type": "string"}
    for _ in range(490):
        schema = {"type": "array", "items": schema}
    given = {
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": {**SCHEMA, "properties": {"a": schema}}},
    }
    assert "nested too deeply" in refusal(response_format=given)


def test_a_result_of_a_call_that_was_not_made_is_anthropics_to_judge():
    said = turns(*HELLO, result("c.1"), tools=[WEATHER])
    assert said[0]["content"][0]["tool_use_id"] == "c_1"


def test_results_come_first_in_the_users_turn():
    said = turns(
        *HELLO, calling(("c1", "f", "{}")), {"role": "user", "content": "Wait"}, result("c1"), tools=[WEATHER]
    )
    assert [block["type"] for block in said[2]["content"]] == ["tool_result", "text"]


@pytest.mark.parametrize(
    ("arguments", "there"),
    [
        ('{"a": 1.0, "b": [null]}', {"a": 1.0, "b": [None]}),
        ("", {}),  # litellm 5063
        ("  ", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
        ('{"a": "cut o', {"INVALID_JSON": '{"a": "cut o'}),  # as Anthropic's documentation advises
        ("[1]", {"INVALID_JSON": "[1]"}),
    ],
)
def test_arguments_are_an_object_there_whatever_they_were(arguments, there):
    said = turns(*HELLO, calling(("c1", "f", arguments)), result("c1"), tools=[WEATHER])
    assert said[1]["content"][0]["input"] == there


def test_an_empty_result_is_a_result():
    said = turns(*HELLO, calling(("c1", "f", "{}")), result("c1", ""), tools=[WEATHER])
    assert said[2]["content"] == [{"type": "tool_result", "tool_use_id": "c1"}]


def test_ids_of_other_providers_are_made_such_as_anthropic_takes():  # bifrost 5097, qwen-code 8160
    said = turns(
        *HELLO,
        calling(("functions.Bash:0", "f", "{}"), ("", "g", "{}")),
        result("functions.Bash:0"),
        result(""),
    )
    assert [block["id"] for block in said[1]["content"]] == ["functions_Bash_0", "call"]
    assert [block["tool_use_id"] for block in said[2]["content"]] == ["functions_Bash_0", "call"]


def test_ids_that_come_again_are_told_apart():  # "tool_use ids must be unique"
    said = turns(
        *HELLO,
        calling(("0", "f", "{}"), ("0", "g", "{}")),
        result("0", "f1"),
        result("0", "g1"),
        calling(("0", "f", "{}"), ("a.b", "f", "{}"), ("a:b", "g", "{}")),
        result("a:b", "g2"),
        result("0", "f2"),
        result("a.b", "f2"),
    )
    first, answers, second, more = (turn["content"] for turn in said[1:])
    assert [block["id"] for block in first] == [block["tool_use_id"] for block in answers] == ["0", "0_2"]
    assert [block["id"] for block in second] == ["0_3", "a_b", "a_b_2"]
    assert [block["tool_use_id"] for block in more] == ["a_b_2", "0_3", "a_b"]


def test_a_history_of_calls_brings_its_tools_where_the_request_has_none():
    request = sent([*HELLO, calling(("c1", "f", "{}"), ("c2", "f", "{}")), result("c1"), result("c2")])
    assert request["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert request["tool_choice"] == {"type": "none"}


# --- The form of the answer -------------------------------------------------------------------------------


def test_a_schema_for_the_answer_is_one_there():
    request = sent(response_format=FORMAT)
    assert request["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert "tools" not in request


def test_a_schema_is_brought_into_the_subset_that_anthropic_takes():
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "when": {"type": "string", "format": "date-time"},
            "url": {"type": "string", "format": "iri", "maxLength": 80},
            "tags": {
                "type": "array",
                "minItems": 1,
                "items": {"oneOf": [{"$ref": "#/$defs/T"}, {"type": "null"}]},
            },
            "few": {"type": "array", "minItems": 2, "items": {"type": "integer"}},
            "kind": {"enum": ["a", "b"], "default": "a"},
        },
        "required": ["when"],
        "$defs": {"T": {"type": ["object", "null"], "properties": {}}},
    }
    given = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    there = sent(response_format=given)["output_config"]["format"]["schema"]
    assert there == {
        "$defs": {"T": {"type": ["object", "null"], "properties": {}, "additionalProperties": False}},
        "type": "object",
        "properties": {
            "when": {"type": "string", "format": "date-time"},
            "url": {"type": "string", "description": 'format: "iri", maxLength: 80'},
            "tags": {
                "type": "array",
                "minItems": 1,
                "items": {"anyOf": [{"$ref": "#/$defs/T"}, {"type": "null"}]},
            },
            "few": {"type": "array", "items": {"type": "integer"}, "description": "minItems: 2"},
            "kind": {"enum": ["a", "b"], "default": "a"},
        },
        "required": ["when"],
        "additionalProperties": False,
    }


OPEN = {"type": "object", "properties": {"a": {"type": "object", "additionalProperties": True}}}
OPEN_FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": OPEN}}


@pytest.mark.parametrize(
    ("model", "given"), [(OPUS_4_1, FORMAT), ("claude-sonnet-4-6", OPEN_FORMAT), ("glm-5", FORMAT)]
)
def test_where_a_model_can_not_be_held_to_a_schema_it_must_call_a_tool_of_that_schema(model, given):
    request = sent(model=model, response_format=given)
    (tool,) = request["tools"]
    assert tool["input_schema"] == given["json_schema"]["schema"]
    assert request["tool_choice"] == {"type": "tool", "name": given["json_schema"]["name"]}
    assert "output_config" not in request


def test_with_other_tools_it_may_call_those_instead():
    request = sent(model=OPUS_4_1, tools=[WEATHER], response_format=FORMAT)
    assert [tool["name"] for tool in request["tools"]] == ["get_weather", "weather"]
    assert request["tool_choice"] == {"type": "any"}
    request = sent(model=OPUS_4_1, tools=[WEATHER], tool_choice="none", response_format=FORMAT)
    assert request["tool_choice"] == {"type": "tool", "name": "weather"}


def test_the_tool_that_is_to_be_called_comes_before_the_answer():
    named = {"type": "function", "function": {"name": "get_weather"}}
    request = sent(model=OPUS_4_1, tools=[WEATHER], tool_choice=named, response_format=FORMAT)
    assert request["tool_choice"] == {"type": "tool", "name": "get_weather"}


def test_the_tool_for_the_answer_has_a_name_of_its_own():
    named = {"type": "function", "function": {"name": "weather"}}
    request = sent(model=OPUS_4_1, tools=[named], response_format=FORMAT)
    assert [tool["name"] for tool in request["tools"]] == ["weather", "weather_"]


def test_a_form_that_can_not_be_kept_is_refused_by_name():
    assert refusal(response_format={"type": "json_object"}).startswith(
        "response_format: none but json_schema"
    )
    assert refusal(model=OPUS_5_5, response_format=OPEN_FORMAT).startswith(
        "response_format: Anthropic can't hold"
    )
    request, names = left_out(model=OPUS_5_5, response_format=OPEN_FORMAT)
    assert (request, names) == (sent(model=OPUS_5_5), "response_format")
    assert sent(response_format={"type": "text"}) == sent()
    request, names = left_out(response_format={"type": "json_object"})
    assert (request, names) == (sent(), "response_format")
