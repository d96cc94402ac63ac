"""Answers of the simulated provider, kept and replayed: what it says, for next to nothing.

At the start the simulator is asked once for each endpoint, plain and streamed, and for each fault; what it
answers are bytes that any request of that kind gets from then on, an event at a time, in its own pace.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import httpx
import msgspec
from lessllm.simulator import running_simulator
from lessllm.simulator.faults import HEADER as FAULT_HEADER
from upstream import Answer

AFTER_S = 0.1  # before an answer
PAUSE_S = 0.005  # before each event of a stream

_HELLO = {"messages": [{"role": "user", "content": "Where is my order 48213?"}]}
_EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "/v1/chat/completions": {"model": "gpt-4.1-mini", **_HELLO},
    "/v1/messages": {"model": "claude-sonnet-5", "max_tokens": 300, **_HELLO},
    "/v1/responses": {"model": "gpt-4.1-mini", "input": "Where is my order 48213?"},
    "/v1/embeddings": {"model": "text-embedding-3-small", "input": "Where is my order 48213?"},
    "/v1/models": {},
}
FAULTS = (
    *("status=400", "status=401", "status=429", "status=500", "status=529", "html", "invalid_json"),
    *("half_stream", "error_in_stream", "reset"),
)
_LENGTH = "tokens=60"
_FAULT = re.compile(rb"\r\n%b: *([^\r]*)" % FAULT_HEADER.encode(), re.IGNORECASE)
_STREAMED = re.compile(rb'"stream": ?true')


@dataclass(frozen=True, slots=True)
class _Asked:
    path: str
    streamed: bool
    fault: str


class Replay:
    """The answers."""

    def __init__(self, answers: Mapping[_Asked, Answer]) -> None:
        self._answers = answers

    def __call__(self, head: bytes, body: bytes) -> Answer:
        path = head.split(b" ", 2)[1].decode()
        fault = _FAULT.search(head)
        streamed = _STREAMED.search(body) is not None
        return self._answers[_Asked(path, streamed, fault[1].decode() if fault else "")]


async def recorded() -> Replay:
    """Asks the simulator."""
    with running_simulator() as url:
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            kinds = [_Asked(*kind) for kind in product(_EXAMPLES, (False, True), ("", *FAULTS))]
            answers = [await _recorded(client, asked) for asked in kinds]
            return Replay(dict(zip(kinds, answers, strict=True)))


async def _recorded(client: httpx.AsyncClient, asked: _Asked) -> Answer:
    example = _EXAMPLES[asked.path]
    body = {**example, "stream": True} if asked.streamed else example
    if asked.streamed and asked.path == "/v1/chat/completions":
        body = {**body, "stream_options": {"include_usage": True}}
    request = client.build_request(
        "POST" if example else "GET",
        asked.path,
        content=msgspec.json.encode(body) if example else None,
        headers={
            "authorization": "Bearer sk-bench",
            "x-api-key": "sk-bench",
            "anthropic-version": "2023-06-01",
            "content-type": "application/json",
            FAULT_HEADER: ", ".join(filter(None, (asked.fault, _LENGTH))),
        },
    )
    parts: list[bytes] = []
    then: Literal["keep", "close", "reset"] = "keep"
    try:
        response = await client.send(request, stream=True)
    except httpx.TransportError:
        return Answer((b"",), AFTER_S, then="reset")
    try:
        parts.extend([part async for part in response.aiter_raw()])
    except httpx.TransportError:
        then = "close"
    await response.aclose()
    return _answer(response, b"".join(parts), then)


def _answer(response: httpx.Response, body: bytes, then: Literal["keep", "close", "reset"]) -> Answer:
    lines = [b"HTTP/1.1 %d %b" % (response.status_code, response.reason_phrase.encode())]
    lines += [b"%b: %b" % header for header in response.headers.raw]
    head = b"\r\n".join((*lines, b"", b""))
    if "content-length" in response.headers:
        return Answer((head + body,), AFTER_S, then=then)
    events = [event + b"\n\n" for event in body.split(b"\n\n") if event]
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    if then == "keep":
        chunks[-1] += b"0\r\n\r\n"
    return Answer((head, *chunks), AFTER_S, PAUSE_S, then)
