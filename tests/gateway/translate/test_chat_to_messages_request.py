"""Chat requests become messages requests, as Anthropic documents them; what can't is refused by name.

Where a known bug of another gateway is held off, its number stands at the test.
"""

import base64

import pytest
from gateway.translate.asking_claude import (
    HELLO,
    WEATHER,
    call,
    calling,
    content,
    left_out,
    refusal,
    result,
    sent,
    text,
    turns,
)
from lessllm_gateway.errors import Rejection

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


def user(*parts):
    return {"role": "user", "content": list(parts)}


def test_a_plain_request_has_what_anthropic_wants_and_nothing_else():
    assert sent() == {
        "model": "claude-sonnet-4-6",
        "max_tokens": 128_000,
        "messages": [{"role": "user", "content": [text("Hello")]}],
        "stream": False,
    }


@pytest.mark.parametrize("body", [b"[]", b"{", b'"x"', b"null", b"\xff", b'{"a":' + b"[" * 5000])
def test_what_is_no_json_object_is_refused(body):
    with pytest.raises(Rejection) as caught:
        call(body)
    assert caught.value.status == 400


# --- Messages ---------------------------------------------------------------------------------------------


def test_system_and_developer_messages_go_before_everything():
    request = sent(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [text("Be kind.")]},
            *HELLO,
        ]
    )
    assert request["system"] == [text("Be brief."), text("Be kind.")]
    assert [turn["role"] for turn in request["messages"]] == ["user"]


def test_a_late_system_message_goes_before_everything_where_the_model_takes_none_later():
    late = [
        *HELLO,
        {"role": "assistant", "content": "Hi."},
        {"role": "system", "content": "Be brief."},
        *HELLO,
    ]
    request = sent(late, model="claude-sonnet-5")
    assert request["system"] == [text("Be brief.")]
    assert [turn["role"] for turn in request["messages"]] == ["user", "assistant", "user"]


def test_a_late_system_message_stays_behind_the_users_turn_where_the_model_takes_it():
    # Moved to the front it would change what every later thinking block is bound to.
    late = [
        {"role": "system", "content": "Be kind."},
        *HELLO,
        calling(("c1", "get_weather", "{}")),
        {"role": "system", "content": "Be brief."},
        result("c1"),
        {"role": "assistant", "content": "Warm."},
        {"role": "developer", "content": "Be very brief."},
        *HELLO,
    ]
    request = sent(late, model=OPUS_4_8, tools=[WEATHER])
    assert request["system"] == [text("Be kind.")]
    roles = [turn["role"] for turn in request["messages"]]
    assert roles == ["user", "assistant", "user", "system", "assistant", "user", "system"]
    assert request["messages"][-1]["content"] == [text("Be very brief.")]


def test_messages_of_one_role_in_a_row_are_one_turn():
    said = turns(
        *HELLO,
        *HELLO,
        {"role": "assistant", "content": "Hi"},
        {"role": "assistant", "content": "there."},
        *HELLO,
    )
    assert [(turn["role"], len(turn["content"])) for turn in said] == [
        ("user", 2),
        ("assistant", 2),
        ("user", 1),
    ]


@pytest.mark.parametrize("empty", ["", "  \n", [], [text("")], [text(" ")], None])
def test_text_that_says_nothing_is_left_out_for_anthropic_refuses_it(empty):  # litellm 23835, 22930
    assert turns({"role": "user", "content": empty}, *HELLO) == [{"role": "user", "content": [text("Hello")]}]


def test_a_request_without_any_turn_is_refused():
    assert refusal([]).startswith("messages: must hold a message of a user")
    assert refusal([{"role": "system", "content": "Be brief."}]).startswith("messages: must hold")


@pytest.mark.parametrize(
    ("messages", "where"),
    [
        ("Hello", "messages"),
        (["Hello"], "messages[0]"),
        ([{"role": "robot", "content": "Hello"}], "messages[0].role"),
        ([{"role": "function", "name": "f", "content": "1"}], "messages[0].role"),
        ([{"role": "user", "content": 5}], "messages[0].content"),
        ([{"role": "user", "content": ["Hello"]}], "messages[0].content[0]"),
        ([{"role": "assistant", "tool_calls": "x"}], "messages[0].tool_calls"),
        ([{"role": "assistant", "tool_calls": ["x"]}], "messages[0].tool_calls[0]"),
        ([user({"type": "image_url", "image_url": {"url": "cat.png"}})], "messages[0].content[0].image_url"),
        (
            [user({"type": "file", "file": {"file_data": "data:text/plain;base64,x"}})],
            "messages[0].content[0].file",
        ),
    ],
)
def test_a_message_of_another_form_is_refused_by_its_place(messages, where):
    assert refusal(messages).startswith(f"{where}: ")


def test_a_last_turn_of_the_assistant_is_continued_and_ends_without_white_space():
    said = turns(*HELLO, {"role": "assistant", "content": "The answer is \n"}, model=HAIKU_3)
    assert said[-1] == {"role": "assistant", "content": [text("The answer is")]}


