"""A call with its usage in, the gateway's record of it out: a streamed answer with marks of its reads."""

import json
from collections.abc import Iterator
from typing import Any

from cache_reference.calls import Json
from cache_reference.cases import Answered, Place
from lessllm_shared.record import ApiFormat, CallRecord, EndReason, new_request_id

UNIX_S = 1_790_000_000.0
_S = 1_000_000_000
# The same JSON as clients write it: providers cache what it says.
_WRITINGS: tuple[dict[str, Any], ...] = (
    {"ensure_ascii": False, "separators": (",", ":")},
    {"ensure_ascii": True},
    {"ensure_ascii": False, "indent": 1},
)


def record(answered: Answered, place: Place) -> CallRecord:
    """What the gateway would have recorded."""
    call = answered.call
    messages = place.provider == "anthropic"
    reads = _reads(answered, place.model, messages=messages)
    body = json.dumps(call.body, **_WRITINGS[int(call.start_s * 10) % len(_WRITINGS)]).encode()
    t0_ns = int((UNIX_S + call.start_s) * _S)
    first_ns, end_ns = (int((mark_s - call.start_s) * _S) for mark_s in (call.first_byte_s, call.end_s))
    return CallRecord(
        request_id=new_request_id(t0_ns),
        t0_unix_ns=t0_ns,
        end_reason=EndReason.UPSTREAM_ERROR if call.fails else EndReason.COMPLETE,
        key_fingerprint=call.key,
        endpoint="/v1/messages" if messages else "/v1/chat/completions",
        api_format=ApiFormat.MESSAGES if messages else ApiFormat.CHAT,
        upstream_format=ApiFormat.MESSAGES if messages else ApiFormat.CHAT,
        model=place.model,
        upstream_model=place.model,
        provider=place.provider,
        upstream_url=f"https://{place.provider}.test/v1",
        streaming=True,
        upstream_streaming=True,
        status_code=503 if call.fails else 200,
        request_body=body,
        request_body_bytes=len(body),
        response_headers=[("content-type", "application/json" if call.fails else "text/event-stream")],
        response_body=b"".join(reads),
        response_body_bytes=sum(map(len, reads)),
        request_received_ns=100_000,
        upstream_start_ns=200_000,
        upstream_sent_ns=300_000,
        upstream_headers_ns=first_ns,
        upstream_end_ns=end_ns,
        end_ns=end_ns,
        read_ns=[first_ns, end_ns][: len(reads)],
        read_bytes=[len(read) for read in reads],
    )


def _reads(answered: Answered, model: str, *, messages: bool) -> list[bytes]:
    if answered.usage is None:
        return [b'{"type":"error","error":{"type":"overloaded_error","message":"try again"}}']
    events = list((_message_events if messages else _chat_events)(answered, model))
    return ["".join(events[:-2]).encode(), "".join(events[-2:]).encode()]


def _chat_events(answered: Answered, model: str) -> Iterator[str]:
    shell = {"id": "c", "object": "chat.completion.chunk", "created": int(UNIX_S), "model": model}
    delta = dict(answered.call.answer)
    if uses := delta.get("tool_calls"):
        delta["tool_calls"] = [{"index": at, **use} for at, use in enumerate(uses)]
    reason = "tool_calls" if uses else "stop"
    yield _data({**shell, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _data({**shell, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    yield _data({**shell, "choices": [], "usage": answered.usage})
    yield "data: [DONE]\n\n"


def _message_events(answered: Answered, model: str) -> Iterator[str]:
    usage, blocks = answered.usage, answered.call.answer["content"]
    shell = {"id": "m", "type": "message", "role": "assistant", "model": model, "content": []}
    yield _event("message_start", message={**shell, "usage": {**usage, "output_tokens": 1}})
    for at, block in enumerate(blocks):
        empty = {**block, **({"text": ""} if block["type"] == "text" else {"input": {}})}
        yield _event("content_block_start", index=at, content_block=empty)
        delta = (
            {"type": "text_delta", "text": block["text"]}
            if block["type"] == "text"
            else {"type": "input_json_delta", "partial_json": json.dumps(block["input"], ensure_ascii=False)}
        )
        yield _event("content_block_delta", index=at, delta=delta)
        yield _event("content_block_stop", index=at)
    reason = "tool_use" if blocks[-1]["type"] == "tool_use" else "end_turn"
    counted = {"output_tokens": usage["output_tokens"]}
    yield _event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=counted)
    yield _event("message_stop")


def _event(kind: str, **fields: object) -> str:
    return f"event: {kind}\n{_data({'type': kind, **fields})}"


def _data(value: Json) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n"
