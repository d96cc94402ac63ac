import json
import random

import pytest
from lessllm_collector.cache.prompt import Mark, answer_segments, read_prompt
from lessllm_shared.record import ApiFormat

FORMATS = [ApiFormat.CHAT, ApiFormat.RESPONSES, ApiFormat.MESSAGES, ApiFormat.GEMINI, ApiFormat.COMPLETIONS]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"b": 1, "a": 2}}}
PNG = "iVBORw0KGgo" * 100


def prompt(request, api_format=ApiFormat.CHAT):
    return read_prompt(api_format, json.dumps(request).encode())


def outline(found):
    return [(segment.kind, segment.path) for segment in found.segments]


def data(request, api_format=ApiFormat.CHAT):
    return [segment.data for segment in prompt(request, api_format).segments]


def text(value):
    return {"type": "text", "text": value}


def test_a_chat_is_tools_then_the_form_of_the_answer_then_messages():
    found = prompt(
        {
            "messages": [
                {"role": "system", "content": "be brief"},
                {
                    "role": "user",
                    "content": [text("look"), {"type": "image_url", "image_url": {"url": "http://x/y"}}],
                },
                {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]},
                {"role": "tool", "tool_call_id": "1", "content": "42"},
            ],
            "response_format": {"type": "json_schema", "json_schema": {}},
            "tools": [TOOL, TOOL],
        }
    )
    assert outline(found) == [
        ("tools", "tools[0]"),
        ("tools", "tools[1]"),
        ("format", "response_format"),
        ("system", "messages[0].content"),
        ("user", "messages[1].content[0]"),
        ("image", "messages[1].content[1]"),
        ("tool_use", "messages[2].tool_calls[0]"),
        ("tool_result", "messages[3].content"),
    ]


def test_anthropics_system_comes_before_its_messages():
    request = {
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "…"}, {"type": "tool_use", "id": "1"}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "42"}]},
        ],
        "system": [text("a"), text("b")],
        "tools": [{"name": "f"}],
    }
    assert outline(prompt(request, ApiFormat.MESSAGES)) == [
        ("tools", "tools[0]"),
        ("system", "system[0]"),
        ("system", "system[1]"),
        ("user", "messages[0].content"),
        ("thinking", "messages[1].content[0]"),
        ("tool_use", "messages[1].content[1]"),
        ("tool_result", "messages[2].content[0]"),
    ]


def test_responses_begin_with_their_instructions():
    request = {
        "instructions": "be brief",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "reasoning", "summary": []},
            {"type": "function_call", "call_id": "1"},
            {"type": "function_call_output", "call_id": "1", "output": "42"},
        ],
        "text": {"format": {"type": "json_schema"}, "verbosity": "low"},
        "reasoning": {"effort": "low"},
    }
    found = prompt(request, ApiFormat.RESPONSES)
    assert outline(found) == [
        ("format", "text.format"),
        ("system", "instructions"),
        ("user", "input[0].content[0]"),
        ("thinking", "input[1]"),
        ("tool_use", "input[2]"),
        ("tool_result", "input[3]"),
    ]
    assert found.settings == {"reasoning_effort": '"low"', "verbosity": '"low"'}


def test_geminis_parts_and_a_completions_text():
    request = {
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "contents": [
            {
                "role": "user",
                "parts": [{"text": "hi"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}],
            },
            {"role": "model", "parts": [{"functionCall": {"name": "f"}}]},
        ],
    }
    assert outline(prompt(request, ApiFormat.GEMINI)) == [
        ("system", "systemInstruction.parts[0]"),
        ("user", "contents[0].parts[0]"),
        ("image", "contents[0].parts[1]"),
        ("tool_use", "contents[1].parts[0]"),
    ]
    assert outline(prompt({"prompt": "once"}, ApiFormat.COMPLETIONS)) == [("user", "prompt")]


def test_white_space_is_nothing_but_the_order_of_keys_is():
    spaced = b'{ "messages" : [ {"role": "user",  "content": [ {"type":"text", "text":"a"} ]} ] }'
    found = read_prompt(ApiFormat.CHAT, spaced)
    assert [one.data for one in found.segments] == data({"messages": [{"role": "user", "content": "a"}]})
    shuffled = {"type": "function", "function": {"name": "f", "parameters": {"a": 2, "b": 1}}}
    assert data({"tools": [TOOL]}) != data({"tools": [shuffled]})


def test_a_text_is_the_same_by_itself_and_in_a_list():
    for api_format in (ApiFormat.CHAT, ApiFormat.MESSAGES):
        plain = {"messages": [{"role": "user", "content": "a"}]}
        listed = {"messages": [{"role": "user", "content": [text("a")]}]}
        assert data(plain, api_format) == data(listed, api_format)


def test_who_said_it_matters():
    assert data({"messages": [{"role": "user", "content": "a"}]}) != data(
        {"messages": [{"role": "assistant", "content": "a"}]}
    )


def test_marks_are_no_part_of_the_prompt_and_are_told():
    marked = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    request = {
        "tools": [{"name": "f", **marked}],
        "system": [{**text("a"), "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "tool_result", "content": [{**text("b"), **marked}]}]},
            {"role": "user", "content": "c"},
        ],
    }
    found = prompt(request, ApiFormat.MESSAGES)
    assert [segment.mark for segment in found.segments] == [Mark("1h"), Mark(), Mark("1h"), None]
    assert not any(b"cache_control" in segment.data for segment in found.segments)
    bare = json.loads(json.dumps(request).replace(json.dumps(marked)[1:-1], '"x":0'))
    assert len(prompt(bare, ApiFormat.MESSAGES).segments) == 4


def test_a_call_with_a_field_named_as_a_mark_keeps_it():
    call = {"type": "tool_use", "input": {"cache_control": {"type": "ephemeral"}}}
    [segment] = prompt({"messages": [{"role": "assistant", "content": [call]}]}, ApiFormat.MESSAGES).segments
    assert b"cache_control" in segment.data
    assert segment.mark is None


def test_an_automatic_mark_is_at_the_last_block_that_can_have_one():
    request = {
        "cache_control": {"type": "ephemeral"},
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "…"}]},
        ],
    }
    found = prompt(request, ApiFormat.MESSAGES)
    assert [segment.mark for segment in found.segments] == [Mark(automatic=True), None]


