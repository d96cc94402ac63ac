"""Whatever is said: a round trip keeps it, borders of reads don't show, nothing raises what it may not."""

import itertools
import json

from gateway.translate.anything import ODD, ODD_OBJECT, WORDS
from gateway.translate.asking_claude import (
    HELLO,
    MODEL,
    WEATHER,
    answered,
    call,
    called,
    chunks,
    closed,
    ended,
    opened,
    said,
    sent,
    start,
    streamed,
    thought,
    turns,
    wire,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from lessllm.simulator.anthropic import checks
from lessllm.simulator.anthropic.requests import MessagesRequest
from lessllm_gateway.errors import Rejection
from lessllm_shared.sse import EventParser
from lessllm_shared.streams.chat import ChatReader

freely = settings(deadline=None)  # on a busy machine one example may take long

MODELS = [
    MODEL,
    "claude-opus-5-5",
    "claude-sonnet-4-5",
    "claude-opus-4-1",
    "claude-3-haiku-20240307",
    "glm-5",
]
TEXT = st.text(min_size=1, max_size=30).filter(str.strip)
NUMBER = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
INPUT = st.dictionaries(st.text(max_size=8), JSON, max_size=3)
COUNT = st.integers(0, 10**6)

# --- Round trips ------------------------------------------------------------------------------------------

TEXT_BLOCK = st.builds(lambda said: {"type": "text", "text": said}, TEXT)
THOUGHT = st.builds(
    lambda thinking, signature: {"type": "thinking", "thinking": thinking, "signature": signature},
    st.text(max_size=20),
    TEXT,
)
REDACTED = st.builds(lambda data: {"type": "redacted_thinking", "data": data}, TEXT)
THINKING = st.lists(THOUGHT | REDACTED, max_size=2)
SOME_THINKING = st.lists(THOUGHT | REDACTED, min_size=1, max_size=2)


@st.composite
def messages(draw):
    """The blocks of a message as Anthropic answers: thinking anywhere, text, then calls."""
    numbers = itertools.count()
    use = st.builds(
        lambda given: {
            "type": "tool_use",
            "id": f"toolu_{next(numbers)}",
            "name": "get_weather",
            "input": given,
        },
        INPUT,
    )
    blocks = []
    for spoken in draw(st.lists(TEXT_BLOCK, max_size=3)):
        blocks += [*draw(THINKING if not blocks else SOME_THINKING), spoken]
    for used in draw(st.lists(use, max_size=3)):
        blocks += [*draw(THINKING), used]
    return [*blocks, *draw(THINKING)] if blocks else [*draw(SOME_THINKING), draw(TEXT_BLOCK)]


def echoed(message):
    """The blocks that go upstream when a client sends the message back."""
    results = [
        {"role": "tool", "tool_call_id": c["id"], "content": "ok"} for c in message.get("tool_calls") or ()
    ]
    return turns(*HELLO, message, *results, *HELLO, tools=[WEATHER])[1]["content"]


def pieces(text, size):
    return [text[begin : begin + size] for begin in range(0, len(text), size)]


def events_of(blocks, size):
    """The documented events of such a message, its deltas of so many characters."""
    found = []
    for index, block in enumerate(blocks):
        if block["type"] == "text":
            found += said(index, *pieces(block["text"], size))
        elif block["type"] == "thinking":
            found += thought(index, block["signature"], *pieces(block["thinking"], size))
        elif block["type"] == "redacted_thinking":
            found += [opened(index, kind=block["type"], data=block["data"]), closed(index)]
        else:
            found += called(index, block["id"], block["name"], *pieces(json.dumps(block["input"]), size))
    return found


def read_back(stream):
    """The message that a chat stream makes."""
    reader, parser = ChatReader(), EventParser()
    for event in parser.feed(stream):
        reader.add(event)
    assert reader.finished
    assert reader.error is None
    return reader.answer()


@freely
@given(messages())
def test_a_plain_answer_that_is_sent_back_is_what_anthropic_answered(blocks):
    assert echoed(answered(blocks)["choices"][0]["message"]) == blocks


@freely
@given(messages(), st.integers(1, 9))
def test_a_streamed_answer_that_is_sent_back_is_what_anthropic_answered(blocks, size):
    stream = wire(start(), *events_of(blocks, size), *ended())
    assert echoed(read_back(streamed(stream))["choices"][0]["message"]) == blocks


@freely
@given(messages(), st.integers(1, 9), st.sampled_from(["end_turn", "max_tokens", "refusal", "tool_use"]))
def test_stream_and_plain_answer_say_the_same(blocks, size, stop_reason):
    stream = wire(start(), *events_of(blocks, size), *ended(stop_reason))
    streaming, plain = read_back(streamed(stream))["choices"][0], answered(blocks, stop_reason)["choices"][0]
    assert streaming["finish_reason"] == plain["finish_reason"]
    for name in ("reasoning_content", "refusal"):
        assert streaming["message"].get(name) == plain["message"].get(name)
    assert (streaming["message"]["content"] or "") == (plain["message"]["content"] or "")
    assert echoed(streaming["message"]) == echoed(plain["message"])


@freely
@given(COUNT, COUNT | st.none(), COUNT | st.none(), COUNT)
def test_prompt_tokens_are_the_whole_prompt(fresh, read, written, output):
    reported = {"cache_read_input_tokens": read, "cache_creation_input_tokens": written}
    usage = answered([], usage={"input_tokens": fresh, **reported, "output_tokens": output})["usage"]
    assert usage["prompt_tokens"] == fresh + (read or 0) + (written or 0)
    assert usage["total_tokens"] == usage["prompt_tokens"] + output
    details = usage.get("prompt_tokens_details", {})
    assert (details.get("cached_tokens"), details.get("cache_write_tokens")) == (read, written)


# --- Conversations ----------------------------------------------------------------------------------------

PART = st.builds(lambda text: {"type": "text", "text": text}, st.text(max_size=10))
CONTENT = st.text(max_size=20) | st.lists(PART, max_size=3)
CALL = st.tuples(st.text(max_size=4), INPUT)


@st.composite
def conversations(draw):
    """Chat messages as OpenAI takes them: calls have results, ids are any, and may come again."""
    found = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["system", "user", "assistant", "calls"]))
        if kind != "calls":
            found.append({"role": kind, "content": draw(CONTENT)})
            continue
        chosen = draw(st.lists(CALL, min_size=1, max_size=3, unique_by=lambda made: made[0]))
        made = [
            {"id": identifier, "type": "function", "function": {"name": "f", "arguments": json.dumps(given)}}
            for identifier, given in chosen
        ]
        found.append({"role": "assistant", "content": draw(CONTENT), "tool_calls": made})
        for identifier, _given in draw(st.permutations(chosen)):
            found.append({"role": "tool", "tool_call_id": identifier, "content": draw(CONTENT)})
    return [*found, {"role": "user", "content": draw(TEXT)}]


