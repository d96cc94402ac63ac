"""Chat and text completion streams, as OpenAI and those who speak its format send them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_shared.record import ApiFormat
from lessllm_shared.sse import Event
from lessllm_shared.streams import Brings, stream_reader
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

TOP = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1763000000,
    "model": "gpt-5.4-2026-01-01",
}
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 12,
    "total_tokens": 21,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
}


def event(data, name=""):
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Event(name, text, b"", 0)


def chunk(delta=None, *, index=0, finish_reason=None, **more):
    choice = {"index": index, "delta": delta or {}, "logprobs": None, "finish_reason": finish_reason}
    return {**TOP, "choices": [choice], **more}


def read(*chunks, api_format=ApiFormat.CHAT, done=True):
    reader = stream_reader(api_format)
    brings = [reader.add(event(data)) for data in chunks]
    if done:
        reader.add(event(b"[DONE]"))
    return reader, brings


def message_of(reader):
    return reader.answer()["choices"][0]["message"]


def test_text_with_usage_in_a_last_chunk_of_its_own():
    reader, brings = read(
        chunk(
            {"role": "assistant", "content": "", "refusal": None}, service_tier="default", obfuscation="aB3"
        ),
        chunk({"content": "Hello"}, service_tier="default", usage=None),
        chunk({"content": " world"}, service_tier="default", usage=None, obfuscation="x"),
        chunk({}, finish_reason="stop", service_tier="default", usage=None),
        {**TOP, "choices": [], "usage": USAGE, "service_tier": "default"},
    )
    assert brings == [Brings.NOTHING, Brings.CONTENT, Brings.CONTENT, Brings.NOTHING, Brings.NOTHING]
    assert reader.finished
    assert reader.unknown_events == 0
    assert reader.answer() == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1763000000,
        "model": "gpt-5.4-2026-01-01",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hello world",
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "service_tier": "default",
        "usage": USAGE,
    }


def test_tool_calls_lose_their_index_and_content_is_null():
    reader, brings = read(
        chunk({"role": "assistant", "content": None}),
        chunk(
            {
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "f", "arguments": ""},
                    }
                ]
            }
        ),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
        chunk(
            {
                "tool_calls": [
                    {
                        "index": 1,
                        "id": "call_2",
                        "type": "function",
                        "function": {"name": "g", "arguments": "{}"},
                    }
                ]
            }
        ),
        chunk({}, finish_reason="tool_calls"),
    )
    assert brings[1:5] == [Brings.NOTHING, Brings.CONTENT, Brings.CONTENT, Brings.CONTENT]
    assert message_of(reader) == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    }


def test_ids_and_names_that_are_repeated_in_every_chunk_do_not_grow():
    call = {"index": 0, "id": "call_1", "type": "function"}
    reader, _ = read(
        chunk(
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{**call, "function": {"name": "f", "arguments": "{"}}],
            }
        ),
        chunk({"role": "assistant", "tool_calls": [{**call, "function": {"name": "f", "arguments": "}"}}]}),
    )
    message = message_of(reader)
    assert message["role"] == "assistant"
    assert message["content"] is None
    assert message["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]


@pytest.mark.parametrize("index", [{}, {"index": 0}])
def test_whole_tool_calls_without_an_index_of_their_own_stay_apart(index):
    calls = [
        {**index, "id": f"call_{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for n in (1, 2)
    ]
    reader, _ = read(chunk({"tool_calls": [calls[0]]}), chunk({"tool_calls": [calls[1]]}))
    assert [call["id"] for call in message_of(reader)["tool_calls"]] == ["call_1", "call_2"]


def test_reasoning_is_no_content_but_is_gathered():
    reader, brings = read(
        chunk({"role": "assistant", "content": None, "reasoning_content": ""}),
        chunk({"content": None, "reasoning_content": "Let me "}),
        chunk({"content": None, "reasoning_content": "see"}),
        chunk({"content": "Yes", "reasoning_content": None}),
        chunk(
            {"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "h", "index": 0}]}
        ),
        chunk({"reasoning_details": [{"type": "reasoning.text", "text": "m", "index": 0, "signature": "s"}]}),
    )
    assert [int(b) for b in brings] == [0, 1, 1, 2, 1, 0]
    message = message_of(reader)
    assert message["reasoning_content"] == "Let me see"
    assert message["reasoning_details"] == [
        {"type": "reasoning.text", "text": "hm", "index": 0, "signature": "s"}
    ]


def test_several_choices_are_kept_apart_and_in_order():
    reader, _ = read(
        chunk({"role": "assistant", "content": "b"}, index=1),
        chunk({"role": "assistant", "content": "a"}),
        chunk({"content": "B"}, index=1),
        chunk({}, index=1, finish_reason="length"),
        chunk({}, finish_reason="stop"),
    )
    choices = reader.answer()["choices"]
    assert [(c["index"], c["message"]["content"], c["finish_reason"]) for c in choices] == [
        (0, "a", "stop"),
        (1, "bB", "length"),
    ]


def test_logprobs_annotations_and_unknown_fields_are_kept():
    first = chunk(
        {"role": "assistant", "content": "a", "annotations": [{"type": "url_citation"}], "mood": "go"}
    )
    first["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -0.1}], "refusal": None}
    second = chunk({"content": "b", "annotations": [{"type": "file"}], "mood": "od"}, matched_stop=7)
    second["choices"][0]["logprobs"] = {"content": [{"token": "b", "logprob": -0.2}], "refusal": None}
    second["choices"][0]["stop_reason"] = 128
    reader, _ = read(first, second)
    (choice,) = reader.answer()["choices"]
    assert choice["logprobs"] == {
        "content": [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -0.2}],
        "refusal": None,
    }
    assert choice["stop_reason"] == 128
    assert choice["message"]["annotations"] == [{"type": "url_citation"}, {"type": "file"}]
    assert choice["message"]["mood"] == "good"
    assert reader.answer()["matched_stop"] == 7


def test_audio_is_content():
    reader, brings = read(
        chunk({"role": "assistant", "audio": {"id": "audio_1", "transcript": "He"}}),
        chunk({"audio": {"data": "AAA="}}),
        chunk({"audio": {"transcript": "llo"}}),
        chunk({"audio": {"expires_at": 1763000001}}),
    )
    assert [int(b) for b in brings] == [2, 2, 2, 0]
    assert message_of(reader)["audio"] == {
        "id": "audio_1",
        "transcript": "Hello",
        "data": "AAA=",
        "expires_at": 1763000001,
    }


def test_refusal_and_function_call_are_content():
    reader, brings = read(
        chunk({"role": "assistant", "content": None, "refusal": "I can't"}),
        chunk({"refusal": " help"}),
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}),
    )
    assert [int(b) for b in brings] == [2, 2, 0, 2]
    message = message_of(reader)
    assert (message["refusal"], message["function_call"]) == (
        "I can't help",
        {"name": "f", "arguments": "{}"},
    )


def test_a_custom_tools_input_is_content():
    custom = {"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "sql", "input": ""}}
    reader, brings = read(
        chunk({"tool_calls": [custom]}),
        chunk({"tool_calls": [{"index": 0, "custom": {"input": "select 1"}}]}),
    )
    assert [int(b) for b in brings] == [0, 2]
    assert message_of(reader)["tool_calls"][0]["custom"] == {"name": "sql", "input": "select 1"}


def test_azures_first_chunk_and_its_late_filter_results():
    filters = {"hate": {"filtered": False, "severity": "safe"}}
    azure = {"id": "", "object": "", "created": 0, "model": ""}
    late = {
        "index": 0,
        "finish_reason": None,
        "content_filter_results": filters,
        "content_filter_offsets": {"check_offset": 44},
    }
    reader, brings = read(
        {
            **azure,
            "choices": [],
            "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": filters}],
        },
        chunk({"role": "assistant", "content": "Hi"}),
        {**azure, "choices": [late]},
        chunk({}, finish_reason="stop"),
        {**azure, "choices": [late]},
    )
    assert [int(b) for b in brings] == [0, 2, 0, 0, 0]
    answer = reader.answer()
    assert (answer["id"], answer["model"], answer["created"]) == (TOP["id"], TOP["model"], TOP["created"])
    assert answer["prompt_filter_results"] == [{"prompt_index": 0, "content_filter_results": filters}]
    assert answer["choices"][0]["content_filter_results"] == filters
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_usage_of_kimi_and_groq_is_lifted_to_where_it_is_without_streaming():
    kimi = chunk({}, finish_reason="stop")
    kimi["choices"][0]["usage"] = USAGE
    answer = read(chunk({"content": "Hi"}), kimi)[0].answer()
    assert answer["usage"] == USAGE
    assert "usage" not in answer["choices"][0]
    answer = read(
        chunk({"content": "Hi"}, x_groq={"id": "req_1"}),
        chunk({}, finish_reason="stop", x_groq={"id": "req_1", "usage": USAGE}),
    )[0].answer()
    assert (answer["usage"], answer["x_groq"]) == (USAGE, {"id": "req_1"})


def test_mistrals_thinking_parts_are_joined():
    def thinks(text):
        return chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]})

    reader, brings = read(
        chunk({"role": "assistant", "content": ""}),
        thinks("Hm"),
        thinks("m"),
        chunk({"content": "Yes"}),
        chunk({"content": "!"}),
    )
    assert [int(b) for b in brings] == [0, 1, 1, 2, 2]
    assert message_of(reader)["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hmm"}]},
        {"type": "text", "text": "Yes!"},
    ]


def test_an_error_after_a_200_is_kept_as_it_came():
    error = {"error": {"message": "The server had an error", "type": "server_error", "code": None}}
    reader, brings = read(chunk({"content": "He"}), error, done=False)
    assert reader.error == error
    assert not reader.finished
    assert brings == [Brings.CONTENT, Brings.NOTHING]
    assert message_of(reader)["content"] == "He"


def test_a_stream_without_done_is_not_finished():
    reader, _ = read(chunk({"content": "He"}), done=False)
    assert not reader.finished


def test_what_is_no_chunk_is_counted_and_skipped():
    reader = stream_reader(ApiFormat.CHAT)
    for data in (b"{", b"[]", b"null", b"7"):
        assert reader.add(event(data)) is Brings.NOTHING
    assert reader.add(event(b"")) is Brings.NOTHING  # a comment
    assert reader.unknown_events == 4
    assert reader.answer() is None


def test_lone_surrogates_and_nan_are_tolerated():
    reader, _ = read()
    reader.add(event(b'{"choices": [{"index": 0, "delta": {"content": "a\\ud800b"}, "score": NaN}]}'))
    (choice,) = reader.answer()["choices"]
    assert choice["message"]["content"] == "a�b"
    assert choice["score"] is None


def test_completions_grow_by_text():
    top = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "gpt-3.5-turbo-instruct"}

    def text(value, finish_reason=None, logprobs=None):
        return {
            **top,
            "choices": [{"text": value, "index": 0, "logprobs": logprobs, "finish_reason": finish_reason}],
        }

    reader, brings = read(
        text("He", logprobs={"tokens": ["He"], "token_logprobs": [-0.5], "text_offset": [0]}),
        text("llo", logprobs={"tokens": ["llo"], "token_logprobs": [-0.1], "text_offset": [2]}),
        text("", "stop"),
        {**top, "choices": [], "usage": USAGE},
        api_format=ApiFormat.COMPLETIONS,
    )
    assert [int(b) for b in brings] == [2, 2, 0, 0]
    logprobs = {"tokens": ["He", "llo"], "token_logprobs": [-0.5, -0.1], "text_offset": [0, 2]}
    choice = {"text": "Hello", "index": 0, "logprobs": logprobs, "finish_reason": "stop"}
    assert reader.answer() == {**top, "choices": [choice], "usage": USAGE}


pieces = st.lists(st.text(max_size=4), max_size=4)


@st.composite
def choice_deltas(draw):
    """The deltas of one choice as OpenAI documents them."""
    deltas = [{"role": "assistant", "content": draw(st.sampled_from(["", None])), "refusal": None}]
    for field in ("content", "refusal"):
        deltas += [{field: piece} for piece in draw(pieces)]
    for index in range(draw(st.integers(0, 3))):
        function = {"name": draw(st.text(min_size=1, max_size=3)), "arguments": ""}
        deltas.append(
            {
                "tool_calls": [
                    {"index": index, "id": f"call_{index}", "type": "function", "function": function}
                ]
            }
        )
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in draw(pieces)
        ]
    return [(delta, None) for delta in deltas] + [({}, draw(st.sampled_from(["stop", "tool_calls"])))]


@given(st.lists(choice_deltas(), min_size=1, max_size=3))
def test_the_answer_is_what_the_official_sdk_gathers(choices):
    # Round robin, as n > 1 comes.
    longest = max(map(len, choices))
    chunks = [
        chunk(deltas[step][0], index=index, finish_reason=deltas[step][1])
        for step in range(longest)
        for index, deltas in enumerate(choices)
        if step < len(deltas)
    ] + [{**TOP, "choices": [], "usage": USAGE}]
    state = ChatCompletionStreamState()
    for data in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(data))
    theirs = state.get_final_completion().to_dict()
    ours = read(*chunks)[0].answer()
    assert ours["usage"] == theirs["usage"]
    assert (ours["id"], ours["model"], ours["object"]) == (theirs["id"], theirs["model"], theirs["object"])
    for our, their in zip(ours["choices"], theirs["choices"], strict=True):
        assert (our["index"], our["finish_reason"]) == (their["index"], their["finish_reason"])
        assert (our["message"]["content"] or "") == (their["message"].get("content") or "")
        assert (our["message"].get("refusal") or "") == (their["message"].get("refusal") or "")
        their_calls = their["message"].get("tool_calls") or []
        calls = [
            {k: v for k, v in call.items() if k not in ("index", "parsed_arguments")} for call in their_calls
        ]
        for call in calls:
            call["function"].pop("parsed_arguments", None)
        assert our["message"].get("tool_calls", []) == calls
