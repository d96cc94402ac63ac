"""A service's OpenAPI document as a page to read: no scripts, and nothing that comes from anywhere else.

FastAPI's own pages run what a public server sends them, in the one origin that may ask this service all.
"""

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

# A browser runs nothing on it, whatever is in it.
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "h2{border-top:1px solid #ccc;padding-top:1em}code,pre{background:#f4f4f4;color:#111}"
    "pre{padding:.5em;overflow:auto}td{padding:.1em 1em .1em 0;vertical-align:top}"
)

Document = Mapping[str, Any]


def page(document: Document) -> str:
    """The whole page."""
    title = _text(document["info"]["title"])
    operations = (
        "".join(_operation(method, path, operation))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f'<h1>{title}</h1><p>For programs: <a href="/openapi.json">openapi.json</a>.</p>{"".join(operations)}'
    )


def _operation(method: str, path: str, operation: Document) -> Iterator[str]:
    yield f"<h2><code>{_text(method.upper())} {_text(path)}</code></h2>"
    yield f"<p><b>{_text(operation.get('summary', ''))}</b> {_text(operation.get('description', ''))}</p>"
    if parameters := operation.get("parameters"):
        rows = (_row(p["name"], p.get("description", ""), _kind(p["schema"])) for p in parameters)
        yield f"<table>{''.join(rows)}</table>"
    if body := operation.get("requestBody"):
        yield "<p>Sent:</p>" + _examples(body)
    for status, answer in operation["responses"].items():
        yield f"<p>{_text(status)}: {_text(answer['description'])}</p>{_examples(answer)}"


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>"


def _kind(schema: Document) -> str:
    default = f", {schema['default']} unless given" if "default" in schema else ""
    return f"{schema.get('type', '')}{default}"


def _examples(described: Document) -> str:
    """Of a request or an answer, by media type."""
    parts = []
    for media_type, content in described.get("content", {}).items():
        named = [example["value"] for example in content.get("examples", {}).values()]
        values = [*named, *([content["example"]] if "example" in content else [])]
        parts.append(f"<p><code>{_text(media_type)}</code></p>")
        parts += [f"<pre>{_text(json.dumps(value, indent=2, ensure_ascii=False))}</pre>" for value in values]
    return "".join(parts)


def _text(value: object) -> str:
    return html.escape(str(value))
