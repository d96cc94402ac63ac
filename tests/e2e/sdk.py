"""A call by an official SDK, as data, and what the SDK makes of it, comparable with another run of it.

A Case enters, its outcome leaves: status, headers and the parsed answer, or the error that the SDK raised;
ids and times, which no two runs share, are replaced by their kind and number.
"""

import inspect
import json
import re
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import anthropic
import openai

# Of the connection rather than of the answer; or of the event stream that a measured plain call was.
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "cache-control"}
_VARYING = re.compile(r"request-id|processing-ms|remaining|reset")
_ID = re.compile(r"\b(chatcmpl|cmpl|req|resp|msg|rs|fc|call|toolu|file|batch)[-_][\w-]{8,}")
_TIME = re.compile(r'("(?:created|created_at|completed_at)": )[\d.]+')


@dataclass(frozen=True)
class Case:
    """`method` is the path from the client: `chat.completions.create`."""

    name: str
    method: str
    arguments: dict[str, Any] = field(default_factory=dict)
    simulate: str = ""  # our simulator's x-simulate
    status: int | None = 200  # None: the error has none, since it came within a stream

    def __str__(self) -> str:
        return self.name

    def prepared(self, client: Any) -> Any:
        *path, name = self.method.split(".")
        resource = reduce(getattr, path, client)
        extra = {"extra_headers": {"x-simulate": self.simulate}} if self.simulate else {}
        return getattr(resource.with_raw_response, name), {**self.arguments, **extra}


def outcome(client: Any, case: Case) -> dict[str, Any]:
    """What the synchronous SDK gets."""
    call, arguments = case.prepared(client)
    events: list[Any] = []
    try:
        raw = call(**arguments)
        answer = raw.parse()
        if arguments.get("stream"):
            events.extend(answer)
            answer = None
    except (openai.APIError, anthropic.APIError, json.JSONDecodeError) as error:
        return _normal({**_of_error(error), "events": events})
    return _normal({**_of_answer(raw, answer), "events": events})


async def async_outcome(client: Any, case: Case) -> dict[str, Any]:
    """What the asynchronous SDK gets."""
    call, arguments = case.prepared(client)
    events: list[Any] = []
    try:
        raw = await call(**arguments)
        answer = raw.parse()
        if inspect.isawaitable(answer):  # Anthropic's
            answer = await answer
        if arguments.get("stream"):
            async for event in answer:
                events.append(event)  # noqa: PERF401 - what came before an error counts
            answer = None
    except (openai.APIError, anthropic.APIError, json.JSONDecodeError) as error:
        return _normal({**_of_error(error), "events": events})
    return _normal({**_of_answer(raw, answer), "events": events})


def _of_answer(raw: Any, answer: Any) -> dict[str, Any]:
    return {"status": raw.http_response.status_code, "headers": _headers(raw.headers), "answer": answer}


def _of_error(error: Exception) -> dict[str, Any]:
    response = getattr(error, "response", None)
    return {
        "error": type(error).__name__,
        "message": str(error),
        "body": getattr(error, "body", None),
        "status": response.status_code if response is not None else None,
        "headers": _headers(response.headers) if response is not None else None,
    }


def _headers(headers: Any) -> dict[str, str]:
    return {
        name: "varies" if _VARYING.search(name) else value
        for name, value in sorted(headers.items())
        if name not in _HOP and not name.startswith(("x-lessllm-", "server-timing"))
    }


def _normal(seen: dict[str, Any]) -> dict[str, Any]:
    numbers: dict[str, str] = {}
    text = json.dumps(seen, default=_dumped, ensure_ascii=False)
    text = _ID.sub(lambda found: numbers.setdefault(found[0], f"{found[1]} {len(numbers)}"), text)
    normal: dict[str, Any] = json.loads(_TIME.sub(r"\g<1>0", text))
    return normal


def _dumped(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)
