"""What holds for every conversation, every answer and every cut of a stream, and for what is none of them."""

import contextlib
import json
import string

import pytest
from gateway.translate.claude import (
    ASKED,
    asked_translation,
    assert_order,
    call,
    chunk,
    events_of,
    final,
    parsed,
    sent,
    stream,
    translated,
    translation,
    usage,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from lessllm_gateway.errors import Rejection
from lessllm_gateway.translate.chat_to_messages import ChatToMessages
from lessllm_gateway.translate.traits import call_id
from lessllm_gateway.translate.translation import Wanted
from lessllm_shared.providers import PRESETS
from lessllm_shared.sse import EventParser
from lessllm_shared.streams.chat import ChatReader

PROVIDERS = [name for name, preset in PRESETS.items() if preset.format == "openai"]
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
inputs = st.dictionaries(words, json_values, max_size=3)
tool_names = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=80)
ids = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=50)
calls = st.lists(st.tuples(ids, tool_names, inputs), max_size=3, unique_by=lambda c: c[0])


@st.composite
def conversations(draw):
    """Turns of a user and an assistant, whose calls are answered."""
    turns, seen = [], set()
    for _ in range(draw(st.integers(1, 3))):
        turns.append(
            {
                "role": "user",
                "content": draw(words | st.lists(words.map(block_of_text), min_size=1, max_size=2)),
            }
        )
        said = draw(st.lists(words, max_size=2))
        called = [c for c in draw(calls) if c[0] not in seen]  # an id is of one call only
        seen |= {c[0] for c in called}
        blocks = [*map(block_of_text, said), *(tool_use(*c) for c in called)]
        if not blocks:
            continue
        turns.append({"role": "assistant", "content": blocks})
        if called:
            turns.append({"role": "user", "content": [result(c[0], draw(words)) for c in called]})
    return [*turns, {"role": "user", "content": "Go on."}]


def block_of_text(said):
    return {"type": "text", "text": said}


def tool_use(call_id, name, given):
    return {"type": "tool_use", "id": call_id, "name": name, "input": given}


def result(call_id, said):
    return {"type": "tool_result", "tool_use_id": call_id, "content": said}


@given(conversations(), st.sampled_from(PROVIDERS))
@settings(max_examples=60, deadline=None)
def test_a_conversation_keeps_its_words_calls_and_results_in_order(turns, provider):
    messages = sent({"messages": turns}, "some-model", provider)["messages"]
    assert heard(messages) == told(turns)
    open_ids: list[str] = []
    for message in messages:  # as OpenAI checks it
        if message["role"] == "tool":
            open_ids.remove(message["tool_call_id"])
        else:
            assert not open_ids
            open_ids = [c["id"] for c in message.get("tool_calls", ())]


def told(turns):
    """What is said in Anthropic's form: texts, calls and results."""
    said = []
    for turn in turns:
        content = turn["content"]
        for block in [block_of_text(content)] if isinstance(content, str) else content:
            if block["type"] == "text":
                said.append(block["text"])
            elif block["type"] == "tool_use":
                said.append((block["name"][:50], json.dumps(block["input"])))
            else:
                given = block["content"]
                said.append(
                    ("result", given if isinstance(given, str) else "".join(b["text"] for b in given))
                )
    return squeezed(said)


def heard(messages):
    """The same of chat messages."""
    said = []
    for message in messages:
        if message["role"] == "tool":
            said.append(("result", message["content"]))
            continue
        said.append(message["content"] or "")
        said += [
            (c["function"]["name"][:50], json.dumps(json.loads(c["function"]["arguments"])))
            for c in message.get("tool_calls", ())
        ]
    return squeezed(said)


def squeezed(said):
    """Neighbouring texts as one, without what separates them."""
    joined = []
    for item in said:
        if isinstance(item, str) and joined and isinstance(joined[-1], str):
            joined[-1] += item
        else:
            joined.append(item)
    return [item.replace("\n", "") if isinstance(item, str) else item for item in joined if item != ""]


