"""One call: what it was, where its time and its money went, what was said, and the bytes themselves.

What came over the network is shown up to a limit; the whole of it has a path of its own.
"""

import base64
from collections.abc import Mapping
from functools import partial
from typing import Any

import duckdb
import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from lessllm_shared.answer_text import answer_text
from lessllm_shared.figures import milliseconds
from lessllm_shared.phases import Phase, attempts, phases
from lessllm_shared.tolerant_json import loads

from lessllm_collector import calls
from lessllm_collector.console import as_curl, conversation, parts_of_cost, rendering
from lessllm_collector.console.calls import PATH
from lessllm_collector.console.charts import Span, Words, waterfall
from lessllm_collector.console.context import Console
from lessllm_collector.console.conversation import Conversation
from lessllm_collector.console.language import Words as Messages
from lessllm_collector.console.language import wanted_language
from lessllm_collector.console.visible import visible
from lessllm_collector.errors import Refusal
from lessllm_collector.schema import BODIES

SHOWN_CHARACTERS = 60_000  # of a body
_RAW_HEADERS = {
    **rendering.HEADERS,
    "content-security-policy": "default-src 'none'; sandbox",
    "content-disposition": "inline",
}

Row = Mapping[str, Any]


def add(router: APIRouter, console: Console) -> None:
    """`/console/calls/{request_id}`, and its bodies below it."""

    @router.get(f"{PATH}/{{request_id}}")
    async def one(request: Request, request_id: str) -> HTMLResponse:
        row, said = await console.read(partial(_look, request_id=request_id))
        t = Messages(wanted_language(request))
        return console.page(
            request,
            "call.html",
            call=row,
            conversation=said,
            timeline=_timeline(row, t),
            attempts=attempts(row),
            costs=parts_of_cost.parts(row),
            answer=_answer(row),
            bodies={name: _shown(row[name]) for name in BODIES if row[name]},
            usage=_indented(row["actual_usage"] or ""),
            headers={name: _pairs(row[name]) for name in ("request_headers", "response_headers")},
            curl=as_curl.command(row),
            path=PATH,
            visible=visible,
        )

    @router.get(f"{PATH}/{{request_id}}/{{body}}")
    async def whole(request_id: str, body: str) -> Response:
        if body not in BODIES:
            raise Refusal(404, "not_found", f"a call has no {body}: {', '.join(BODIES)}")
        row = await console.read(partial(calls.row, request_id=request_id))
        content = row[body]
        if content is None:
            raise Refusal(404, "not_kept", f"the call has no {body}, or it is not kept")
        return Response(content, media_type="text/plain; charset=utf-8", headers=_RAW_HEADERS)


def _look(connection: duckdb.DuckDBPyConnection, request_id: str) -> tuple[Row, Conversation | None]:
    row = calls.row(connection, request_id)
    return row, conversation.of(connection, row)


def _timeline(row: Row, t: Messages) -> str:
    spans = [Span(_name(phase, t), phase.start_ms, phase.end_ms, phase.kind) for phase in phases(row)]
    reads_ms = [at_ns / 1e6 for at_ns in _read_marks(row)]
    spans = [
        Span(span.name, span.start_ms, span.end_ms, span.kind, reads_ms if span.kind == "receive" else ())
        for span in spans
    ]
    for name, column in (("first token", "estimated_ttft_ms"), ("first output", "estimated_ttfo_ms")):
        at_ms = row[column]
        if at_ms is not None and (column == "estimated_ttft_ms" or at_ms != row["estimated_ttft_ms"]):
            spans.append(Span(t(f"call.phase.{name}"), at_ms, at_ms, "moment"))
    spans.sort(key=lambda span: (span.start_ms, span.end_ms))
    words = Words(t("call.no_timeline"), t("charts.data"), t("charts.time"))
    return waterfall(t("call.timeline"), spans, milliseconds, words)


def _name(phase: Phase, t: Messages) -> str:
    what = t.known("call.phase", phase.what)
    numbered = what if phase.number is None else f"{what} {phase.number}"
    return t("call.failed", what=numbered) if phase.kind == "failed" else numbered


def _read_marks(row: Row) -> list[int]:
    marks = loads(row["clock_marks"] or "{}")
    found = marks.get("read_ns") if isinstance(marks, dict) else None
    return [mark for mark in found if isinstance(mark, int)] if isinstance(found, list) else []


def _answer(row: Row) -> tuple[str, int] | None:
    """What the model said, as far as it is shown, and how many characters more there are."""
    content = row["decoded_response"] or row["response_body"]
    if not content or row["end_reason"] == "rejected":
        return None
    try:
        said = answer_text(loads(content))
    except (ValueError, RecursionError):
        return None
    return _cut(said) if said else None


def _shown(content: bytes | str) -> tuple[str, int]:
    """A body, JSON with line breaks; and how many characters are left out."""
    if isinstance(content, str):
        return _cut(_indented(content))
    try:
        return _cut(_indented(content.decode()))
    except UnicodeDecodeError:
        return _cut(base64.b64encode(content[:SHOWN_CHARACTERS]).decode())


def _indented(text: str) -> str:
    if len(text) > 20 * SHOWN_CHARACTERS or not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return msgspec.json.format(text, indent=2)
    except (msgspec.DecodeError, RecursionError):
        return text


def _cut(text: str) -> tuple[str, int]:
    return visible(text[:SHOWN_CHARACTERS]), max(0, len(text) - SHOWN_CHARACTERS)


def _pairs(headers: str | None) -> list[tuple[str, str]]:
    return [(visible(str(name)), visible(str(value))) for name, value in loads(headers or "[]")]