def test_an_explicit_breakpoint_is_a_mark():
    part = {**text("a"), "prompt_cache_breakpoint": {"mode": "explicit"}}
    found = prompt({"messages": [{"role": "user", "content": [part, text("b")]}]})
    assert [segment.mark for segment in found.segments] == [Mark(), None]


def test_eligible_are_user_messages_ends_of_tool_results_and_of_the_first_system_messages():
    found = prompt(
        {
            "messages": [
                {"role": "system", "content": "0"},
                {"role": "developer", "content": "1"},
                {"role": "user", "content": [text("2"), text("3")]},
                {"role": "assistant", "content": None, "tool_calls": [{"type": "function"}]},
                {"role": "tool", "content": "5"},
                {"role": "tool", "content": "6"},
                {"role": "assistant", "content": "7"},
                {"role": "system", "content": "8"},
            ]
        }
    )
    assert [index for index, segment in enumerate(found.segments) if segment.eligible] == [1, 3, 6]


@pytest.mark.parametrize(
    ("api_format", "block"),
    [
        (
            ApiFormat.CHAT,
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
        ),
        (
            ApiFormat.RESPONSES,
            {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "low"},
        ),
        (ApiFormat.MESSAGES, {"type": "image", "source": {"type": "base64", "data": PNG}, "detail": "low"}),
    ],
)
def test_an_image_is_its_hash_and_detail(api_format, block):
    key = "input" if api_format is ApiFormat.RESPONSES else "messages"

    def of(one):
        [segment] = prompt({key: [{"role": "user", "content": [one]}]}, api_format).segments
        return segment.data

    assert len(of(block)) < 250
    assert of(block) != of(json.loads(json.dumps(block).replace("low", "high")))
    assert of(block) != of(json.loads(json.dumps(block).replace(PNG, PNG[1:])))


def test_images_within_a_tools_result_are_told():
    image = {"type": "image", "source": {"type": "url", "url": "http://x/y"}}
    result = {"type": "tool_result", "content": [image]}
    request = {"messages": [{"role": "user", "content": [result]}]}
    assert prompt(request, ApiFormat.MESSAGES).settings == {"images": "true"}


def test_a_prompt_of_which_the_provider_has_a_part_is_not_whole():
    assert not prompt({"input": "a", "previous_response_id": "r"}, ApiFormat.RESPONSES).whole
    assert not prompt({"contents": [], "cachedContent": "c"}, ApiFormat.GEMINI).whole
    assert prompt({"input": "a"}, ApiFormat.RESPONSES).whole


def test_an_answer_becomes_what_the_client_sends_back():
    answer = {"role": "assistant", "content": "42", "refusal": None, "annotations": []}
    sent_back = {"messages": [{"role": "assistant", "content": "42"}]}
    body = json.dumps({"choices": [{"message": answer}]}).encode()
    assert [segment.data for segment in answer_segments(body)] == data(sent_back)
    assert answer_segments(b"{}") == answer_segments(b"}") == answer_segments(None) == ()


def test_formats_without_prompts_and_bodies_that_are_none():
    assert read_prompt(ApiFormat.EMBEDDINGS, b'{"input":"a"}') is None
    assert read_prompt(None, b"{}") is None
    assert read_prompt(ApiFormat.CHAT, None) is None
    for body in (
        b"",
        b"[]",
        b"{",
        b"\xff\x00",
        b"[" * 100_000,
        b'{"messages":' + b"[" * 900 + b"]" * 900 + b"}",
    ):
        assert read_prompt(ApiFormat.CHAT, body) is None or body.endswith(b"}")


NAMES = (
    *("messages", "role", "content", "type", "text", "tools", "system", "input", "instructions", "contents"),
    *(
        "parts",
        "prompt",
        "cache_control",
        "ttl",
        "source",
        "data",
        "image_url",
        "url",
        "tool_calls",
        "reasoning",
    ),
    *("response_format", "format", "generationConfig", "systemInstruction", "output_config", "functions"),
)
LEAVES = (
    None,
    True,
    0,
    -1.5,
    10**30,
    "",
    "user",
    "tool",
    "developer",
    "image",
    "tool_result",
    "data:x",
    "\ud800",
)


def anything(random, depth):
    kind = random.random()
    if depth == 0 or kind < 0.3:
        return random.choice(LEAVES)
    if kind < 0.55:
        return [anything(random, depth - 1) for _ in range(random.randrange(4))]
    return {random.choice(NAMES): anything(random, depth - 1) for _ in range(random.randrange(5))}


def test_no_request_raises():
    seed = random.randrange(2**32)
    source = random.Random(seed)
    for _ in range(4000):
        request = {name: anything(source, 5) for name in source.sample(NAMES, 6)}
        body = json.dumps(request).encode()
        if source.random() < 0.2:
            place = source.randrange(len(body))
            body = body[:place] + bytes([source.randrange(256)]) + body[place + 1 :]
        for api_format in FORMATS:
            found = read_prompt(api_format, body)
            assert found is None or all(segment.kind and segment.data for segment in found.segments), seed
        answer_segments(body)