@st.composite
def answers(draw):
    """An upstream's deltas: thinking, text and calls, whose pieces may be interleaved; and what they say."""
    thinking, said, called = draw(st.lists(words, max_size=2)), draw(st.lists(words, max_size=3)), draw(calls)
    deltas = [{"reasoning_content": piece} for piece in thinking] + [{"content": piece} for piece in said]
    queues = []
    for index, (given_id, name, input_) in enumerate(called):
        written = json.dumps(input_)
        cuts = sorted(draw(st.lists(st.integers(0, len(written)), max_size=3)))
        pieces = [written[i:j] for i, j in zip([0, *cuts], [*cuts, len(written)], strict=True)]
        queues.append(
            [call(index, "", id=given_id, type="function", name=name), *(call(index, p) for p in pieces)]
        )
    while queues:
        queue = queues[draw(st.integers(0, len(queues) - 1)) if draw(st.booleans()) else 0]
        deltas.append(queue.pop(0))
        queues = [q for q in queues if q]
    return deltas, "".join(thinking), "".join(said), called


@given(answers(), st.integers(0, 1000), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_an_answer_keeps_what_is_said_whatever_the_order_of_its_pieces_and_the_cuts_of_its_bytes(
    answer, tokens, step
):
    deltas, thinking, said, called = answer
    finish = "tool_calls" if called else "stop"
    data = stream(
        chunk({"role": "assistant"}), *(chunk(delta) for delta in deltas), chunk({}, finish), usage(tokens, 3)
    )
    out = translated(data)
    assert translated(data, step=step) == out
    assert_order(events_of(out))
    message = final(out)
    blocks = message.to_dict()["content"]
    by_kind = {kind: [b for b in blocks if b["type"] == kind] for kind in ("thinking", "text", "tool_use")}
    assert "".join(b["thinking"] for b in by_kind["thinking"]) == thinking
    assert "".join(b["text"] for b in by_kind["text"]) == said
    assert sorted_calls((b["id"], b["name"], b["input"]) for b in by_kind["tool_use"]) == sorted_calls(called)
    assert message.usage.input_tokens == tokens
    assert message.stop_reason == ("tool_use" if called else "end_turn")


def sorted_calls(found):
    return sorted(tuple(map(json.dumps, item)) for item in found)


@given(answers())
@settings(max_examples=50, deadline=None)
def test_a_plain_answer_says_what_the_stream_says(answer):
    deltas, _, _, called = answer
    data = stream(
        chunk({"role": "assistant"}),
        *(chunk(d) for d in deltas),
        chunk({}, "tool_calls" if called else "stop"),
        usage(7, 3),
    )
    reader = ChatReader()
    for event in EventParser().feed(data):
        reader.add(event)
    plain, streamed = asked_translation().answer(reader.answer()), final(translated(data)).to_dict()
    assert in_order(plain["content"]) == in_order(streamed["content"])
    assert plain["stop_reason"] == streamed["stop_reason"]
    assert plain["usage"]["input_tokens"] == streamed["usage"]["input_tokens"]


def in_order(blocks):
    """Calls begin in a stream in the order in which their first pieces came."""
    return sorted(json.dumps(block, sort_keys=True) for block in blocks)


@given(answers(), st.data())
@settings(max_examples=50, deadline=None)
def test_a_stream_that_is_cut_off_anywhere_never_ends_as_if_it_were_whole(answer, data):
    whole = stream(chunk({"role": "assistant"}), *(chunk(d) for d in answer[0]), done=False)
    cut = data.draw(st.integers(0, len(whole)))
    events = events_of(translated(whole[:cut]))
    assert events[-1]["type"] == "error"
    assert all(event["type"] not in {"message_delta", "message_stop"} for event in events)


KINDS = ["text", "image", "tool_use", "tool_result", "user", "assistant", "auto"]
NAMES = ["type", "role", "content", "text", "source", "input", "name", "id", "tool_use_id", "input_schema"]
CHUNK_NAMES = [
    "index",
    "delta",
    "choices",
    "tool_calls",
    "function",
    "arguments",
    "finish_reason",
    "usage",
    "error",
    "message",
]
FIELDS = [
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "metadata",
    "max_tokens",
    "stop_sequences",
    "temperature",
    "service_tier",
    "mcp_servers",
    "context_management",
    "model",
    "stream",
]
anything = st.recursive(
    scalars | st.floats() | st.sampled_from(KINDS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(words | st.sampled_from([*NAMES, *CHUNK_NAMES]), inner, max_size=5)
    ),
    max_leaves=25,
)
fields = st.sampled_from(FIELDS)


@given(st.dictionaries(fields, anything, max_size=4), st.booleans(), st.sampled_from(PROVIDERS))
@settings(max_examples=150, deadline=None)
def test_no_request_raises_anything_but_a_rejection(asked, drops, provider):
    it = translation("gpt-5.6", provider, drops=drops)
    try:
        json.loads(it.request(json.dumps({**ASKED, **asked}).encode()))
    except Rejection as rejection:
        status = rejection.status
    else:
        status = 400
    assert status == 400
    it.wanted.dropped_header().decode("ascii")


@given(anything)
@settings(max_examples=150, deadline=None)
def test_no_answer_raises_anything_but_what_is_promised(value):
    it = asked_translation()
    chunks = value if isinstance(value, list) else [value]
    data = b"".join(
        b"data: %b\n\n" % json.dumps(item).encode() for item in [chunk({"content": "x"}), *chunks]
    )
    events = events_of(translated(data, it))
    assert events[0]["type"] == "message_start"
    status, body = it.error(500, json.dumps(value).encode())
    assert (status, json.loads(body)["type"]) == (500, "error")
    for completion in (
        value,
        {"choices": [{"message": value}]},
        {"choices": [{"message": {"tool_calls": [value], "content": value}}], "usage": value},
    ):
        if isinstance(completion, dict):
            with contextlib.suppress(ValueError):
                parsed(it.answer(completion))


@given(anything)
@settings(max_examples=80, deadline=None)
def test_no_delta_breaks_the_order_of_events(value):
    deltas = value if isinstance(value, list) else [value]
    chunks = [
        chunk({"role": "assistant"}),
        *({**chunk(), "choices": [{"index": 0, "delta": d}]} for d in deltas),
        chunk({}, "stop"),
    ]
    assert_order(events_of(translated(stream(*chunks))))


@given(st.binary(max_size=60))
@settings(max_examples=80, deadline=None)
def test_no_bytes_raise_anything_but_what_is_promised(data):
    assert events_of(translated(data))[-1]["type"] in {"error", "message_stop"}
    asked_translation().error(400, data)
    with pytest.raises(Rejection):
        translation().request(data)


def back_to_messages(*, streaming=True):
    """The other direction, for the same call."""
    wanted = Wanted("claude-opus-4-8", streaming, includes_usage=True, drops=False)
    return ChatToMessages(wanted)


@given(conversations())
@settings(max_examples=60, deadline=None)
def test_a_conversation_is_the_same_after_both_directions(turns):
    chat = translation("gpt-4o", "openai").request(json.dumps({**ASKED, "messages": turns}).encode())
    body = {key: value for key, value in json.loads(chat).items() if key != "stream_options"}
    again = json.loads(back_to_messages().request(json.dumps(body).encode()))["messages"]
    assert told(again) == told(turns)
    assert ids_in(again) == [call_id(given, ".{1,40}") for given in ids_in(turns)]


def ids_in(turns):
    """Of calls and results, in order."""
    blocks = [block for turn in turns if isinstance(turn["content"], list) for block in turn["content"]]
    found = [block.get("id") or block.get("tool_use_id") for block in blocks]
    return [given for given in found if given]


@given(answers(), st.integers(0, 500), st.integers(0, 500), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_an_answer_is_the_same_after_both_directions(answer, fresh, cached, step):
    deltas, thinking, said, called = answer
    finish = "tool_calls" if called else "stop"
    last = usage(fresh + cached, 3, prompt_tokens_details={"cached_tokens": cached})
    data = stream(chunk({"role": "assistant"}), *(chunk(delta) for delta in deltas), chunk({}, finish), last)
    far = back_to_messages()
    far.request(json.dumps({"model": "x", "messages": [{"role": "user", "content": "?"}]}).encode())
    chat = translated_by(far.stream(), translated(data), step)
    reader = ChatReader()
    for event in EventParser().feed(chat):
        reader.add(event)
    got = reader.answer()
    message = got["choices"][0]["message"]
    assert reader.finished
    assert (message.get("reasoning_content") or "") == thinking
    assert (message.get("content") or "") == said
    calls_back = [
        (c["id"], c["function"]["name"], json.loads(c["function"]["arguments"]))
        for c in message.get("tool_calls", ())
    ]
    assert sorted_calls(calls_back) == sorted_calls(called)
    assert got["choices"][0]["finish_reason"] == finish
    counts = got["usage"]
    assert (counts["prompt_tokens"], counts["completion_tokens"]) == (fresh + cached, 3)
    assert counts["prompt_tokens_details"]["cached_tokens"] == cached


def translated_by(transform, data, step):
    fed = b"".join(transform.feed(data[i : i + step]) for i in range(0, len(data), step))
    return fed + transform.finish()
