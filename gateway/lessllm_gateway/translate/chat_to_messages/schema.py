"""A JSON schema in the subset that Anthropic constrains answers by.

After "Structured outputs", JSON Schema limitations. What only narrows a value (`minimum`, `maxLength`) is
told to the model in the description instead, as Anthropic's own SDKs do. What the subset would turn into
something else (objects of any fields) raises.
"""

from typing import Any

import msgspec

from lessllm_gateway.translate.translation import Json
from lessllm_gateway.translate.values import fields, text

_KEPT = frozenset(("type", "enum", "const", "description", "title", "default", "required", "pattern"))
_WITHOUT_MEANING = frozenset(("$schema", "$id", "$comment", "additionalProperties", "$defs", "definitions"))
_FORMATS = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
)
_AS_THEY_ARE = [("minItems", 0), ("minItems", 1)]
_OF_SCHEMAS = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
_encoder = msgspec.json.Encoder()


class UnconstrainableError(ValueError):
    """A schema that the subset can't express; the message says what."""


def constrained(schema: Any) -> Json:
    """The schema in the subset. Raises UnconstrainableError, and RecursionError for one nested too deeply."""
    if not isinstance(schema, dict):
        raise UnconstrainableError("a schema that allows anything")
    result: Json = {}
    for name in ("$defs", "definitions"):
        if name in schema:
            result[name] = _each(schema[name])
    if "$ref" in schema:
        return result | {"$ref": schema["$ref"]}  # Anthropic takes nothing beside it
    told = []
    for name, value in schema.items():
        if name in _WITHOUT_MEANING:
            continue
        kept = _kept(name, value)
        if kept:
            result |= kept
        else:
            told.append(f"{name}: {_encoder.encode(value).decode()}")
    if _is_object(schema):
        _close(schema, result)
    if told:
        known = text(schema.get("description"))
        result["description"] = f"{known}\n\n{', '.join(told)}".strip()
    return result


def _kept(name: str, value: Any) -> Json:
    """A keyword of the subset; nothing for another."""
    if name in _OF_SCHEMAS:
        options = value if isinstance(value, list) else []
        return {_OF_SCHEMAS[name]: [constrained(option) for option in options]}
    if name == "properties":
        return {name: _each(value)}
    if name == "items":
        return {name: constrained(value)}
    if name in _KEPT or (name, value) in _AS_THEY_ARE or (name == "format" and text(value) in _FORMATS):
        return {name: value}
    return {}


def _close(schema: Json, result: Json) -> None:
    if schema.get("additionalProperties", False) is not False:
        raise UnconstrainableError("additionalProperties")
    if "properties" not in schema and "additionalProperties" not in schema:
        raise UnconstrainableError("an object of any fields")
    result["additionalProperties"] = False


def _is_object(schema: Json) -> bool:
    kind = schema.get("type")
    return kind == "object" or "properties" in schema or (isinstance(kind, list) and "object" in kind)


def _each(schemas: Any) -> Json:
    return {name: constrained(schema) for name, schema in fields(schemas).items()}
