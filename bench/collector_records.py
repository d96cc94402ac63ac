"""Records as a gateway makes them, encoded: plain calls and streams, and agents that resend their history.

Texts are real ones, prose and code: the sources of Python's own library, a passage for each, none twice while
there are some left (25 MB).
"""

import itertools
import json
import random
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lessllm_shared import record as call_record
from lessllm_shared.record import ApiFormat, Attempt, CallRecord, EndReason, NetworkMarks

Kind = Literal["plain", "stream", "mixed"]
KINDS: tuple[Kind, ...] = ("plain", "stream")

MODEL, URL = "gpt-4.1", "https://api.openai.com/v1/chat/completions"
_T0_NS, _EVERY_NS, _MS = 1_790_000_000 * 10**9, 10_000_000, 10**6
_CHUNK_CHARS = 24
_HEADERS = [
    ("host", "127.0.0.1:8000"),
    ("content-type", "application/json"),
    ("accept", "application/json"),
    ("user-agent", "OpenAI/Python 1.99.9"),
    ("x-stainless-lang", "python"),
]


@dataclass(frozen=True, slots=True)
class Recorded:
    """Encoded, and how large their bodies are."""

    records: Sequence[bytes]
    raw_bytes: int


class Texts:
    """Passages, one after the other, from a place on that the seed decides."""

    def __init__(self, seed: int) -> None:
        library = Path(sysconfig.get_path("stdlib"))
        sources = [path for path in sorted(library.rglob("*.py")) if "site-packages" not in path.parts]
        random.Random(seed).shuffle(sources)  # noqa: S311 - texts
        self._sources = itertools.cycle(sources)
        self._left = ""

    def take(self, size: int) -> str:
        """The next one."""
        while len(self._left) < size:
            self._left += next(self._sources).read_text("utf-8", "replace")
        taken, self._left = self._left[:size], self._left[size:]
        return taken


def calls(count: int, kind: Kind, policy: str = "flag") -> Recorded:
    """Calls of five programs, each with a system prompt of its own. Mixed: every other one is a stream."""
    texts = Texts(1)
    systems = [texts.take(1200) for _ in range(5)]
    made = (
        (
            [systems[n % 5], *(texts.take(800) for _ in range(5))],
            texts.take(1500),
            kind == "stream" or (kind == "mixed" and n % 2 == 1),
        )
        for n in range(count)
    )
    return _recorded(made, policy)


def agents(sessions: int, turns: int) -> Recorded:
    """Agents at work at the same time: each call adds two messages to what was sent before."""
    texts = Texts(2)
    system = texts.take(6000)
    histories = [[system] for _ in range(sessions)]

    def made() -> Iterator[tuple[list[str], str, bool]]:
        for _ in range(turns):
            for history in histories:
                history.append(texts.take(900))
                answer = texts.take(400)
                yield history, answer, False
                history.append(answer)

    return _recorded(made(), "flag")


def _recorded(calls: Iterator[tuple[list[str], str, bool]], policy: str) -> Recorded:
    records, raw_bytes = [], 0
    for number, (messages, answer, is_stream) in enumerate(calls):
        record = _record(number, messages, answer, is_stream=is_stream, policy=policy)
        raw_bytes += len(record.request_body) + len(record.response_body)
        records.append(call_record.encode(record))
    return Recorded(records, raw_bytes)


def _record(number: int, messages: list[str], answer: str, *, is_stream: bool, policy: str) -> CallRecord:
    roles = ("system", *("user", "assistant") * (len(messages) // 2 + 1))
    request: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": role, "content": text} for role, text in zip(roles, messages, strict=False)],
        "temperature": 0.7,
    }
    tokens = sum(map(len, messages)) // 4, len(answer) // 4
    chunks = _stream(number, answer, tokens) if is_stream else [_whole(number, answer, tokens)]
    body, response = json.dumps({**request, "stream": is_stream}).encode(), b"".join(chunks)
    end_ns = 500 * _MS + len(chunks) * 10 * _MS
    return CallRecord(
        request_id=call_record.new_request_id(_T0_NS + number * _EVERY_NS),
        t0_unix_ns=_T0_NS + number * _EVERY_NS,
        end_reason=EndReason.COMPLETE,
        user_id=f"user{number % 50}",
        client_ip="127.0.0.1",
        key_fingerprint="sha256:0123456789ab",
        endpoint="/v1/chat/completions",
        api_format=ApiFormat.CHAT,
        model=MODEL,
        streaming=is_stream,
        request_headers=[*_HEADERS, ("content-length", str(len(body)))],
        request_body=body,
        request_body_bytes=len(body),
        sensitive_policy=policy,
        provider="openai",
        upstream_format=ApiFormat.CHAT,
        upstream_model=MODEL,
        upstream_url=URL,
        upstream_streaming=is_stream,
        route="direct",
        attempts=[
            Attempt(provider="openai", url=URL, route="direct", start_ns=100_000, end_ns=end_ns, phase="done")
        ],
        status_code=200,
        response_headers=[
            ("content-type", "text/event-stream" if is_stream else "application/json"),
            ("openai-processing-ms", "412"),
            ("x-request-id", f"req_{number:032x}"),
        ],
        response_body=response,
        response_body_bytes=len(response),
        request_received_ns=50_000,
        upstream_start_ns=150_000,
        upstream_sent_ns=200_000,
        upstream_headers_ns=400 * _MS,
        upstream_end_ns=end_ns,
        end_ns=end_ns + 100_000,
        read_ns=[500 * _MS + place * 10 * _MS for place in range(len(chunks))],
        read_bytes=[*map(len, chunks)],
        network=NetworkMarks(pool_wait_ns=1000, connection_reused=True, round_trip_ns=_MS),
    )


def _whole(number: int, answer: str, tokens: tuple[int, int]) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
    return json.dumps(
        {**_head(number, "chat.completion"), "choices": [choice], "usage": _usage(tokens)}
    ).encode()


def _stream(number: int, answer: str, tokens: tuple[int, int]) -> list[bytes]:
    head = _head(number, "chat.completion.chunk")
    pieces = [answer[at : at + _CHUNK_CHARS] for at in range(0, len(answer), _CHUNK_CHARS)]
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": {"content": piece}, "finish_reason": None} for piece in pieces
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    documents = [
        *({**head, "choices": [choice]} for choice in choices),
        {**head, "choices": [], "usage": _usage(tokens)},
    ]
    return [*(b"data: %b\n\n" % json.dumps(one).encode() for one in documents), b"data: [DONE]\n\n"]


def _head(number: int, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{number}",
        "object": kind,
        "created": 1_790_000_000,
        "model": f"{MODEL}-2025-04-14",
    }


def _usage(tokens: tuple[int, int]) -> dict[str, Any]:
    prompt, completion = tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