def texts(content):
    said_ = [content] if isinstance(content, str) else [part["text"] for part in content or ()]
    return [text for text in said_ if text.strip()]


@freely
@given(
    conversations(), st.sampled_from(["claude-sonnet-4-6", "claude-sonnet-4-5", "claude-3-haiku-20240307"])
)
def test_a_conversation_is_one_as_anthropic_documents_it(conversation, model):
    request = sent(conversation, model=model)
    form = MessagesRequest.model_validate(request, strict=True)
    checks.check_prompt(form)
    assert [turn["role"] for turn in request["messages"]] == [
        role for role, _ in itertools.groupby(turn["role"] for turn in request["messages"])
    ]


@freely
@given(conversations())
def test_nothing_of_a_conversation_is_lost(conversation):
    request = sent(conversation, model="claude-sonnet-4-5")
    blocks = [block for turn in request["messages"] for block in turn["content"]]
    spoken = [block["text"] for block in blocks if block["type"] == "text"]
    system = [block["text"] for block in request.get("system", ())]
    results = [block for block in blocks if block["type"] == "tool_result"]
    uses = [block for block in blocks if block["type"] == "tool_use"]

    def of(*roles):
        return [text for m in conversation if m["role"] in roles for text in texts(m["content"])]

    assert sorted(spoken) == sorted(of("user", "assistant"))
    assert system == of("system")
    assert [p["text"] for b in results for p in b.get("content", ())] == of("tool")
    calls = [call for m in conversation for call in m.get("tool_calls", ())]
    assert [use["input"] for use in uses] == [json.loads(call["function"]["arguments"]) for call in calls]
    assert len({use["id"] for use in uses}) == len(uses)
    assert sorted(use["id"] for use in uses) == sorted(b["tool_use_id"] for b in results)


# --- Borders ----------------------------------------------------------------------------------------------