def test_a_refusal_of_before_is_what_the_assistant_said():
    said = turns(*HELLO, {"role": "assistant", "content": None, "refusal": "I can't."}, *HELLO)
    assert said[1]["content"] == [text("I can't.")]
    said = turns(*HELLO, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, *HELLO)
    assert said[1]["content"] == [text("No.")]


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ({"role": "user", "name": "ann", "content": "Hello"}, "messages.name"),
        (user({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}), "input_audio"),
        (user({"type": "video_url"}), "video_url"),
        ({"role": "assistant", "audio": {"id": "a"}}, "audio"),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}, "function_call"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {}}]}, "tool_calls"),
        (
            user({"type": "file", "file": {"file_data": "data:application/zip;base64,AA=="}}),
            "file",
        ),
    ],
)
def test_what_a_message_can_not_hold_there_is_refused_or_left_out_by_name(message, name):
    assert refusal([*HELLO, message]).startswith(f"{name}: messages[1]")
    request, names = left_out([*HELLO, message])
    assert names == name
    assert request["messages"][0]["content"][0] == text("Hello")


# --- Images and files -------------------------------------------------------------------------------------


def image(url, **fields):
    return {"type": "image_url", "image_url": {"url": url}, **fields}


def base64_of(media_type, data):
    return {"type": "base64", "media_type": media_type, "data": data}


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://example.com/cat.png", {"type": "url", "url": "https://example.com/cat.png"}),
        (f"data:image/png;base64,{PNG}", base64_of("image/png", PNG)),
        (f"data:image/jpg;base64,{PNG}", base64_of("image/jpeg", PNG)),
        (f"data:image/webp;charset=x;base64,{PNG}", base64_of("image/webp", PNG)),
        ("data:image/gif,GIF%38", base64_of("image/gif", base64.b64encode(b"GIF8").decode())),
    ],
)
def test_images_go_by_url_or_in_base64(url, source):
    assert content(user(text("See:"), image(url))) == [text("See:"), {"type": "image", "source": source}]


@pytest.mark.parametrize(
    ("file", "block"),
    [
        (
            {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
            {"source": base64_of("application/pdf", "JVBERi0="), "title": "a.pdf"},
        ),
        ({"file_data": "JVBERi0="}, {"source": base64_of("application/pdf", "JVBERi0=")}),
        (
            {"filename": "a.md", "file_data": "data:text/markdown;base64,IyBI"},
            {"source": {"type": "text", "media_type": "text/plain", "data": "# H"}, "title": "a.md"},
        ),
        ({"file_id": "file_011"}, {"source": {"type": "file", "file_id": "file_011"}}),
        (
            {"file_id": "https://example.com/a.pdf"},
            {"source": {"type": "url", "url": "https://example.com/a.pdf"}},
        ),
    ],
)
def test_files_are_documents(file, block):
    assert content(user({"type": "file", "file": file})) == [{"type": "document", **block}]


def test_the_detail_of_an_image_is_left_out_and_named():
    part = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png", "detail": "low"}}
    assert left_out([user(part)], drops=False)[1] == "image_url.detail"


# --- Caching ----------------------------------------------------------------------------------------------


def test_cache_marks_stay_where_they_were():  # portkey 1140, 1593
    request = sent(
        [
            {"role": "system", "content": [text("Be brief.", cache_control=CACHED)]},
            user(text("One", cache_control=CACHED), image("https://example.com/1.png", cache_control=CACHED)),
            calling(("c1", "get_weather", "{}")),
            result("c1", [text("21 °C", cache_control=CACHED)]),
        ],
        tools=[{**WEATHER, "cache_control": CACHED}],
        cache_control={"type": "ephemeral"},
    )
    assert request["system"][0]["cache_control"] == CACHED
    assert [block["cache_control"] for block in request["messages"][0]["content"]] == [CACHED, CACHED]
    assert request["tools"][0]["cache_control"] == CACHED
    assert request["cache_control"] == {"type": "ephemeral"}
    (answer,) = request["messages"][2]["content"]  # within a result Anthropic marks nothing
    assert (answer["cache_control"], answer["content"]) == (CACHED, [text("21 °C")])


def test_a_mark_on_a_message_or_a_function_is_one_on_its_block():
    request = sent(
        [
            {"role": "system", "content": "Be brief.", "cache_control": CACHED},
            {"role": "user", "content": [text("a"), text("b")], "cache_control": CACHED},
        ],
        tools=[{"type": "function", "function": {"name": "f", "cache_control": CACHED}}],
    )
    assert request["system"] == [text("Be brief.", cache_control=CACHED)]
    assert request["messages"][0]["content"] == [text("a"), text("b", cache_control=CACHED)]
    assert request["tools"][0]["cache_control"] == CACHED


def test_openais_own_mark_becomes_anthropics():
    part = text("Hello", prompt_cache_breakpoint={"mode": "explicit"})
    assert content(user(part)) == [text("Hello", cache_control={"type": "ephemeral"})]
