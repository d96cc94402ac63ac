"""A recorded call as a command for a shell: to send it to the gateway again by hand.

No credential is in it: a record has only fingerprints, and where one was stands a variable. What a client
says of itself or of its connection is left out.
"""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from lessllm_shared.tolerant_json import loads

MAX_BODY_BYTES = 32 * 1024  # written into the command; a larger one is read from a file
_GATEWAY = '"${LESSLLM_GATEWAY:-http://127.0.0.1:8000}"'
_KEPT = re.compile(r"content-type|anthropic-(version|beta)|openai-beta|x-lessllm-(user|session|tags)")
_CREDENTIALS = {"authorization": "Bearer ", "x-api-key": "", "api-key": "", "x-goog-api-key": ""}


def command(row: Mapping[str, Any]) -> str | None:
    """None: there is no body to send, or none that a shell could be given."""
    body = row["request_body"]
    method, endpoint = row["method"] or "POST", row["endpoint"] or "/"
    if body is None or row["request_body_bytes"] != len(body) or not f"{method}{endpoint}".isprintable():
        return None
    lines = [f"curl -sS -X {shlex.quote(method)} {_GATEWAY}{shlex.quote(endpoint)}"]
    for name, value in _headers(row["request_headers"]):
        if name in _CREDENTIALS:
            lines.append(f'-H "{name}: {_CREDENTIALS[name]}$API_KEY"')
        elif _KEPT.fullmatch(name) and value.isprintable():
            lines.append(f"-H {shlex.quote(f'{name}: {value}')}")
    lines.append(f"--data-binary {_data(body)}")
    return " \\\n  ".join(lines)


def _headers(text: str | None) -> list[tuple[str, str]]:
    pairs = loads(text or "[]")
    return [(str(name).lower(), str(value)) for name, value in pairs]


def _data(body: bytes) -> str:
    """In JSON nothing needs to be a control character; what a terminal may act on is better in a file."""
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False) if len(body) <= MAX_BODY_BYTES else ""
    except (ValueError, RecursionError):
        text = ""
    return shlex.quote(text) if text and text.isprintable() else "@request.json"