@freely
@given(messages(), st.lists(st.integers(0, 10**6)), st.sampled_from(["end", "error", "cut"]))
def test_the_borders_of_reads_do_not_show(blocks, cuts, ending):
    stream = wire(start(), *events_of(blocks, 3), *ended())
    if ending == "cut":
        stream = stream[: len(stream) // 2]
    if ending == "error":
        stream = wire(start(), {"type": "error", "error": {"type": "api_error", "message": "Sorry"}})
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    transform = call({"model": "m", "messages": HELLO}, streaming=True)[0].stream()
    out = b"".join(transform.feed(stream[begin:end]) for begin, end in itertools.pairwise(edges))
    assert out + transform.finish() == streamed(stream)


# --- Whatever comes ---------------------------------------------------------------------------------------

MESSAGE = st.fixed_dictionaries(
    {"role": WORDS},
    optional={
        "content": st.text(max_size=5)
        | st.lists(
            st.fixed_dictionaries(
                {"type": WORDS}, optional={"text": ODD, "image_url": ODD, "file": ODD_OBJECT}
            ),
            max_size=3,
        ),
        "tool_calls": st.lists(
            st.fixed_dictionaries({"function": ODD_OBJECT}, optional={"id": ODD}), max_size=3
        ),
        "thinking_blocks": st.lists(ODD_OBJECT, max_size=3),
        "tool_call_id": ODD,
    },
)
REQUEST = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, max_size=5) | ODD},
    optional={
        "tools": st.lists(st.fixed_dictionaries({"function": ODD_OBJECT}), max_size=3) | ODD,
        "response_format": st.fixed_dictionaries({"type": WORDS, "json_schema": ODD_OBJECT}) | ODD,
        **dict.fromkeys(("tool_choice", "stop", "temperature", "top_p", "top_k", "n", "max_tokens"), ODD),
        **dict.fromkeys(("reasoning_effort", "thinking", "metadata", "user", "service_tier", "seed"), ODD),
    },
)


@freely
@given(REQUEST | ODD_OBJECT, st.sampled_from(MODELS), st.booleans())
def test_no_request_raises_anything_but_a_rejection(request_, model, drops):
    translated = asked(request_, model=model, drops=drops)
    assert translated is None or translated.stream().finish()


@freely
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_rejection(body):
    asked(body)


def asked(body, **wanted):
    """The translation of a request; None for one that was refused."""
    try:
        return call(body, **wanted)[0]
    except Rejection as rejection:
        refused = rejection
    assert refused.status == 400
    assert len(refused.message) < 1000
    return None


@freely
@given(
    st.fixed_dictionaries(
        {"content": st.lists(ODD_OBJECT, max_size=4)},
        optional={"usage": ODD, "stop_reason": ODD, "stop_details": ODD},
    )
    | ODD
)
def test_no_answer_raises_anything_but_a_value_error(message):
    translation = call({"model": "m", "messages": HELLO})[0]
    try:
        completion = translation.answer(json.loads(json.dumps(message)))
    except ValueError:
        return
    assert completion["choices"][0]["message"]["role"] == "assistant"


EVENT = st.fixed_dictionaries(
    {"type": WORDS},
    optional={
        "index": st.integers(0, 3) | ODD,
        "content_block": st.fixed_dictionaries(
            {"type": WORDS}, optional={"input": ODD, "text": ODD, "id": ODD}
        )
        | ODD,
        **dict.fromkeys(("message", "delta", "usage", "error"), ODD_OBJECT | ODD),
    },
)


@freely
@given(
    st.lists(EVENT.map(lambda event: b"data: %b\n\n" % json.dumps(event).encode()) | st.binary(max_size=20))
)
def test_no_stream_raises_and_each_ends_with_one_end(parts):
    *body, last = chunks(streamed(b"".join(parts)))
    assert last == "[DONE]" or "error" in last
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in body)


@freely
@given(st.binary(max_size=100), st.integers(400, 599))
def test_no_error_raises(body, status):
    _, there = call({"model": "m", "messages": HELLO})[0].error(status, body)
    assert json.loads(there)["error"]["message"] is not None


@freely
@given(
    st.lists(st.tuples(st.sampled_from([b"anthropic-ratelimit-tokens-reset", b"x"]), st.binary(max_size=30)))
)
def test_no_header_raises_and_what_is_unknown_stays(raw):
    there = call({"model": "m", "messages": HELLO})[0].answer_headers(raw)
    assert [header for header in there if header[0] == b"x"] == [
        header for header in raw if header[0] == b"x"
    ]
