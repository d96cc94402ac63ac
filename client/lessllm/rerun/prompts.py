"""A file of prompts → requests. Text: a prompt on each line. JSON lines, of any of these kinds:

{"prompt": "…", "max_tokens": 100}                            a question; other fields go along
{"messages": […], "temperature": 0}                           a chat completion
{"url": "/v1/messages", "body": {…}}                          any request, as in OpenAI's batch files
"""

import json
from collections.abc import Mapping
from typing import Any

from lessllm_shared.record import ApiFormat

from lessllm.errors import LessLLMError
from lessllm.rerun.request import ENDPOINTS, Request

_HEADERS = {"content-type": "application/json"}
_HEADERS_OF: Mapping[str, Mapping[str, str]] = {ApiFormat.MESSAGES: {"anthropic-version": "2023-06-01"}}


class PromptsError(LessLLMError):
    """A file of prompts can't be read. The message names the line."""


def read_prompts(text: str) -> list[Request]:
    """Requests without a model of their own, or with one that is to be replaced. Raises PromptsError."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise PromptsError("there is no prompt in it")
    if not lines[0][1].startswith("{"):
        return [_chat({"prompt": line}) for _, line in lines]
    return [_request(number, line) for number, line in lines]


def _request(number: int, line: str) -> Request:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PromptsError(f"line {number} is not JSON, as the first line seems to be: {error}") from None
    if isinstance(fields, dict) and isinstance(fields.get("body"), dict):
        return _of_batch(number, str(fields.get("url")), fields["body"])
    if isinstance(fields, dict) and ("messages" in fields or "prompt" in fields):
        return _chat(fields)
    raise PromptsError(f'line {number} has none of "prompt", "messages", and "url" with "body"')


def _of_batch(number: int, url: str, body: dict[str, Any]) -> Request:
    api_format = next((name for name, path in ENDPOINTS.items() if path == url), None)
    if api_format is None:
        raise PromptsError(f"line {number}: url must be one of {', '.join(ENDPOINTS.values())}")
    return _made(api_format, body)


def _chat(fields: dict[str, Any]) -> Request:
    if "messages" not in fields:
        messages = [{"role": "user", "content": fields.pop("prompt")}]
        fields = {"messages": messages, **fields}
    return _made(ApiFormat.CHAT, fields)


def _made(api_format: str, fields: dict[str, Any]) -> Request:
    """Streamed, unless it says otherwise itself."""
    headers = {**_HEADERS, **_HEADERS_OF.get(api_format, {})}
    request = Request(api_format, ENDPOINTS[api_format], b"", headers=headers).with_fields(fields)
    return request if "stream" in fields else request.changed(stream=True)
